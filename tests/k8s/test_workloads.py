"""Facts about workloads and their Pods."""

from typing import Any

import pytest
from msgspec import json

from kspan.k8s.workloads import (
    changeable_fields,
    container_images,
    content,
    mounted_claims,
    pod_index,
    revision_label,
    template_fingerprint,
    toleration_seconds,
    wanted_node,
)


def template(labels: dict[str, str], annotations: dict[str, str] | None = None, image: str = "v1") -> bytes:
    metadata = {"labels": labels, "annotations": annotations or {}}
    return json.encode({"metadata": metadata, "spec": {"containers": [{"image": image}]}})


def test_a_deployment_and_its_replicaset_have_the_same_fingerprint() -> None:
    web = template_fingerprint(template({"app": "web", "tier": "front"}))
    assert web == template_fingerprint(template({"tier": "front", "app": "web", "pod-template-hash": "6548b9766b"}))
    others = [template({"app": "x"}), template({"app": "web", "tier": "front"}, {"a": "b"}), template({}, image="v2")]
    assert web not in map(template_fingerprint, others)


def test_a_missing_template_has_no_fingerprint_and_one_of_another_form_has() -> None:
    assert template_fingerprint(b"") == 0
    assert template_fingerprint(b"[1]") != template_fingerprint(b"[2]")


def test_the_content_of_an_object_without_a_spec_is_all_but_its_head_and_status() -> None:
    head = {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": "a"}, "status": {}}
    assert (
        content(json.encode(head | {"data": {"a": "1"}, "immutable": True})) == b'{"data":{"a":"1"},"immutable":true}'
    )
    assert content(json.encode(head)) == b""
    assert content(b"[") == b""


@pytest.mark.parametrize(
    "value, expected",
    [("0", 0), ("12", 12), ("123456789", 123456789), ("1234567890", -1), ("-1", -1), ("x", -1), ("²", -1), ("", -1)],
)
def test_the_ordinal_of_a_pod_is_its_label(value: str, expected: int) -> None:
    assert pod_index(json.encode({"app": "db", "apps.kubernetes.io/pod-index": value})) == expected


def test_a_pod_without_the_label_has_no_ordinal() -> None:
    assert pod_index(b'{"app":"db"}') == -1
    assert pod_index(b'{"apps.kubernetes.io/pod-index":1}') == -1, "labels are strings"


def test_the_revision_of_a_pod_is_its_label() -> None:
    assert revision_label(b'{"app":"db","controller-revision-hash":"db-5d9"}') == "db-5d9"
    assert revision_label(b'{"controller-revision-hash": "db-5d9"}') == "db-5d9"
    assert revision_label(b'{"app":"db"}') == ""


def toleration(key: str, seconds: int | None) -> dict[str, Any]:
    return {"key": key, "operator": "Exists"} | ({"tolerationSeconds": seconds} if seconds is not None else {})


@pytest.mark.parametrize(
    "tolerations, expected",
    [
        ([], 0),
        ([toleration("maintenance", None)], 0),
        ([toleration("maintenance", 60), toleration("gpu", 90)], 90),
        ([toleration("node.kubernetes.io/not-ready", 300), toleration("node.kubernetes.io/unreachable", 300)], 0),
        ([toleration("node.kubernetes.io/not-ready", 300), toleration("maintenance", 60)], 60),
        ([toleration("maintenance", "x")], 0),  # type: ignore[arg-type]
    ],
)
def test_how_long_a_pod_stays_on_a_tainted_node(tolerations: list[dict[str, Any]], expected: int) -> None:
    assert toleration_seconds(json.encode(tolerations)) == expected


def affinity(*names: str, key: str = "metadata.name") -> bytes:
    terms = [{"matchFields": [{"key": key, "operator": "In", "values": list(names)}]}]
    return json.encode(
        {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}
    )


def test_the_wanted_node_of_a_daemonset_pod_is_the_only_one_that_its_affinity_allows() -> None:
    assert wanted_node(affinity("node-a")) == "node-a"
    assert wanted_node(affinity("node-a", "node-b")) == wanted_node(affinity()) == ""
    assert wanted_node(affinity("node-a", key="zone")) == ""
    assert [wanted_node(raw) for raw in (b"", b"{}", b'{"nodeAffinity":{}}', b"[")] == [""] * 4


def test_a_pod_mounts_named_claims_and_those_of_its_ephemeral_volumes() -> None:
    volumes: list[dict[str, Any]] = [
        {"name": "files", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "cache", "ephemeral": {"volumeClaimTemplate": {"spec": {}}}},
        {"name": "again", "persistentVolumeClaim": {"claimName": "data"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    assert mounted_claims(json.encode({"volumes": volumes}), "web-0") == ("data", "web-0-cache")


@pytest.mark.parametrize(
    "spec", [b"", b"{}", b'{"volumes":[{"emptyDir":{}}]}', b'{"volumes":{"persistentVolumeClaim":1}}', b'"ephemeral"']
)
def test_a_pod_without_claims_or_with_an_invalid_spec_mounts_none(spec: bytes) -> None:
    assert mounted_claims(spec, "web-0") == ()


POD = {
    "containers": [{"name": "web", "image": "web:v1", "args": ["x"], "resources": {"limits": {"cpu": "1"}}}],
    "ephemeralContainers": [{"name": "look", "image": "busybox", "targetContainerName": "web"}],
    "initContainers": [{"name": "wait", "image": "wait:v1"}, {"name": "without image"}],
    "volumes": [{"name": "data"}],
    "nodeName": "node-a",
}


def test_of_a_running_pod_only_what_can_change_is_kept() -> None:
    assert json.decode(changeable_fields(json.encode(POD))) == {
        "containers": [{"name": "web", "image": "web:v1", "resources": {"limits": {"cpu": "1"}}}],
        "ephemeralContainers": [{"name": "look", "image": "busybox", "targetContainerName": "web"}],
        "initContainers": [{"name": "wait", "image": "wait:v1"}, {"name": "without image"}],
    }
    first, second = (changeable_fields(json.encode({**POD, "nodeName": node})) for node in ("node-a", "node-b"))
    assert first is second, "the Pods of a ReplicaSet share it"


def test_each_container_has_its_image_by_field_path() -> None:
    assert container_images(changeable_fields(json.encode(POD))) == {
        "spec.containers{web}": "web:v1",
        "spec.ephemeralContainers{look}": "busybox",
        "spec.initContainers{wait}": "wait:v1",
    }


@pytest.mark.parametrize("spec", [b"", b"{", b"[]", b'{"containers": 1}'])
def test_a_pod_that_does_not_match_the_schema_has_no_fields_that_change(spec: bytes) -> None:
    assert changeable_fields(spec) == b""
    assert container_images(spec) == {}
