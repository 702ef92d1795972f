"""An object with very many versions: what its page reads does not grow with their number, on both databases."""

from collections.abc import Callable, Iterator
from typing import Final

import msgspec
import pytest
from sqlalchemy import Connection

from kspan.model import ObjectRow
from kspan.query.objects.life import OCCURRENCES, VERSIONS, life_of
from kspan.query.objects.listing import object_with_uid
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.objects.occurrences import Position, page_of_occurrences
from kspan.query.objects.versions import first_after, newest_versions, version_numbered
from kspan.store import Store, open_store
from tests.postgres import TEMPLATE, PostgresServer
from tests.query.conftest import STORES
from tests.query.objects.long_life import CLUSTER, NAME, NAMESPACE, SIBLINGS, UID, make_long_life, when
from tests.query.test_bounded_work import rows_looked_at, steps

SIZES: Final = (3_000, 30_000)
"""Versions, occurrences and other objects of the namespace. More than a page looks at."""

SLACK: Final = 1.25
"""By how much the work may grow: indexes get a level deeper."""


class Sizes(msgspec.Struct):
    """Two histories, the second ten times as long, and how their work is counted."""

    small: Store
    large: Store
    work: Callable[[Store, Callable[[Connection], object]], int]


@pytest.fixture(scope="module", params=STORES)
def sizes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sizes]:
    stores = []
    for size in SIZES:
        if request.param == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres")
            url = server.url(server.create(TEMPLATE))
        else:
            url = str(tmp_path_factory.mktemp("long") / "kspan.sqlite")
        store = open_store(url)
        make_long_life(store, size)
        if request.param == "postgresql":  # Autovacuum does it in time. kspan never does it for SQLite.
            with store.writing("collect statistics", CLUSTER) as connection:
                connection.exec_driver_sql("ANALYZE")
        stores.append(store)
    yield Sizes(stores[0], stores[1], steps if request.param == "sqlite" else rows_looked_at)
    for store in stores:
        store.close()


THE_NAME: Final = ObjectName(parse_kind("replicaset"), NAMESPACE, NAME)


def the_object(connection: Connection) -> ObjectRow:
    found = object_with_uid(connection, CLUSTER, UID)
    assert found is not None
    return found


QUESTIONS: Final[dict[str, Callable[[Connection], object]]] = {
    "now": lambda c: life_of(c, CLUSTER, the_object(c)),
    "at an early time": lambda c: life_of(c, CLUSTER, the_object(c), at=when(500)),
    "at a time in the middle": lambda c: life_of(c, CLUSTER, the_object(c), at=when(1_500)),
    "an early version by its number": lambda c: version_numbered(c, CLUSTER, THE_NAME, "3", uid=UID),
    "an old page of occurrences": lambda c: page_of_occurrences(
        c, CLUSTER, the_object(c), OCCURRENCES, before=(when(500), "~", "~")
    ),
}


@pytest.mark.parametrize("question", QUESTIONS)
def test_the_work_does_not_grow_with_the_number_of_versions(sizes: Sizes, question: str) -> None:
    small, large = (sizes.work(store, QUESTIONS[question]) for store in (sizes.small, sizes.large))
    print(question, small, large)
    assert large <= small * SLACK + 50


def test_a_page_shows_the_newest_versions_and_all_dependents(sizes: Sizes) -> None:
    with sizes.large.reading("ask") as connection:
        life = life_of(connection, CLUSTER, the_object(connection))
    newest = SIZES[1]
    assert [each.version.record.resource_version for each in life.revisions] == [
        str(number) for number in range(newest, newest - VERSIONS, -1)
    ]
    assert {each.author for each in life.revisions} == {"kubectl"}
    assert life.more_revisions
    assert len(life.family.dependents) == SIBLINGS, "found by the beginning of their names among many others"
    assert not life.family.complete


@pytest.mark.parametrize("number", [1, 2, 499, 1_500, SIZES[1] - 1, SIZES[1]])
def test_the_versions_until_a_time_are_found(sizes: Sizes, number: int) -> None:
    with sizes.large.reading("ask") as connection:
        for time, newest in ((when(number), number), (when(number) - 1, number - 1)):
            below = first_after(connection, CLUSTER, time)
            found = newest_versions(connection, CLUSTER, the_object(connection), 1, until=time, below=below)
            assert [each.sequence for each in found] == ([newest] if newest else [])


@pytest.mark.parametrize("number", [0, 1, 2, 499, 1_500, SIZES[1] - 51, SIZES[1] - 1, SIZES[1], SIZES[1] + 1])
def test_a_version_is_found_by_its_number(sizes: Sizes, number: int) -> None:
    with sizes.large.reading("ask") as connection:
        found = version_numbered(connection, CLUSTER, THE_NAME, str(number), uid=UID)
    assert (found.sequence if found is not None else 0) == (number if number <= SIZES[1] else 0)


def test_the_pages_of_occurrences_have_each_of_them_once(sizes: Sizes) -> None:
    with sizes.small.reading("ask") as connection:
        here, found = the_object(connection), list[str]()
        before: Position | None = None
        while True:
            page, position = page_of_occurrences(connection, CLUSTER, here, 500, before=before)
            found += [span.span_id for span in page]
            if position is None:
                break
            before = position
    assert found == [f"{number:016x}" for number in range(SIZES[0], 0, -1)]
