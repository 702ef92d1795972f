"""Each question of ``docs/sql.md`` is answered, and rightly, on both stores."""

from typing import Any

import pytest

from kspan.query.sql.lexer import read_statement
from kspan.query.sql.run import run_statement
from kspan.store import Store
from kspan.times import LATEST
from tests.history_db import CONFIGURED, DRAIN
from tests.limits import HANG_S
from tests.query.sql.document import DOCUMENT, questions, with_schema

Row = dict[str, Any]

QUESTIONS = questions()

UPDATE = "2026-11-22T10:25:05.290Z"
V2 = "web.image: registry.example.com/shop/web:v1 → registry.example.com/shop/web:v2"

# For each question: the recording that is asked, parameters, how many rows there are, and what is in one of them.
ANSWERS: dict[str, tuple[str, dict[str, str], int, Row]] = {
    "Who changed this?": (
        "13-custom-controller",
        {"name": "widget-a"},
        3,
        {"reason": "Update", "manager": "widget-controller", "who": "kubectl", "cause": "Widget.Update"},
    ),
    "Who deleted it?": (
        "11-delete-cascade",
        {"name": "bg-7cdfdb9f98-d88k4"},
        3,
        {"depth": 2, "name": "Deployment.Delete", "object": "bg"},
    ),
    "What did this change lead to?": (
        "13-custom-controller",
        {"name": "widget-a"},
        0,
        {"name": "Pod.Ready", "actor": "kubelet"},
    ),
    "Which rollouts were the slowest this week?": (
        "02-rolling-update",
        {},
        3,
        {"change": V2, "who": "kubectl", "ready_seconds": 2.68, "seconds": 2.842, "outcome": "ok", "restarts": 0},
    ),
    "Which rollouts failed, and why?": (
        "03-crashloop",
        {},
        1,
        {
            "name": "crash",
            "outcome": "failing",
            "restarts": 4,
            "message": "Pod crash-56547dc677-vd7fn is failing: BackOff (crash-loop)",
        },
    ),
    "Which changes were rolled back?": (
        "02-rolling-update",
        {},
        1,
        {"at": UPDATE, "undone_at": "2026-11-22T10:25:49.727Z", "seconds_between": 44.4},
    ),
    "How long does it take from a change until the Pods are ready, in each namespace?": (
        "02-rolling-update",
        {},
        1,
        {"namespace": "rolling-update", "rollouts": 2, "mean_seconds": 2.8, "longest": 2.897},
    ),
    "Which Pods crash-loop, and which change introduced that?": (
        "03-crashloop",
        {},
        1,
        {"pod": "crash-56547dc677-vd7fn", "times": 4, "cause": "Deployment.Create", "who": "kubectl"},
    ),
    "Why did containers end?": (
        "03-crashloop",
        {},
        5,
        {
            "container": "crash",
            "restart": 4,
            "reason": "Error",
            "exit_code": 1,
            "ran_seconds": 1,
            "cause": "Pod.Create",
        },
    ),
    "Which containers were restarted most?": ("03-crashloop", {}, 1, {"container": "crash", "restarts": 4}),
    "Which workloads fail their probes?": (
        "09-probe-failure",
        {},
        2,
        {"kind": "Deployment", "workload": "web", "probe": "Liveness", "pods": 1},
    ),
    "What are the most frequent warnings?": (
        "03-crashloop",
        {},
        0,
        {"reason": "ContainerTerminated", "times": 5, "objects": 1},
    ),
    "What changed in the ten minutes before this went wrong?": (
        CONFIGURED,
        {"namespace": "shop"},
        0,
        {"name": "ConfigMap.Update", "object": "settings", "manager": "kubectl-edit", "change": "data.mode changed"},
    ),
    "What was changed outside of working hours, and with which tool?": (
        "02-rolling-update",  # a Sunday
        {},
        0,
        {"manager": "kubectl-set", "actor": "kubectl", "changes": 1, "first": UPDATE},
    ),
    "Which changes had the widest effect?": ("02-rolling-update", {}, 10, {"at": UPDATE, "change": V2}),
    "How long do image pulls take, by registry?": (
        "02-rolling-update",
        {},
        1,
        {"registry": "registry.example.com", "pulls": 4, "nodes": 2, "images": 2},
    ),
    "On which node do Pods start slowly?": ("02-rolling-update", {}, 2, {"node": "node-a", "pods": 5}),
    "Which node caused the most evictions?": (
        DRAIN,
        {},
        1,
        {"node": "node-a", "what": "Node.Update", "actor": "kubectl", "pods": 2},
    ),
    "What keeps Pods from being scheduled, and for how long?": (
        "05b-unschedulable-series",
        {},
        3,
        {"pods": 1, "refusals": 1, "longest_seconds": 51.2},
    ),
    "Which Jobs failed, and how often were they tried?": (
        "07-job-cronjob",
        {},
        1,
        {"job": "bad", "tries": 3, "who": "kubectl"},
    ),
    "How long does each tick of a CronJob take?": ("07-job-cronjob", {}, 3, {"cronjob": "tick", "failed": False}),
    "How did the number of replicas change?": (
        "02-rolling-update",
        {"namespace": "rolling-update", "name": "web"},
        2,
        {"at": "2026-11-22T10:25:28.295Z", "replicas": "4", "before": "2"},
    ),
    "Where can the history have gaps?": ("19-apiserver-restart-event-ttl", {}, 0, {"resource": "apps/v1/deployments"}),
    "Which traces were not exported?": (
        "02-rolling-update",
        {},
        9,
        {"status": "rejected", "target": "otlp", "reason": "too large", "attempts": 1},
    ),
    "Which causes are uncertain?": ("02-rolling-update", {}, 0, {"rule": "root", "confidence": 0.3}),
}


