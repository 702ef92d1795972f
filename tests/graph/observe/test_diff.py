"""Descriptions of changes: golden patches and summaries, masking, limits."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from kspan.graph.observe.diff import PATCH_LIMIT, SUMMARY_LIMIT, ComparedFields, compared_annotations, describe, owns
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
        "minReadySeconds: 10, paused removed, replicas: 2 → 4, strategy.rollingUpdate removed, "
        "strategy.type: RollingUpdate → Recreate, containers.proxy added: proxy:v3…"
    )


@pytest.mark.parametrize(
    "before, after, summary",
    [
        (fields({"replicas": 2}), fields({"replicas": 4}), "replicas: 2 → 4"),
        (fields({"paused": False}), fields({"paused": True}), "paused: false → true"),
        (fields({"a": 1}), fields({"a": "1"}), "a: 1 → 1"),
        (fields({"a": [1]}), fields({"a": [1, 2]}), "a: 2"),
        (fields({"a": [[1]]}), fields({"a": [[2]]}), "a: 1 → 2"),
        (fields({"a": {"1": 1}}), fields({"a": {"1": 2}}), "a.1: 1 → 2"),
        (fields({"a": "x" * 99}), fields({"a": {"b": "y" * 99}}), f'a: {"x" * 59}… → {{"b":"{"y" * 53}…'),
        (fields(labels={"a": "1"}), fields(labels=None), "labels.a removed"),
        (fields(None), fields({"replicas": 1}, {"a": "é"}), "labels.a: é"),
        (fields([1]), fields([2]), "spec: 1 → 2"),
        (fields([1]), fields({}), "spec: [1] → {}"),
        (fields(["x"], {"z": "1"}), fields(["y"], {"z": "2"}, a="1"), "spec: x → y, labels.z: 1 → 2, annotations.a: 1"),
    ],
)
def test_summaries(before: ComparedFields, after: ComparedFields, summary: str) -> None:
    assert describe(before, after)[1] == summary


def test_annotations_that_repeat_the_spec_are_not_compared() -> None:
    kept = {"example.com/ticket": "OPS-7"}
    bookkeeping = ("deprecated.daemonset.template.generation", "pv.kubernetes.io/bound-by-controller")
    assert compared_annotations(dict.fromkeys(bookkeeping, "1") | kept) == kept
    assert compared_annotations({LAST_APPLIED: "{}", "deployment.kubernetes.io/revision": "2", **kept}) == kept
    assert compared_annotations(None) == {}


def test_confidential_values_are_masked_and_their_names_stay() -> None:
    env = [{"name": "A", "value": "hunter1"}, {"name": "B", "value": "hunter2"}]
    before = fields({"template": template({"name": "web", "env": env})})
    after = fields({"template": template({"name": "web", "env": [*env, {"name": "C", "value": "hunter3"}]})})
    patch, summary = describe(before, after)
    assert json.loads(patch)[0]["path"] == "/spec/template/spec/containers/0/env/2"
    assert "hunter" not in patch + summary
    assert summary == f"web.env.C: {MASK}"
    patch, summary = describe(fields({"data": {"a": "hunter1"}}), fields({"data": {"a": "hunter2", "b": "hunter3"}}))
    assert summary == f"data.b: {MASK}"


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


def of_template(**spec: Any) -> ComparedFields:
    """A workload with one container and more fields in the spec of its Pods."""
    web = {
        "name": "web",
        "image": "web:v1",
        "env": [{"name": "A", "value": "1"}],
        "resources": {"limits": {"cpu": "1"}},
    }
    return fields({"template": {"metadata": {"labels": {"a": "1"}}, "spec": {"containers": [web], **spec}}})


def of_web(**changed: Any) -> ComparedFields:
    """The same with other fields of its container."""
    web = {
        "name": "web",
        "image": "web:v1",
        "env": [{"name": "A", "value": "1"}],
        "resources": {"limits": {"cpu": "1"}},
    }
    return of_template(containers=[{**web, **changed}])


@pytest.mark.parametrize(
    "after, summary",
    [
        (of_web(image="web:v2"), "web.image: web:v1 → web:v2"),
        (of_web(resources={"limits": {"cpu": "2"}}), "web.resources.limits.cpu: 1 → 2"),
        (of_web(resources={"limits": {}}), "web.resources.limits.cpu removed"),
        (of_web(env=[]), "web.env.A removed"),
        (of_web(env=[{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]), f"web.env.B: {MASK}"),
        (of_web(ports=[{"name": "http", "containerPort": 80}]), "web.ports.http.containerPort: 80"),
        (of_web(readinessProbe={"httpGet": {"port": 80}}), "web.readinessProbe.httpGet.port: 80"),
        (of_template(nodeSelector={"nowhere": "yes"}), "nodeSelector.nowhere: yes"),
        (of_template(serviceAccountName="web"), "serviceAccountName: web"),
        (of_template(initContainers=[{"name": "wait", "image": "wait:v1"}]), "initContainers.wait added: wait:v1"),
        (of_template(initContainers=[{"name": "wait"}]), "initContainers.wait added"),
    ],
)
def test_a_change_of_a_template_names_the_container_or_the_map(after: ComparedFields, summary: str) -> None:
    assert describe(of_template(), after)[1] == summary


@pytest.mark.parametrize(
    "before, after, summary",
    [
        (fields({"nodeSelector": {"a": "b"}}), fields({}), "nodeSelector.a removed"),
        (fields(None, {"tier": "web", "team": "a"}), fields(None, {"team": "a"}), "labels.tier removed"),
        (
            fields({"updateStrategy": {"rollingUpdate": {"partition": 1}}}),
            fields({"updateStrategy": {"rollingUpdate": {"partition": 0}}}),
            "rollingUpdate.partition: 1 → 0",
        ),
        (
            fields({}),
            fields({"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}], "unschedulable": True}),
            "taints.gpu: yes:NoSchedule, unschedulable: true",
        ),
        (
            fields({"taints": [{"key": "a", "effect": "NoExecute"}, {"key": "b", "effect": "NoExecute"}]}),
            fields({"taints": [{"key": "b", "effect": "NoExecute"}]}),
            "taints.a removed",
        ),
        (fields({"taints": [{"key": "a", "effect": "NoExecute"}]}), fields({}), "taints.a removed"),
        (
            fields({}),
            fields({"claimRef": {"kind": "PersistentVolumeClaim", "namespace": "shop", "name": "data", "uid": "u"}}),
            "claimRef: PersistentVolumeClaim shop/data",
        ),
        (
            fields({"template": {"metadata": {}}}),
            fields({"template": {"metadata": {"annotations": {"kubectl.kubernetes.io/restartedAt": "2026"}}}}),
            "template.annotations.kubectl.kubernetes.io/restartedAt: 2026",
        ),
    ],
)
def test_the_key_of_a_map_has_its_parent(before: ComparedFields, after: ComparedFields, summary: str) -> None:
    assert describe(before, after)[1] == summary


CONTAINERS: dict[str, Any] = {
    "f:containers": {'k:{"name":"a"}': {".": {}, "f:name": {}}, 'k:{"name":"b"}': {"f:image": {}}}
}


@pytest.mark.parametrize(
    "path, expected",
    [
        ("/spec/replicas", True),
        ("/spec/paused", False),
        ("/spec/template/containers/0/image", False),
        ("/spec/template/containers/1/image", True),
        ("/spec/template/containers/2/image", False),
        ("/spec/template/containers/x", False),
        ("/spec/template/containers", True),
        # A field without fields below is owned as a whole.
        ("/spec/selector/matchLabels/app", True),
        ("/metadata/annotations/example.com~1a", True),
        ("/metadata/finalizers/0", False),
        ("/metadata/finalizers/1", True),
    ],
)
def test_an_entry_of_managed_fields_owns_fields_and_items_of_lists(path: str, expected: bool) -> None:
    metadata: dict[str, Any] = {
        "f:annotations": {"f:example.com/a": {}},
        "f:finalizers": {'v:"two"': {}, "v:broken": {}},
    }
    spec = {"f:replicas": {}, "f:selector": {}, "f:template": CONTAINERS}
    own = msgspec.Raw(msgspec.json.encode({"f:spec": spec, "f:metadata": metadata}))
    document = {
        "spec": {"template": {"containers": [{"name": "a"}, {"name": "b"}, {"name": "c"}]}},
        "metadata": {"finalizers": ["one", "two"]},
    }
    assert owns(own, path, document) is expected


@pytest.mark.parametrize("fields", [b"", b"[]", b"{"])
def test_invalid_fields_own_nothing(fields: bytes) -> None:
    assert not owns(msgspec.Raw(fields), "/spec", {})
