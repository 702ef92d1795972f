"""A fold that continues with other settings than the one before: occurrences that wait are held for the new time."""

import pytest

from kspan.graph import Fold, built_in_rules
from kspan.model import Delta, LogRecord, RecordType
from kspan.settings import FoldSettings
from kspan.times import SECOND
from tests.causality.cluster import START, Cluster

CLUSTER = "5f1e7a0c-0000-4000-8000-000000000000"


def waiting() -> tuple[Delta, list[int]]:
    """The rows of a fold with two occurrences that wait for their cause, and when these were received (ns)."""
    c = Cluster()
    c.apply("ConfigMap", "first")
    c.wait(2)
    c.apply("ConfigMap", "second")
    fold = Fold(CLUSTER, built_in_rules(), FoldSettings(hold=5 * SECOND))
    for number, record in enumerate(c.records, 1):
        fold.apply(number, record)
    return fold.take_delta(), [record.recorded_at for record in c.records]


def continued(delta: Delta, hold: int) -> Fold:
    fold = Fold(CLUSTER, built_in_rules(), FoldSettings(hold=hold))
    fold.load([row.state for row in delta.objects], delta.owners, [row.fold for row in delta.pending], [], delta.clock)
    return fold


@pytest.mark.parametrize("hold", [0, 1 * SECOND, 5 * SECOND, 60 * SECOND])
def test_each_occurrence_is_decided_when_the_new_hold_since_its_receipt_is_over(hold: int) -> None:
    delta, (first, second) = waiting()
    fold = continued(delta, hold)
    assert fold.pending_occurrences == 2
    assert fold.next_deadline() == first + hold
    fold.apply(3, LogRecord(RecordType.TICK, max(fold.now, first + hold)))
    assert fold.pending_occurrences == (0 if second + hold <= fold.now else 1)
    fold.apply(4, LogRecord(RecordType.TICK, max(fold.now, second + hold)))
    assert fold.pending_occurrences == 0
    assert fold.open_traces == 2


@pytest.mark.parametrize("hold", [0, 60 * SECOND])
def test_new_occurrences_are_decided_after_those_that_were_loaded(hold: int) -> None:
    fold = continued(waiting()[0], hold)
    c = Cluster()
    c.numbered, c.version = 10, 1_000
    c.wait((fold.now - START) / SECOND + 1)
    c.apply("ConfigMap", "third")
    (record,) = c.records
    fold.apply(3, record)
    names = []
    while fold.pending_occurrences:
        fold.apply(4, LogRecord(RecordType.TICK, max(fold.now, fold.next_deadline())))
        names += [row.object_name for row in fold.take_delta().spans if row.object_name not in names]
    assert names == ["first", "second", "third"]
