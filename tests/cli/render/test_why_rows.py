"""Two records of one act are one row of the answer of ``why``."""

from typing import Any

import msgspec

from kspan.cli.render.why_rows import chain_rows, effect_rows
from kspan.model import SpanRow
from kspan.query.explain.effects import Effect
from kspan.query.why import Link
from tests.emit.rows import START, make_span


def event(name: str, message: str = "", **columns: Any) -> SpanRow:
    return msgspec.structs.replace(make_span(name, message=message, **columns), event_uid="an-event")


CHAIN = [
    make_span("Pod.Create", service="replicaset-controller", subject="web-1-a"),
    event("ReplicaSet.SuccessfulCreate", "Created pod: web-1-a", service="replicaset-controller", subject="web-1"),
    make_span("ReplicaSet.Create", service="deployment-controller", subject="web-1"),
    event("Deployment.ScalingReplicaSet", "Scaled up", service="deployment-controller", subject="web", confidence=0.8),
    make_span("Deployment.Create", service="kubectl", subject="web"),
]


def test_a_change_and_the_event_of_the_controller_that_made_it_are_one_row() -> None:
    rows = chain_rows([Link(span) for span in CHAIN])
    assert [row.link.span.name for row in rows] == ["Pod.Create", "ReplicaSet.Create", "Deployment.Create"]
    assert [row.note for row in rows] == ["", "Scaled up", ""], "that a Pod was created is said already"
    assert rows[1].confidence == 0.8, "a row is as certain as the weaker of the two"


def test_the_trace_in_which_the_chain_continues_is_kept() -> None:
    links = [Link(span) for span in CHAIN]
    links[1] = Link(CHAIN[1], "another")
    assert [row.continues for row in chain_rows(links)] == ["another", "", ""]
    links[0] = Link(CHAIN[0], "another")
    assert len(chain_rows(links)) == 4, "an Event in another trace has a row of its own"


def test_an_event_that_is_the_last_known_cause_has_a_row() -> None:
    rows = chain_rows([Link(span) for span in CHAIN[:2]])
    assert [row.link.span.reason for row in rows] == ["Create", "SuccessfulCreate"]


def test_an_event_of_another_component_has_a_row() -> None:
    other = msgspec.structs.replace(CHAIN[1], service="somebody-else")
    assert len(chain_rows([Link(CHAIN[0]), Link(other), *map(Link, CHAIN[2:])])) == 4


def effect(reason: str, *, count: int = 1, objects: int = 1, kind: str = "Pod", error: bool = False) -> Effect:
    return Effect(kind, reason, error, count, objects, START, "web-1-a", "", "")


def test_the_steps_of_a_pod_that_started_are_one_row() -> None:
    rows = effect_rows([effect(reason) for reason in ("Scheduled", "Pulled", "Created", "Started", "Ready")])
    assert [(row.effect.reason, row.started) for row in rows] == [
        ("Scheduled", "Scheduled, Pulled, Created, Started, Ready")
    ]


def test_pods_that_started_several_times_have_a_row_for_each_step() -> None:
    found = [effect("Scheduled"), effect("Started", count=5), effect("Ready", count=5)]
    assert [row.started for row in effect_rows(found)] == ["", "", ""]


def test_a_pod_that_did_not_start_has_a_row_for_each_step() -> None:
    assert len(effect_rows([effect("Scheduled"), effect("Pulling")])) == 2


def test_the_event_about_a_created_pod_has_no_row_beside_the_creation() -> None:
    created, event_ = effect("Create"), effect("SuccessfulCreate", kind="ReplicaSet")
    assert [row.effect for row in effect_rows([created, event_])] == [created]
    assert [row.effect for row in effect_rows([event_])] == [event_], "it is all that is known"
    more = effect("SuccessfulCreate", kind="ReplicaSet", count=2)
    assert [row.effect for row in effect_rows([created, more])] == [created, more], "one of them was not seen"
