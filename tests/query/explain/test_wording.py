"""Shorter words leave out what is repeated, and nothing else."""

from typing import Any

import pytest

from kspan import vocabulary
from kspan.model import SpanEvent
from kspan.query.explain.as_of import as_of
from kspan.query.explain.own import end_in_words, own_error, own_message
from kspan.query.explain.wording import (
    change_of,
    cordon_of,
    cut,
    deletion_in_words,
    outcome_in_words,
    pull_error,
    who_of,
)
from tests.emit.rows import START, make_span

IMAGE = "registry.example.com:5000/shop/web:v2"


@pytest.mark.parametrize(
    "rest, said",
    [
        (
            (
                f'rpc error: code = NotFound desc = failed to pull and unpack image "{IMAGE}": '
                f'failed to resolve reference "{IMAGE}": {IMAGE}: not found'
            ),
            "not found",
        ),
        (
            (
                f'rpc error: code = Unknown desc = failed to pull and unpack image "{IMAGE}": '
                f'failed to resolve reference "{IMAGE}": failed to authorize: anonymous token: 403 Forbidden'
            ),
            "failed to authorize: anonymous token: 403 Forbidden",
        ),
        ("Error response from daemon: manifest unknown", "Error response from daemon: manifest unknown"),
    ],
)
def test_an_image_that_cannot_be_pulled_is_named_once(rest: str, said: str) -> None:
    assert pull_error(f'Failed to pull image "{IMAGE}": {rest}') == f'Failed to pull image "{IMAGE}": {said}'


def test_a_message_about_something_else_is_not_changed() -> None:
    assert (
        pull_error("rpc error: code = NotFound desc = no such thing")
        == "rpc error: code = NotFound desc = no such thing"
    )


@pytest.mark.parametrize(
    "summary, said",
    [
        (f"web.image: {IMAGE} \u2192 {IMAGE}-typo", f"web.image: {IMAGE[:-3]}: v2 \u2192 v2-typo"),
        ("web.image: app:v1 \u2192 app:v2; replicas: 2 \u2192 4", "web.image: app: v1 \u2192 v2; replicas: 2 \u2192 4"),
        ("web.image: app:v1 \u2192 other:v2", "web.image: app:v1 \u2192 other:v2"),
        ("replicas: 2 \u2192 4", "replicas: 2 \u2192 4"),
    ],
)
def test_a_new_tag_of_an_image_has_its_name_once(summary: str, said: str) -> None:
    assert change_of(make_span("Deployment.Update", attributes={vocabulary.CHANGE_SUMMARY: summary})) == said


@pytest.mark.parametrize(
    "service, manager, said",
    [
        ("kubectl", "kubectl-client-side-apply", "kubectl apply"),
        ("kubectl", "kubectl-set", "kubectl set"),
        ("kubectl", "kubectl", "kubectl"),
        ("helm", "helm", "helm"),
        ("argocd", "argocd-controller", "argocd (argocd-controller)"),
        ("unknown", "", "someone"),
    ],
)
def test_a_command_of_kubectl_is_named_as_it_is_typed(service: str, manager: str, said: str) -> None:
    attributes = {vocabulary.FIELD_MANAGER: manager} if manager else {}
    assert who_of(make_span("Deployment.Update", service=service, attributes=attributes)) == said


@pytest.mark.parametrize(
    "kind, summary, said",
    [
        ("Node", "unschedulable: true", "cordoned"),
        ("Node", "unschedulable removed", "uncordoned"),
        ("Node", "unschedulable: true; taints.a: NoSchedule", ""),
        ("Widget", "unschedulable: true", ""),
    ],
)
def test_only_a_node_is_cordoned(kind: str, summary: str, said: str) -> None:
    assert cordon_of(make_span(f"{kind}.Update", attributes={vocabulary.CHANGE_SUMMARY: summary})) == said


@pytest.mark.parametrize(
    "reason, message, said",
    [
        ("EvictionByEvictionAPI", "Eviction API: evicting", "evicted (Eviction API)"),
        ("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod", "preempted"),
        ("DeletionByTaintManager", "Taint manager: deleting", "evicted because of a taint: Taint manager: deleting"),
        ("TerminationByKubelet", "The node was low on memory", "ended by the kubelet: The node was low on memory"),
        ("SomethingNew", "said", "deleted: SomethingNew: said"),
        ("", "", "deleted"),
    ],
)
def test_a_deleted_pod_says_which_disruption_it_was(reason: str, message: str, said: str) -> None:
    known = {
        vocabulary.CONDITION_TYPE: "DisruptionTarget",
        vocabulary.CONDITION_REASON: reason,
        vocabulary.CONDITION_MESSAGE: message,
    }
    events = [SpanEvent(START, "DisruptionTarget", known)] if reason else []
    assert deletion_in_words(make_span("Pod.Delete", events=events)) == said


