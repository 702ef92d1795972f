"""The interval that a GAP record stands for."""

import json

import pytest

from kspan.graph import Fold, built_in_rules
from kspan.graph.state.records import Gap
from kspan.model import LogRecord, RecordType
from kspan.times import SECOND, format_time

T = 1_800_000_000 * SECOND


@pytest.mark.parametrize(
    "details, since, until",
    [
        ({"watchedUntil": 80}, 80, 100),
        # Event time was held back: the list is newer than the record.
        ({"watchedUntil": 80, "listedAt": 120}, 80, 120),
        ({"watchedUntil": 80, "listedAt": 90}, 80, 100),
        ({"watchedUntil": 130, "listedAt": 120}, 120, 120),
        # Not stated, as in a journal of kspan 0.2.0: the time of the record before.
        ({}, 60, 100),
        ({"listedAt": 120}, 60, 120),
    ],
)
def test_a_stream_was_not_watched_from_its_last_sign_of_life_until_it_was_listed(
    details: dict[str, int], since: float, until: float
) -> None:
    payload = {name: format_time(T + seconds * SECOND) for name, seconds in details.items()}
    fold = Fold("cluster", built_in_rules())
    fold.apply(1, LogRecord(RecordType.TICK, T + 60 * SECOND))
    gap = LogRecord(
        RecordType.GAP,
        T + 100 * SECOND,
        "v1/pods",
        payload=json.dumps(payload).encode() if payload else b"",
        reason="listed again",
        gap_from="30",
        gap_to="60",
    )
    fold.apply(2, gap)
    assert fold.state.clock.gap("v1/pods") == Gap(30, 60, T + int(since * SECOND), T + int(until * SECOND))
