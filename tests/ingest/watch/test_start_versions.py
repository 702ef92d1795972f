"""The resourceVersions for the first list of a new stream."""

import pytest

from kspan.ingest.watch.start_versions import KNOWN_FOR, past_versions
from kspan.model import Cursor
from kspan.times import SECOND

NOW = 1_000 * SECOND


def cursors(**versions: tuple[str, int]) -> dict[str, Cursor]:
    given = ((f"v1/{name}", version, NOW - age * SECOND) for name, (version, age) in versions.items())
    return {resource: Cursor(resource, version, at) for resource, version, at in given}


def test_older_positions_are_tried_first() -> None:
    assert past_versions(cursors(pods=("100", 10), nodes=("70", 30), jobs=("70", 5)), {}, NOW) == ("70", "100")


def test_a_stream_counts_with_its_current_position_or_without_news_with_its_cursor() -> None:
    moved = {"v1/nodes": ("95", NOW), "v1/pods": ("90", 0), "v1/secrets": ("", NOW)}
    assert past_versions(cursors(pods=("90", 10), nodes=("70", 30)), moved, NOW) == ("90", "95")


def test_positions_that_the_api_server_has_discarded_are_not_tried() -> None:
    old = KNOWN_FOR // SECOND
    assert past_versions(cursors(pods=("90", old), nodes=("70", old + 1)), {}, NOW) == ()


def test_the_beginning_of_a_stream_counts_while_it_is_recent() -> None:
    old = KNOWN_FOR // SECOND
    begun = Cursor("v1/pods", "90", NOW, since="60", since_at=NOW - 20 * SECOND)
    before = Cursor("v1/nodes", "80", NOW, since="50", since_at=NOW - old * SECOND)
    assert past_versions({"v1/pods": begun, "v1/nodes": before}, {}, NOW) == ("60", "80", "90")


def test_versions_of_events_are_tried_only_if_there_are_no_others() -> None:
    assert past_versions(cursors(events=("5", 1), pods=("90", 1)), {}, NOW) == ("90",)
    assert past_versions(cursors(events=("5", 1)), {}, NOW) == ("5",)


def test_versions_that_are_not_numbers_are_skipped() -> None:
    assert past_versions(cursors(pods=("b7", 1)), {}, NOW) == ()
    assert past_versions(cursors(pods=("90", 1)), {}, NOW, "b7") == ("90",)


def test_the_version_of_a_new_definition_is_tried_too() -> None:
    known = cursors(pods=("90", 1), nodes=("95", 1))
    assert past_versions(known, {}, NOW, "93") == ("90", "93", "95")
    assert past_versions(known, {}, NOW, "100") == ("90", "95", "100")


@pytest.mark.parametrize("defined", ["89", "90", ""])
def test_a_definition_that_was_there_before_is_not(defined: str) -> None:
    assert past_versions(cursors(pods=("90", 1)), {}, NOW, defined) == ("90",)


def test_a_definition_alone_is_not_tried_because_it_may_be_of_any_age() -> None:
    assert past_versions({}, {}, NOW, "93") == ()
