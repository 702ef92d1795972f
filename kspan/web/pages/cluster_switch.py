"""The switch between clusters in the header of a page: a form without a script, which keeps the filters of a list."""

from typing import Final
from urllib.parse import parse_qsl

import msgspec

from kspan.query.fleet.choose import labels
from kspan.web.access.asker import AskedCluster
from kspan.web.guard import CLUSTER

_LISTS: Final = ("/traces", "/timeline", "/rollouts", "/objects")
"""Pages whose filters mean the same in another cluster. From any other page the switch leads to the list, or home."""

_FILTERS: Final = ("since", "until", "namespace", "kind", "name", "node", "actor", "status", "outcome", "text")
_MORE_FILTERS: Final = ("min_duration", "errors", "deleted", "follow")


class Switch(msgspec.Struct, frozen=True):
    """The switch.

    Args:
        action: the page that it leads to.
        kept: filters that it keeps, as names and values.
        clusters: the text of each cluster, and whether it is shown.
    """

    action: str
    kept: list[tuple[str, str]]
    clusters: list[tuple[str, bool]]


def switch_of(asked: AskedCluster) -> Switch | None:
    """Return the switch of a page; None if there is nothing to switch to."""
    if len(asked.offered) < 2:
        return None
    texts = labels(asked.offered)
    clusters = sorted((text, uid == asked.uid) for uid, text in texts.items())
    action = next((path for path in _LISTS if asked.path == path or asked.path.startswith(f"{path}/")), "/")
    filters = parse_qsl(asked.query) if asked.path == action else []
    kept = [(name, text) for name, text in filters if name != CLUSTER and name in (*_FILTERS, *_MORE_FILTERS)]
    return Switch(action, kept, clusters)
