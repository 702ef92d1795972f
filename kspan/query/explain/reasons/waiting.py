"""The object that another one waited for: a message names it as missing, or a claim is not bound."""

import re
from collections.abc import Sequence
from typing import Final

from sqlalchemy import Connection

from kspan.model import ObjectRow, SpanRow
from kspan.query import spans as reading
from kspan.query.explain import manifests
from kspan.query.explain.effects import Effect
from kspan.query.explain.own import own_message
from kspan.query.explain.reasons.reason import Reason
from kspan.query.explain.wording import cut
from kspan.store.schema import tables as schema

_MISSING: Final = re.compile(
    r'\b(persistentvolumeclaim|configmap|secret|serviceaccount)s? "([^"\s]+)" not found', re.IGNORECASE
)
"""k8s.io/apimachinery errors.NewNotFound, and the same words of the scheduler and the kubelet."""

_KINDS: Final = {
    "persistentvolumeclaim": "PersistentVolumeClaim",
    "configmap": "ConfigMap",
    "secret": "Secret",
    "serviceaccount": "ServiceAccount",
}

_UNBOUND: Final = "unbound immediate PersistentVolumeClaims"

_NAMED: Final = re.compile(r"\b([A-Z]\w+)/([\w.-]+)/([\w.-]+) status: '")
"""github.com/fluxcd/pkg ssa, WaitForSet: objects that are not ready when the health check ends."""


def missing(connection: Connection, cluster: str, shown: SpanRow, until: int) -> Reason | None:
    """Return the object that the message of an error names as missing."""
    found = _MISSING.search(own_message(shown))
    if found is None:
        return None
    kind, name = _KINDS[found[1].lower()], found[2]
    what = f"{kind} {f'{shown.object_namespace}/' if shown.object_namespace else ''}{name}"
    known = [
        each for each in manifests.named(connection, cluster, kind, shown.object_namespace, name) if each.created_at
    ]
    later = [each.created_at for each in known if shown.start_time < each.created_at <= until]
    if later:
        return Reason(kind="missing", text=f"{what} did not exist", happened=min(later))
    gone = [each.deleted_at for each in known if 0 < each.deleted_at <= shown.start_time]
    if gone:
        return Reason(kind="missing", text=f"{what} was deleted", happened=max(gone))
    if not any(each.created_at <= until for each in known) and manifests.is_watched(connection, cluster, kind):
        return Reason(kind="missing", text=f"{what} does not exist")
    return Reason(kind="missing", text=f"{what} was not found")


def came(
    connection: Connection, cluster: str, here: ObjectRow, problem: SpanRow, since: int, shown: SpanRow
) -> Reason | None:
    """Return what an object waited for that came before it went on; None if that is not known."""
    message = own_message(problem)
    waited_for: list[tuple[str, str]] = []
    if _UNBOUND in message or "persistentvolumeclaim" in message:
        waited_for = [("PersistentVolumeClaim", name) for name in _claims(connection, cluster, here, shown.start_time)]
    elif (found := _MISSING.search(message)) is not None:
        waited_for = [(_KINDS[found[1].lower()], found[2])]
    arrived = [
        (time, f"{kind} {name} was {'bound' if kind == 'PersistentVolumeClaim' else 'created'}")
        for kind, name in waited_for
        if (time := _arrival(connection, cluster, kind, here.namespace, name, since, shown.start_time))
    ]
    if not arrived:
        return None
    time, text = max(arrived)
    return Reason(kind="came", text=text, happened=time, waited=max(time - since, 0))


def _claims(connection: Connection, cluster: str, pod: ObjectRow, until: int) -> list[str]:
    """The names of the claims of a Pod (k8s.io/component-helpers storage/ephemeral: that of an ephemeral volume)."""
    spec = manifests.mapping(manifests.manifest(connection, cluster, pod, until).get("spec"))
    names = []
    for volume in manifests.entries(spec, "volumes"):
        if "ephemeral" in volume:
            names.append(f"{pod.name}-{manifests.text(volume, 'name')}")
        elif claim := manifests.text(manifests.mapping(volume.get("persistentVolumeClaim")), "claimName"):
            names.append(claim)
    return names


def _arrival(connection: Connection, cluster: str, kind: str, namespace: str, name: str, since: int, until: int) -> int:
    """When a claim was bound, or an object was created, within an interval (Unix ns); 0: not in it."""
    spans = schema.spans.c
    for each in manifests.named(connection, cluster, kind, namespace, name):
        query = reading.of_object(cluster, each).where(spans.start_time.between(since, until)).limit(100)
        times = [span.start_time for span in reading.fetch(connection, cluster, query) if _is_arrival(kind, span)]
        if times:
            return min(times)
    return 0


def _is_arrival(kind: str, span: SpanRow) -> bool:
    if kind == "PersistentVolumeClaim":
        return span.reason == "Bound" or reading.summary_of(span).startswith("volumeName: ")
    return span.reason == "Create"


def named_dependent(
    connection: Connection,
    cluster: str,
    shown: SpanRow,
    behind: Sequence[SpanRow],
    effects: Sequence[Effect],
) -> Reason | None:
    """Return the failure of a Pod below an object that the message of an error names, or below the object itself."""
    failures = [each for each in effects if each.error and each.kind == "Pod" and each.first <= shown.start_time]
    wanted = {tuple(found) for found in _NAMED.findall(own_message(shown))}
    if not wanted or not failures or not behind:
        return None
    for failure in failures:
        line = reading.ancestors(connection, cluster, behind[-1].trace_id, failure.span_id)
        above = {(span.object_kind, span.object_namespace, span.object_name) for span in line}
        if line and above & wanted:
            pod = line[0]
            text = f"Pod {pod.object_namespace}/{pod.object_name}: {cut(failure.message) or failure.reason}"
            return Reason(kind="dependent", text=text, likely=True)
    return None
