"""The Pods of older revisions that still serve while a rollout is stuck, as the status of their ReplicaSets has it."""

from collections.abc import Collection
from typing import Final, NamedTuple

from sqlalchemy import Connection

from kspan.model import ObjectRow
from kspan.query.explain import manifests
from kspan.query.objects.versions import newest_of_each
from kspan.store.schema import tables as schema
from kspan.store.tables import rows
from kspan.terminal.counted import counted
from kspan.times import LATEST

REVISION: Final = "deployment.kubernetes.io/revision"
"""Annotation of a ReplicaSet (k8s.io/kubernetes pkg/controller/deployment/util). The newest revision has the greatest
number, also after a rollback."""

_LOOKED_AT: Final = 200
"""Maximum number of ReplicaSets, with those that are gone. A Deployment keeps ten old ones by default."""

_LAST: Final = "\U0010ffff"


class _Revision(NamedTuple):
    number: int
    uid: str
    pods: int
    available: int


def still_serving(
    connection: Connection, cluster: str, deployment: ObjectRow, failing: Collection[str], at: int
) -> str:
    """Return the available Pods of older revisions in words: ``2 of 3 old Pods of revision 4 still serve``.

    Args:
        connection, cluster: where to read.
        deployment: the Deployment.
        failing: uids of ReplicaSets below which something fails. Empty if none is known.
        at: the time that is asked about (Unix ns; 0: now).

    Returns an empty string if no stored status says so, if it knows one revision only, or if what fails is not of the
    newest one.
    """
    revisions = sorted(_revisions(connection, cluster, deployment, at or LATEST))
    if len(revisions) < 2 or (failing and revisions[-1].uid not in failing):
        return ""
    old = [each for each in revisions[:-1] if each.available > 0]
    if not old:
        return ""
    pods, available = sum(each.pods for each in old), sum(each.available for each in old)
    which = f"revision {old[0].number}" if len(old) == 1 else f"revisions {old[0].number} to {old[-1].number}"
    number = f"{available} of " if pods > available else ""
    verb = "serves" if available == 1 else "serve"
    return f"{number}{counted(max(pods, available), 'old Pod')} of {which} still {verb}"


def _revisions(connection: Connection, cluster: str, deployment: ObjectRow, until: int) -> list[_Revision]:
    """The ReplicaSets of a Deployment that existed at a time; none if there are too many to look at."""
    here, prefix = schema.objects.c, f"{deployment.name}-"
    place = (here.cluster == cluster, here.kind == "ReplicaSet", here.namespace == deployment.namespace)
    named = (*place, here.name >= prefix, here.name < prefix + _LAST)
    query = rows.select_rows(schema.objects, ObjectRow).where(*named).order_by(here.name).limit(_LOOKED_AT)
    found = list(rows.fetch(connection, query, ObjectRow))
    if len(found) == _LOOKED_AT:
        return []
    mine = [each for each in found if each.owner_uid == deployment.uid and not 0 < each.deleted_at <= until]
    newest = newest_of_each(connection, cluster, mine, until=until)
    read = (_revision(uid, manifests.decoded(version.record.payload)) for uid, version in newest.items())
    return [each for each in read if each is not None]


def _revision(uid: str, found: manifests.Json) -> _Revision | None:
    annotations = manifests.mapping(manifests.mapping(found.get("metadata")).get("annotations"))
    number, status = manifests.text(annotations, REVISION), manifests.mapping(found.get("status"))
    if not (number.isascii() and number.isdigit() and len(number) < 10):
        return None
    pods, available = (manifests.number(status, key) or 0 for key in ("replicas", "availableReplicas"))
    return _Revision(int(number), uid, pods, available)
