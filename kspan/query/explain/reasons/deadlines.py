"""Deadlines and limits that were exceeded, as the recorded spec sets them.

Sources: k8s.io/kubernetes pkg/controller/job (jobDeadlineExceeded, backoffLimit), pkg/kubelet/active_deadline.go,
pkg/controller/deployment/progress.go.
"""

from sqlalchemy import Connection

from kspan import vocabulary
from kspan.model import ObjectRow, SpanRow
from kspan.query.explain import manifests
from kspan.query.explain.reasons.reason import Reason
from kspan.times import parse_time_or_zero


def reason(connection: Connection, cluster: str, here: ObjectRow, shown: SpanRow, until: int) -> Reason | None:
    """Return the limit of an object's spec that it exceeded; None if it exceeded none that is recorded."""
    why = str(shown.attributes.get(vocabulary.CONDITION_REASON) or shown.reason)
    exceeded = {
        ("Job", "DeadlineExceeded"): _active,
        ("Pod", "DeadlineExceeded"): _active,
        ("Job", "BackoffLimitExceeded"): _attempts,
        ("Deployment", "ProgressDeadlineExceeded"): _progress,
    }
    found = exceeded.get((here.kind, why)) if shown.object_uid == here.uid else None
    if found is None:
        return None
    raw = manifests.manifest(connection, cluster, here, until)
    return found(manifests.mapping(raw.get("spec")), manifests.mapping(raw.get("status")))


def _active(spec: manifests.Json, status: manifests.Json) -> Reason | None:
    seconds = manifests.number(spec, "activeDeadlineSeconds")
    if seconds is None:
        return None
    started = parse_time_or_zero(manifests.text(status, "startTime"))
    return Reason(kind="deadline", text=f"activeDeadlineSeconds is {seconds}", started=started)


def _attempts(spec: manifests.Json, status: manifests.Json) -> Reason | None:
    limit, failed = manifests.number(spec, "backoffLimit"), manifests.number(status, "failed")
    if limit is None:
        return None
    pods = f"{failed} of its Pods failed, and " if failed else ""
    return Reason(kind="limit", text=f"{pods}backoffLimit is {limit}")


def _progress(spec: manifests.Json, _: manifests.Json) -> Reason | None:
    seconds = manifests.number(spec, "progressDeadlineSeconds")
    if seconds is None:
        return None
    return Reason(kind="deadline", text=f"it made no progress for {seconds}s (progressDeadlineSeconds)")
