"""Checks the tables by themselves, without the fold: the journal by its checksums, and traces by their spans."""

from collections.abc import Iterator

from kspan.store.store import Store
from kspan.store.tables import consistency, recorded_days
from kspan.store.tables.finding import Finding


def check_journal(store: Store, cluster: str) -> Iterator[Finding]:
    """Compare the journal with its sequence numbers and the checksums that were kept when it was written.

    Records that kspan 0.2.0 wrote have no checksums.
    """
    with store.reading("read the checksums of the journal") as connection:
        check = recorded_days.JournalCheck(connection, cluster)
    done = False
    while not done:
        with store.reading("read the journal") as connection:
            found, done = check.step(connection)
        yield from found


def check_traces(store: Store, cluster: str) -> Iterator[Finding]:
    """Compare the rows of ``traces`` with those of ``spans``. Yields what does not agree, by trace id."""
    after: str | None = ""
    while after is not None:
        with store.reading("compare traces with their spans") as connection:
            found, after = consistency.check_traces(connection, cluster, after)
        yield from found
