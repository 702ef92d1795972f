"""What people call objects."""

import pytest

from kspan.errors import QueryError
from kspan.k8s.kinds import built_in_kinds, plural_of
from kspan.query.objects.names import parse_kind, parse_object


@pytest.mark.parametrize(
    "word, kind",
    [
        *[("po", "Pod"), ("pod", "Pod"), ("pods", "Pod"), ("POD", "Pod"), ("Pods", "Pod"), ("deploy", "Deployment")],
        *[("rs", "ReplicaSet"), ("sts", "StatefulSet"), ("ds", "DaemonSet"), ("cj", "CronJob"), ("no", "Node")],
        *[("hpa", "HorizontalPodAutoscaler"), ("pvc", "PersistentVolumeClaim"), ("ns", "Namespace")],
        *[("svc", "Service"), ("ing", "Ingress"), ("cm", "ConfigMap"), ("pdb", "PodDisruptionBudget")],
        *[("netpol", "NetworkPolicy"), ("ingresses", "Ingress"), ("endpoints", "Endpoints"), ("job", "Job")],
    ],
)
def test_a_kind_can_be_written_as_for_kubectl(word: str, kind: str) -> None:
    assert parse_kind(word).built_in == kind


def test_every_built_in_kind_has_its_name_and_its_plural() -> None:
    for _, kind in built_in_kinds():
        assert parse_kind(kind).built_in == parse_kind(plural_of(kind)).built_in == kind


def test_a_group_can_be_given_with_or_without_a_version() -> None:
    assert parse_kind("deployments.apps").group == parse_kind("deployments.v1.apps").group == "apps"
    assert parse_kind("pods.v1.").group == ""
    assert parse_kind("pods").group is None
    custom = parse_kind("Widgets.example.com")
    assert (custom.word, custom.group, custom.built_in) == ("widgets", "example.com", "")
    assert custom.means("Widget")
    assert not custom.means("Gadget")
    assert parse_kind("vpc.example.com").group == "example.com"


@pytest.mark.parametrize(
    "words, namespace, name",
    [
        (("pod/web",), "", "web"),
        (("pod", "web"), "", "web"),
        (("pod/shop/web",), "shop", "web"),
        (("Pod", "shop/web"), "shop", "web"),
        (("clusterrole/system:node",), "", "system:node"),
    ],
)
def test_an_object_is_a_kind_and_a_name(words: tuple[str, ...], namespace: str, name: str) -> None:
    named = parse_object(words)
    assert (named.namespace, named.name) == (namespace, name)


def test_the_option_sets_the_namespace() -> None:
    assert parse_object(("pod/web",), "shop").namespace == "shop"
    with pytest.raises(QueryError, match="is in namespace 'a', but --namespace is 'b'"):
        parse_object(("pod/a/web",), "b")


@pytest.mark.parametrize("words", [("web",), ("pod/",), ("/web",), ("pod", "a", "b"), ("pod/x", "y"), ("a/b/c/d",), ()])
def test_an_invalid_object_name_is_refused_with_an_example(words: tuple[str, ...]) -> None:
    with pytest.raises(QueryError, match=r"invalid object .*: use KIND/NAME, such as pod/web-0"):
        parse_object(words)
