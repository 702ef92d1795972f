"""Gaps are listed newest first, in pages and by time."""

import json
from urllib.parse import urlencode

from kspan.model import Delta, GapRow
from kspan.store import Store
from kspan.times import SECOND, format_time
from tests.emit.rows import START
from tests.query.conftest import store  # noqa: F401
from tests.query.made import CLUSTER
from tests.web.pages.site import site
from tests.web.test_server import ask


def test_gaps_are_listed_newest_first_in_pages_and_by_time(store: Store) -> None:  # noqa: F811
    gaps = [
        GapRow(
            seq=number,
            resource="v1/pods",
            from_version=str(number),
            to_version=str(number + 1),
            reason="410",
            recorded_at=START + number * SECOND,
        )
        for number in range(1, 8)
    ]
    store.commit(CLUSTER, store.last_sequence(CLUSTER) + 1, [], [], Delta(gaps=gaps))

    def pages(**given: str) -> list[int]:
        found: list[int] = []
        cursor: dict[str, str] = {}
        while True:
            status, body, _ = ask(address, f"/v1/gaps?{urlencode(given | cursor)}")
            assert status == 200, body
            page = json.loads(body)
            found += [each["seq"] for each in page["items"]]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}

    with site(store, CLUSTER) as address:
        assert pages(limit="3") == [7, 6, 5, 4, 3, 2, 1]
        since, until = (format_time(START + number * SECOND) for number in (2, 6))
        assert pages(limit="2", since=since, until=until) == [5, 4, 3, 2]
