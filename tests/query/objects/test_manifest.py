"""Manifests as text and as a diff: plain data."""

from typing import Any

import yaml
from hypothesis import given
from hypothesis import strategies as st

from kspan.query.objects.manifest import comparable, readable, to_yaml, unified_diff

DEPLOYMENT: dict[str, Any] = {
    "metadata": {
        "name": "web",
        "resourceVersion": "7",
        "generation": 2,
        "managedFields": [{"manager": "kubectl"}],
        "annotations": {
            "deployment.kubernetes.io/revision": "2",
            "kubectl.kubernetes.io/last-applied-configuration": "{}",
            "deprecated.daemonset.template.generation": "2",
        },
    },
    "status": {"replicas": 1},
    "spec": {"replicas": 1},
    "kind": "Deployment",
    "apiVersion": "apps/v1",
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3)
    ),
    max_leaves=12,
)


def test_a_manifest_is_in_the_order_of_kubectl_without_managed_fields() -> None:
    shown = readable(DEPLOYMENT)
    assert list(shown) == ["apiVersion", "kind", "metadata", "spec", "status"]
    assert "managedFields" not in shown["metadata"]
    assert readable(DEPLOYMENT, managed_fields=True)["metadata"] == DEPLOYMENT["metadata"]


def test_bookkeeping_and_the_status_are_not_compared() -> None:
    assert comparable(DEPLOYMENT) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {"replicas": 1},
    }
    assert comparable(DEPLOYMENT, status=True)["status"] == {"replicas": 1}
    assert "annotations" in DEPLOYMENT["metadata"], "the manifest itself is left as it is"


def test_a_text_of_several_lines_is_a_block() -> None:
    assert to_yaml({"data": {"app.yaml": "a: 1\nb: 2\n"}}) == "data:\n  app.yaml: |\n    a: 1\n    b: 2\n"


def test_characters_that_a_terminal_obeys_are_escaped() -> None:
    text = to_yaml({"a": "\x1b[31mred", "b": "\u202eevil", "c": "\u00fcber"})
    assert text.isascii()
    assert yaml.safe_load(text) == {"a": "\x1b[31mred", "b": "\u202eevil", "c": "\u00fcber"}


def test_letters_of_other_languages_are_kept() -> None:
    assert to_yaml({"name": "\u00fcber \u6771\u4eac"}) == "name: \u00fcber \u6771\u4eac\n"


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), JSON, max_size=4))
def test_yaml_reads_back_as_the_manifest_and_is_harmless(manifest: dict[str, Any]) -> None:
    text = to_yaml(manifest)
    assert yaml.safe_load(text) == manifest
    assert all(char == "\n" or char.isprintable() or char.isspace() for char in text)
    assert not set(text) & set("\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")


def test_a_diff_shows_the_changed_lines_with_their_surroundings() -> None:
    before, after = ({"spec": {"replicas": n, "paused": False}} for n in (1, 3))
    assert unified_diff(before, after, ("old", "new")) == [
        "--- old",
        "+++ new",
        "@@ -1,3 +1,3 @@",
        " spec:",
        "-  replicas: 1",
        "+  replicas: 3",
        "   paused: false",
    ]
    assert unified_diff(before, before, ("old", "new")) == []
