"""managedFields, as the API server keeps them (staging/src/k8s.io/apimachinery/pkg/util/managedfields)."""

from typing import Any

from tests.simulator.objects import Obj, seconds

Fields = dict[str, Any]


def manage(o: Obj, manager: str, operation: str, subresource: str | None, fields: Fields, now: float) -> None:
    """``manager`` wrote ``fields`` of ``o``: an Update takes over what it changes."""
    entries: list[Obj] = o["metadata"].setdefault("managedFields", [])
    wanted = (manager, operation, subresource)
    mine = next((e for e in entries if (e["manager"], e["operation"], e.get("subresource")) == wanted), None)
    if mine is None:
        mine = {
            "manager": manager,
            "operation": operation,
            "apiVersion": o["apiVersion"],
            "time": seconds(now),
            "fieldsType": "FieldsV1",
            "fieldsV1": {},
        }
        if subresource:
            mine["subresource"] = subresource
        entries.append(mine)
    _merge(mine["fieldsV1"], fields)
    for other in entries:
        if other is not mine and subresource != "status" and other.get("subresource") != "status":
            _take(other["fieldsV1"], fields)
    mine["time"] = seconds(now)
    if subresource == "scale":
        del mine["time"]
    entries[:] = [e for e in entries if e["fieldsV1"]]
    entries.sort(key=lambda e: (e["operation"] != "Apply", e.get("time", ""), e["manager"]))


def of_spec(*keys: str) -> Fields:
    return {"f:spec": {f"f:{key}": {} for key in keys}}


def of_labels(*keys: str) -> Fields:
    return {"f:metadata": {"f:labels": {f"f:{key}": {} for key in keys}}}


def of_owner(uid: str) -> Fields:
    return {"f:metadata": {"f:ownerReferences": _owner(uid)}}


def of_new(spec: Obj | None, labels: Obj | None, annotations: Obj | None, owner_uid: str | None) -> Fields:
    """What a creation writes."""
    fields: Fields = {"f:spec": {f"f:{k}": {".": {}} if isinstance(v, dict) else {} for k, v in (spec or {}).items()}}
    if labels or annotations or owner_uid is not None:
        fields["f:metadata"] = {}
    if labels:
        fields["f:metadata"]["f:labels"] = {f"f:{k}": {} for k in labels}
    if annotations:
        fields["f:metadata"]["f:annotations"] = {f"f:{k}": {} for k in annotations}
    if owner_uid is not None:
        fields["f:metadata"]["f:ownerReferences"] = _owner(owner_uid)
    return fields


def _owner(uid: str) -> Fields:
    return {".": {}, f'k:{{"uid":"{uid}"}}': {}}


def _merge(into: Fields, fields: Fields) -> None:
    for key, below in fields.items():
        _merge(into.setdefault(key, {}), below)


def _take(from_: Fields, fields: Fields) -> None:
    for key, below in fields.items():
        if key not in from_:
            continue
        if below:
            _take(from_[key], below)
        if not below or not from_[key]:
            del from_[key]