@pytest.mark.parametrize(
    "outcome, reason, said",
    [
        ("failing", "Pod web is failing: BackOff (crash-loop)", "failing: Pod web: CrashLoopBackOff"),
        (
            "failing, open",
            "Pod web is failing: ImagePullBackOff (image-pull)",
            "failing, open: Pod web: ImagePullBackOff",
        ),
        (
            "superseded",
            "superseded by Pod.Delete b, when 1 of 1 new Pods were ready",
            "Pod b was deleted; before that, 1 of 1 new Pods were ready",
        ),
        (
            "superseded",
            "Pod b was deleted by helm, when 0 of 1 new Pods were ready",
            "Pod b was deleted by helm; before that, 0 of 1 new Pods were ready",
        ),
        ("superseded", "Pod b was deleted", "Pod b was deleted"),
        ("superseded", "", "superseded"),
        (
            "superseded",
            "superseded by Deployment.Update web by kubectl",
            "superseded: Deployment web was changed by kubectl",
        ),
        (
            "superseded",
            "superseded by revision main@sha1:2, which Kustomization apps applies",
            "superseded by revision main@sha1:2, which Kustomization apps applies",
        ),
        ("failed", "Job report failed", "failed: Job report failed"),
        ("incomplete", "", "incomplete"),
    ],
)
def test_an_outcome_is_said_once(outcome: str, reason: str, said: str) -> None:
    assert outcome_in_words(outcome, reason) == said


def test_a_long_message_is_cut_and_a_hostile_one_is_escaped() -> None:
    assert cut("x" * 1000).endswith("x…")
    assert len(cut("x" * 1000)) == 300
    assert "\x1b" not in cut("a\x1b[31mred\x07")


# What an occurrence itself says


def ended(code: int, reason: str, restarts: int = 0, **more: Any) -> dict[str, Any]:
    return {
        vocabulary.CONTAINER_NAME: "web",
        vocabulary.EXIT_CODE: code,
        vocabulary.CONTAINER_TERMINATED_REASON: reason,
        vocabulary.CONTAINER_RESTART_COUNT: restarts,
        **more,
    }


@pytest.mark.parametrize(
    "attributes, said",
    [
        (ended(137, "OOMKilled"), "container web was OOMKilled (exit 137)"),
        (ended(137, "OOMKilled", 4), "container web was OOMKilled (exit 137) in run 5"),
        (ended(1, "Error", 1), "container web ended with Error (exit 1) in run 2"),
        (ended(1, ""), "container web ended with Error (exit 1)"),
        (ended(0, "Completed"), "container web completed (exit 0)"),
    ],
)
def test_the_run_that_ended_is_counted_from_one(attributes: dict[str, Any], said: str) -> None:
    assert end_in_words(make_span("Pod.ContainerTerminated", attributes=attributes)) == said


def test_a_root_says_what_itself_said_and_not_the_verdict_about_its_trace() -> None:
    verdict = {vocabulary.OUTCOME: "failing", vocabulary.OUTCOME_REASON: "Pod web is failing"}
    root = make_span(
        "Pod.ContainerTerminated", error=True, message="Pod web is failing", attributes=ended(1, "Error") | verdict
    )
    assert own_message(root) == "container web ended with Error (1)", "as the message of the span was"
    assert own_error(root)
    created = make_span("Pod.Create", error=True, message="Pod web is failing", attributes=verdict)
    assert (own_message(created), own_error(created)) == ("", False)


def test_a_span_as_of_an_earlier_time_has_the_repeats_until_then() -> None:
    events = [SpanEvent(START + n, "BackOff", {}) for n in (10, 20, 30)]
    known = {vocabulary.REPEAT_COUNT: 4, vocabulary.OUTCOME: "failed"}
    span = make_span("Pod.BackOff", start=START, end_time=START + 30, events=events, attributes=known)
    then = as_of(span, START + 20)
    assert [event.time - START for event in then.events] == [10, 20]
    assert then.attributes[vocabulary.REPEAT_COUNT] == 3
    assert vocabulary.OUTCOME not in then.attributes
    assert then.end_time == START + 20
    assert as_of(span, 0) is span
