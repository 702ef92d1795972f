"""Descriptions of changes: golden patches and summaries, masking, limits."""

import json
from typing import Any

import pytest
from hypothesis import given, settings

from kspan.graph.observe.diff import PATCH_LIMIT, SUMMARY_LIMIT, ComparedFields, compared_annotations, describe
from kspan.k8s.redact import LAST_APPLIED, MASK, mask_values
from tests.k8s.test_json_patch import apply, documents, typed


def fields(spec: Any = None, labels: Any = None, **annotations: str) -> ComparedFields:
    """The compared fields of an object with this spec and these labels."""
    raw_spec, raw_labels = (b"" if x is None else json.dumps(x).encode() for x in (spec, labels))
    return ComparedFields(raw_spec, raw_labels, annotations)


def template(*containers: dict[str, Any]) -> dict[str, Any]:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": list(containers)}}


BEFORE = fields(
    {
        "replicas": 2,
        "paused": True,
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}},
        "template": template({"name": "web", "image": "web:v1", "args": ["--log=info", "--port=80"]}, {"name": "log"}),
    },
    {"app": "web", "team": "blue", "tier": "front"},
    ticket="OPS-6",
)
AFTER = fields(
    {
        "replicas": 4,
        "strategy": {"type": "Recreate"},
        "minReadySeconds": 10,
        "template": template(
            {"name": "proxy", "image": "proxy:v3"},
            {"name": "web", "image": "web:v2", "args": ["--log=debug", "--port=80"]},
            {"name": "log"},
        ),
    },
    {"app": "web", "team": "red", "zone": "a"},
    ticket="OPS-7",
    **{"example.com/why": "more"},
)
PATCH = (
    '[{"op":"add","path":"/spec/minReadySeconds","value":10},'
    '{"op":"remove","path":"/spec/paused"},'
    '{"op":"replace","path":"/spec/replicas","value":4},'
    '{"op":"remove","path":"/spec/strategy/rollingUpdate"},'
    '{"op":"replace","path":"/spec/strategy/type","value":"Recreate"},'
    '{"op":"add","path":"/spec/template/spec/containers/0","value":{"name":"proxy","image":"proxy:v3"}},'
    '{"op":"replace","path":"/spec/template/spec/containers/1/args/0","value":"--log=debug"},'
    '{"op":"replace","path":"/spec/template/spec/containers/1/image","value":"web:v2"},'
    '{"op":"replace","path":"/metadata/labels/team","value":"red"},'
    '{"op":"remove","path":"/metadata/labels/tier"},'
    '{"op":"add","path":"/metadata/labels/zone","value":"a"},'
    '{"op":"add","path":"/metadata/annotations/example.com~1why","value":"more"},'
    '{"op":"replace","path":"/metadata/annotations/ticket","value":"OPS-7"}]'
)


def test_a_change_of_many_fields_gives_exactly_this_patch_and_summary() -> None:
    patch, summary = describe(BEFORE, AFTER)
    assert patch == PATCH
    assert summary == (
        "minReadySeconds: 10, paused removed, replicas: 2 → 4, rollingUpdate removed, type: RollingUpdate → Recreate, "
        'containers: {"name":"proxy","image":"proxy:v3"}, a…'
    )


