"""Which resources are watched, and how much of their objects is read."""

import pytest

from kspan.k8s.kinds import BUILT_IN, WatchMode, kind_of, resource_of
from kspan.k8s.resources import (
    ADDITIONAL,
    DEFAULT,
    ServerResource,
    WatchTarget,
    is_journalled,
    is_watched_when_referenced,
    is_watched_whole,
)


def served(group: str, version: str, name: str, kind: str) -> ServerResource:
    return ServerResource(group, version, name, kind, True, watchable=True, words=frozenset({name}))


@pytest.mark.parametrize(
    "resource",
    [
        "v1/events", "v1/pods", "v1/nodes", "v1/namespaces", "v1/resourcequotas", "v1/persistentvolumeclaims",
        "v1/replicationcontrollers", "apps/v1/deployments", "apps/v1/replicasets", "apps/v1/statefulsets",
        "apps/v1/controllerrevisions", "apps/v1/daemonsets", "batch/v1/jobs", "batch/v1/cronjobs",
        "autoscaling/v1/horizontalpodautoscalers",
        "autoscaling/v2/horizontalpodautoscalers", "policy/v1/poddisruptionbudgets", "example.com/v1/widgets",
        "cluster.x-k8s.io/v1beta1/machines",
    ],
)  # fmt: skip
def test_kinds_that_make_causes_and_custom_resources_are_watched_whole(resource: str) -> None:
    assert is_watched_whole(resource)


@pytest.mark.parametrize(
    "resource",
    [
        "events.k8s.io/v1/events", "v1/secrets", "v1/configmaps", "coordination.k8s.io/v1/leases", "k8s.io/v1/things",
        "v1/deployments", "extensions/v1beta1/deployments", "", "pods", "/v1/pods",
        "example.com/v1/widgets/status",
    ],
)  # fmt: skip
def test_other_resources_are_not_watched_whole(resource: str) -> None:
    assert not is_watched_whole(resource)


def test_the_default_resources_are_watched_whole_and_have_a_kind() -> None:
    assert all(is_watched_whole(target.resource) and target.kind and not target.metadata_only for target in DEFAULT)
    assert [target.resource for target in DEFAULT if not target.namespaced] == ["v1/namespaces", "v1/nodes"]


def test_additional_resources_with_large_or_confidential_content_are_watched_as_metadata() -> None:
    assert {target.kind for target in ADDITIONAL if target.metadata_only} == {
        "ConfigMap",
        "MutatingWebhookConfiguration",
        "ServiceAccount",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
    }
    assert {target.kind for target in ADDITIONAL if not target.metadata_only} == {
        "Ingress",
        "LimitRange",
        "PersistentVolume",
        "PriorityClass",
        "Service",
    }
    assert all(target.metadata_only is not is_watched_whole(target.resource) for target in ADDITIONAL)


def test_each_row_of_the_table_is_found_by_its_kind_and_by_its_resource() -> None:
    for row in BUILT_IN:
        assert resource_of(row.api_version, row.kind) == resource_of("", row.kind) == row.resource
        assert kind_of(row.resource) == row.kind
    assert len({row.kind for row in BUILT_IN}) == len(BUILT_IN)
    assert {row.kind for row in BUILT_IN if row.mode is WatchMode.ON_REQUEST} == {"Endpoints", "Lease"}


def test_other_built_in_kinds_are_watched_as_metadata() -> None:
    assert not served("example.com", "v1", "widgets", "Widget").target().metadata_only
    assert served("", "v1", "secrets", "Secret").target().metadata_only
    assert served("", "v1", "configmaps", "ConfigMap").target().metadata_only
    assert served("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy").target().metadata_only
    assert not served("networking.k8s.io", "v1", "ingresses", "Ingress").target().metadata_only


def test_leases_and_the_second_events_api_are_not_watched_when_referenced() -> None:
    assert not is_watched_when_referenced(served("coordination.k8s.io", "v1", "leases", "Lease"))
    assert not is_watched_when_referenced(served("", "v1", "endpoints", "Endpoints"))
    assert not is_watched_when_referenced(served("events.k8s.io", "v1", "events", "Event"))
    assert is_watched_when_referenced(served("", "v1", "services", "Service"))


def test_secrets_are_not_watched_because_something_references_them() -> None:
    assert not is_watched_when_referenced(served("", "v1", "secrets", "Secret"))


def test_everything_but_the_second_events_api_is_journalled() -> None:
    assert is_journalled("v1/events")
    assert is_journalled("v1/secrets")
    assert not is_journalled("events.k8s.io/v1/events")


def test_paths_are_those_of_the_api() -> None:
    assert WatchTarget("v1/pods", "Pod", True, False).path() == "/api/v1/pods"
    assert WatchTarget("v1/pods", "Pod", True, False).path("a") == "/api/v1/namespaces/a/pods"
    deployments = WatchTarget("apps/v1/deployments", "Deployment", True, False)
    assert deployments.path("a") == "/apis/apps/v1/namespaces/a/deployments"
