"""When a list is complete, which namespaces it covers, and whether resourceVersions may start over."""

import pytest

from kspan.ingest.frames import Frame, FrameType, marker_object
from kspan.ingest.list_policy import LIST_QUIET, LIVE_LISTS, RECORDED_LISTS, OpenList
from kspan.model import Cursor

PODS, NODES = "v1/pods", "v1/nodes"
START = 1_000_000_000_000


def open_list() -> OpenList:
    return OpenList(PODS, "10", START, scope="bank,shop", epoch=0, relist=False, missing={})


def frame(kind: FrameType, *, after: int = 0, resource: str = PODS) -> Frame:
    return Frame(START + after, resource, kind, marker_object("12", ["shop"]), "test", 1)


@pytest.mark.parametrize(
    "received, recorded, live",
    [
        (frame(FrameType.BOOKMARK), "bank,shop", "shop"),
        (frame(FrameType.LIST), "bank,shop", None),
        (frame(FrameType.ADDED), "bank,shop", None),
        (frame(FrameType.ERROR), "bank,shop", None),
        (frame(FrameType.NOTE), "bank,shop", None),
        (frame(FrameType.LISTED), None, None),
        (frame(FrameType.LISTED, after=LIST_QUIET), None, None),
        (frame(FrameType.LISTED, after=LIST_QUIET + 1), "bank,shop", None),
        (frame(FrameType.BOOKMARK, resource=NODES), None, None),
        (frame(FrameType.ADDED, after=LIST_QUIET, resource=NODES), None, None),
        (frame(FrameType.ADDED, after=LIST_QUIET + 1, resource=NODES), "bank,shop", None),
    ],
)
def test_a_frame_completes_a_list(received: Frame, recorded: str | None, live: str | None) -> None:
    assert RECORDED_LISTS.completed_scope(open_list(), received) == recorded
    assert LIVE_LISTS.completed_scope(open_list(), received) == live


@pytest.mark.parametrize("version, live", [("99", True), ("100", False), ("101", False), ("", False), ("b7", False)])
def test_only_in_a_live_cluster_an_older_list_means_that_versions_started_over(version: str, live: bool) -> None:
    cursor = Cursor(PODS, "100", START)
    assert LIVE_LISTS.started_over(version, cursor) is live
    assert RECORDED_LISTS.started_over(version, cursor) is False