@pytest.mark.parametrize(
    "before, after, summary",
    [
        (fields({"replicas": 2}), fields({"replicas": 4}), "replicas: 2 → 4"),
        (fields({"paused": False}), fields({"paused": True}), "paused: false → true"),
        (fields({"a": 1}), fields({"a": "1"}), "a: 1 → 1"),
        (fields({"a": [1]}), fields({"a": [1, 2]}), "a: 2"),
        (fields({"a": [[1]]}), fields({"a": [[2]]}), "a: 1 → 2"),
        (fields({"a": {"1": 1}}), fields({"a": {"1": 2}}), "1: 1 → 2"),
        (fields({"a": "x" * 99}), fields({"a": {"b": "y" * 99}}), f'a: {"x" * 59}… → {{"b":"{"y" * 53}…'),
        (fields(labels={"a": "1"}), fields(labels=None), "a removed"),
        (fields(None), fields({"replicas": 1}, {"a": "é"}), "a: é"),
        (fields([1]), fields([2]), "spec: 1 → 2"),
        (fields([1]), fields({}), "spec: [1] → {}"),
        (fields(["x"], {"z": "1"}), fields(["y"], {"z": "2"}, a="1"), "spec: x → y, z: 1 → 2, a: 1"),
    ],
)
def test_summaries(before: ComparedFields, after: ComparedFields, summary: str) -> None:
    assert describe(before, after)[1] == summary


def test_annotations_that_repeat_the_spec_are_not_compared() -> None:
    kept = {"example.com/ticket": "OPS-7"}
    assert compared_annotations({LAST_APPLIED: "{}", "deployment.kubernetes.io/revision": "2", **kept}) == kept
    assert compared_annotations(None) == {}


def test_confidential_values_are_masked_and_their_names_stay() -> None:
    env = [{"name": "A", "value": "hunter1"}, {"name": "B", "value": "hunter2"}]
    before = fields({"template": template({"name": "web", "env": env})})
    after = fields({"template": template({"name": "web", "env": [*env, {"name": "C", "value": "hunter3"}]})})
    patch, summary = describe(before, after)
    assert json.loads(patch)[0]["path"] == "/spec/template/spec/containers/0/env/2"
    assert "hunter" not in patch + summary
    assert '"C"' in summary
    patch, summary = describe(fields({"data": {"a": "hunter1"}}), fields({"data": {"a": "hunter2", "b": "hunter3"}}))
    assert summary == f"b: {MASK}"


def test_a_value_that_is_masked_does_not_differ() -> None:
    before, after = (
        fields({"x": {"env": [{"name": "A", "value": value}]}, "stringData": {"k": value}}) for value in ("1", "2")
    )
    assert describe(before, after) == ("", "")


def test_a_patch_at_the_limit_is_kept_and_one_above_it_is_left_out() -> None:
    frame = len('[{"op":"replace","path":"/spec/a","value":""}]')
    largest = "é" * ((PATCH_LIMIT - frame) // 2)
    patch, _ = describe(fields({"a": ""}), fields({"a": largest}))
    assert len(patch.encode()) == PATCH_LIMIT
    patch, summary = describe(fields({"a": ""}), fields({"a": largest + "x"}))
    assert patch == ""
    assert summary.startswith("a:  → ééé")


def test_a_summary_is_cut_at_its_limit() -> None:
    """Both values are shown in full, up to the last character that fits."""
    label = "n" * (SUMMARY_LIMIT - len(": 1 → 2"))
    assert describe(fields({label: 1}), fields({label: 2}))[1] == f"{label}: 1 → 2"
    assert describe(fields({label + "n": 1}), fields({label + "n": 2}))[1] == f"{label}n: 1 →…"


@pytest.mark.parametrize("broken", [b"{", b'{"a":1e999}', b'{"b":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_a_version_that_is_not_valid_json_is_not_described(broken: bytes) -> None:
    assert describe(fields({"a": 1}), fields({"a": 2})._replace(spec=broken)) == ("", "")


@settings(deadline=None)
@given(old=documents, new=documents)
def test_the_patch_leads_to_the_new_version_with_confidential_values_masked(old: Any, new: Any) -> None:
    before, after = (ComparedFields(json.dumps(document).encode(), b"", {}) for document in (old, new))
    patch, summary = describe(before, after)
    masked = [{"spec": mask_values(document)} for document in (old, new)]
    if len(json.dumps(masked)) < PATCH_LIMIT // 2:
        found = apply(masked[0], json.loads(patch or "[]"))
        assert typed(found) == typed(masked[1])
        assert bool(patch) is bool(summary)