def answer(store: Store, question: str, cluster: str, parameters: dict[str, str]) -> list[Row]:
    values: dict[str, str | int] = {"since": 0, "until": LATEST, "cluster": cluster, **parameters}
    with run_statement(store, read_statement(QUESTIONS[question], store.dialect), values, timeout=HANG_S) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_of_the_cookbook_has_the_right_answer(history: Store, question: str) -> None:
    scenario, parameters, count, expected = ANSWERS[question]
    rows = answer(history, question, scenario, parameters)
    assert len(rows) == count or (not count and rows)
    # A number is a float or a Decimal, a boolean 0 or False, as the database has it.
    found = [{key: row[key] and type(wanted)(row[key]) for key, wanted in expected.items()} for row in rows]
    assert expected in found, found[:5]


def test_what_changed_before_a_failure_includes_config_maps_and_services(history: Store) -> None:
    question = "What changed in the ten minutes before this went wrong?"
    rows = answer(history, question, CONFIGURED, {"namespace": "shop"})
    assert [(row["name"], row["object"], row["manager"], row["change"]) for row in rows] == [
        ("Namespace.Create", "other", "kubectl-create", ""),
        ("Service.Update", "web", "helm", "port: 80 → 8080"),
        ("ConfigMap.Update", "routes", "kustomize-controller", "data.routes changed"),
        ("ConfigMap.Update", "settings", "kubectl-edit", "data.mode changed"),
    ]
    rows = answer(history, question, "09-probe-failure", {"namespace": "probe-failure"})
    assert ("Deployment.Create", "web") in [(row["name"], row["object"]) for row in rows]


def test_the_tests_answer_exactly_the_questions_of_the_document() -> None:
    assert list(QUESTIONS) == list(ANSWERS)


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_about_an_empty_interval_has_no_rows(history: Store, question: str) -> None:
    """A question that looks at a stretch of time finds nothing where there is nothing."""
    if ":since" not in QUESTIONS[question]:
        return
    scenario, parameters, _, _ = ANSWERS[question]
    assert answer(history, question, scenario, {**parameters, "since": str(LATEST)}) == []


def test_the_document_contains_the_current_schema() -> None:
    assert DOCUMENT.read_text() == with_schema(DOCUMENT.read_text()), "run `make docs`"
