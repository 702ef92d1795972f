"""What must not get into the journal does not, and all else does."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.k8s.redact import LAST_APPLIED, MASK, mask_values, redact


def pod(**env: str) -> dict[str, Any]:
    variables: list[Any] = [{"name": name, "value": value} for name, value in env.items()]
    variables.append({"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}})
    return {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [{"name": "c", "env": variables}]}}


def redacted(resource: str, value: object, **options: bool) -> Any:
    return json.loads(redact(resource, json.dumps(value).encode(), **options))


def test_an_object_without_any_is_the_very_same() -> None:
    raw = b'{"kind": "Pod",   "metadata": {"name": "environment"}}'
    assert redact("v1/pods", raw) is raw


def test_environment_variables_lose_their_values_and_nothing_else() -> None:
    found = redacted("v1/pods", pod(A="hunter2", B="correct horse"))
    first, second, node = found["spec"]["containers"][0]["env"]
    assert first["name"] == "A"
    assert first["value"] == second["value"]
    assert first["value"].startswith("<redacted ")
    assert node == {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}
    assert found["metadata"] == {"name": "p"}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda spec: {"spec": {"template": {"spec": spec}}},
        lambda spec: {"spec": {"jobTemplate": {"spec": {"template": {"spec": spec}}}}},
        lambda spec: {"spec": {"initContainers": spec["containers"]}},
        lambda spec: {"spec": {"components": [{"deep": [spec]}]}},
    ],
)
def test_they_are_found_wherever_they_are(wrap: Any) -> None:
    assert "hunter2" not in json.dumps(redacted("example.com/v1/widgets", wrap(pod(A="hunter2")["spec"])))


def test_a_changed_value_stays_a_change_and_an_unchanged_one_none() -> None:
    one, same, other = (redacted("v1/pods", pod(A=value)) for value in ("x", "x", "y"))
    assert one == same
    assert one != other


def test_they_are_kept_where_the_user_wants_it() -> None:
    assert redacted("v1/pods", pod(A="hunter2"), env=False) == pod(A="hunter2")


def test_kubectls_copy_of_the_manifest_is_masked() -> None:
    annotations = {LAST_APPLIED: '{"data":{"password":"hunter2"}}', "other": "kept"}
    for resource in ("v1/pods", "v1/secrets"):
        found = redacted(resource, {"metadata": {"annotations": annotations}}, env=False)
        assert found["metadata"]["annotations"] == {LAST_APPLIED: "<redacted>", "other": "kept"}


def test_secrets_and_config_maps_lose_their_data() -> None:
    whole = {"kind": "X", "data": {"a": "1"}, "stringData": {"a": "1"}, "binaryData": {"a": "1"}, "metadata": {}}
    assert redacted("v1/secrets", whole, env=False) == {"kind": "X", "binaryData": {"a": "1"}, "metadata": {}}
    assert redacted("v1/configmaps", whole, env=False) == {"kind": "X", "stringData": {"a": "1"}, "metadata": {}}
    assert redacted("example.com/v1/widgets", whole) == whole


@pytest.mark.parametrize("raw", [b'{"env": [', b'[{"env"', b'{"a": ["env" 1]}'])
def test_what_is_no_json_is_refused(raw: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be redacted"):
        redact("v1/pods", raw)


def test_a_secret_that_is_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot be redacted"):
        redact("v1/secrets", b'["hunter2"]')


SECRET = "hunter2"
names = st.sampled_from(["env", "value", "name", "spec", "data", LAST_APPLIED, "f:env"])
trees = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.sampled_from(["env", "x", '"env"'])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


def strip(tree: Any) -> Any:
    """The same by another way: the reference."""
    if isinstance(tree, list):
        return [strip(item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    out: dict[str, Any] = {}
    for key, value in tree.items():
        if key == LAST_APPLIED:
            out[key] = "MASK"
        elif key == "env" and isinstance(value, list):
            out[key] = [
                ({**item, "value": "MASK"} if "value" in item else item) if isinstance(item, dict) else "MASK"
                for item in value
            ]
        else:
            out[key] = strip(value)
    return out


def unmask(tree: Any) -> Any:
    if isinstance(tree, list):
        return [unmask(item) for item in tree]
    if isinstance(tree, dict):
        return {key: unmask(value) for key, value in tree.items()}
    return "MASK" if isinstance(tree, str) and tree.startswith("<redacted") else tree


@given(st.dictionaries(names, trees, max_size=4), st.sampled_from([None, 1]))
def test_any_object_keeps_everything_else(tree: dict[str, Any], indent: int | None) -> None:
    found = json.loads(redact("v1/pods", json.dumps(tree, indent=indent).encode()))
    assert unmask(found) == strip(tree)


def test_values_for_a_change_are_masked_in_data_fields_and_environment_variables() -> None:
    spec = {"containers": [{"name": "c", "env": [{"name": "A", "value": "hunter2"}, {"name": "B"}]}], "replicas": 2}
    assert mask_values({"spec": spec, "data": {"key": "hunter2"}, "other": ["kept"]}) == {
        "spec": {"containers": [{"name": "c", "env": [{"name": "A", "value": MASK}, {"name": "B"}]}], "replicas": 2},
        "data": {"key": MASK},
        "other": ["kept"],
    }
