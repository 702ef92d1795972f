"""The answers of the cookbook (``docs/sql.md``) are what really happened.

The truth comes from elsewhere: from the audit log of the API server (``truth.json`` of a recording), or from the raw
lines of a recording, counted here by code that uses nothing of kspan.
"""

import gzip
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import mean
from typing import Any

import msgspec
import pytest

from kspan.query.sql.lexer import read_statement
from kspan.query.sql.run import run_statement
from kspan.store import Store
from kspan.times import LATEST, parse_time
from tests.history_db import DRAIN, EVICTIONS, JOBS
from tests.limits import HANG_S
from tests.query.sql.document import questions
from tests.recordings import RECORDINGS, SCENARIOS, recording

Json = dict[str, Any]
Row = dict[str, Any]

SECOND = 1.1
"""Times in objects and Events are whole seconds."""


def ask(store: Store, question: str, cluster: str, **parameters: str | int) -> list[Row]:
    values = {"since": 0, "until": LATEST, "cluster": cluster, **parameters}
    statement = read_statement(questions()[question], store.dialect)
    with run_statement(store, statement, values, timeout=HANG_S) as result:
        return [dict(zip(result.columns, row, strict=True)) for row in result.rows]


# the raw recording ---------------------------------------------------------------------------------------------------


class Version(msgspec.Struct):
    """One received version of an object."""

    at: float
    type: str
    raw: Json

    @property
    def name(self) -> str:
        return str(self.raw["metadata"]["name"])

    @property
    def uid(self) -> str:
        return str(self.raw["metadata"]["uid"])


@cache
def versions(scenario: str, resource: str) -> tuple[Version, ...]:
    """All versions of all objects of a resource, in the order of receipt. Of a second list, only what is new."""
    found, seen = [], set()
    with gzip.open(recording(scenario), "rt") as lines:
        for line in lines:
            frame = json.loads(line)
            if frame["resource"] != resource or frame["type"] not in ("LISTED", "ADDED", "MODIFIED", "DELETED"):
                continue
            key = frame["object"]["metadata"]["uid"], frame["object"]["metadata"]["resourceVersion"], frame["type"]
            if frame["type"] != "LISTED" or key[:2] not in seen:
                found.append(Version(seconds(frame["received"]), frame["type"], frame["object"]))
            seen.add(key[:2])
    return tuple(found)


def histories_of(scenario: str, resource: str) -> dict[str, list[Version]]:
    """The versions of each object, by uid."""
    found: dict[str, list[Version]] = defaultdict(list)
    for version in versions(scenario, resource):
        found[version.uid].append(version)
    return found


def events(scenario: str) -> dict[str, Json]:
    """The last version of each Event, by uid. Its expiry is none."""
    return {one.uid: one.raw for one in versions(scenario, "v1/events") if one.type != "DELETED"}


def counts(scenario: str) -> dict[str, int]:
    """How often each Event happened while it was watched, by uid: of an Event first seen with a count, that is once."""
    return {uid: 1 + max(counted) - counted[0] for uid, counted in _counted(scenario).items()}


def totals(scenario: str) -> dict[str, int]:
    """How often each Event happened by its own account, also before it was watched."""
    return {uid: max(counted) for uid, counted in _counted(scenario).items()}


def _counted(scenario: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for one in versions(scenario, "v1/events"):
        if one.type != "DELETED":
            found[one.uid].append(int((one.raw.get("series") or {}).get("count") or one.raw.get("count") or 1))
    return found


def seconds(time: str) -> float:
    return parse_time(time) / 1e9


def at(row: Row, column: str = "at") -> float:
    return seconds(row[column])


@cache
def truth(scenario: str) -> Json:
    return msgspec.json.decode((RECORDINGS / scenario / "truth.json").read_bytes(), type=Json)


def owners(scenario: str, resource: str) -> dict[str, tuple[str, str, str]]:
    """uid of each object -> kind, name and uid of the owner that controls it."""
    found = {}
    for version in versions(scenario, resource):
        for owner in version.raw["metadata"].get("ownerReferences", ()):
            if owner.get("controller"):
                found[version.uid] = (owner["kind"], owner["name"], owner["uid"])
    return found


def rollouts(scenario: str) -> list[tuple[str, float, str, str]]:
    """Changes of the image of a Deployment: (name, received, before, after)."""
    found = []
    for history in histories_of(scenario, "apps/v1/deployments").values():
        for before, after in pairwise(history):
            old, new = (v.raw["spec"]["template"]["spec"]["containers"][0]["image"] for v in (before, after))
            if old != new:
                found.append((after.name, after.at, old, new))
    return found


def ready_after(scenario: str, start: float, until: float) -> float:
    """Seconds from a moment until the last of the Pods that were created before ``until`` was first ready."""
    first = []
    for history in histories_of(scenario, "v1/pods").values():
        if start - 0.1 <= history[0].at < until and history[0].type == "ADDED":
            ready = (v.at for v in history if _is_ready(v.raw))
            first += [moment] if (moment := next(ready, 0.0)) else []
    return max(first) - start


def _is_ready(pod: Json) -> bool:
    return ("Ready", "True") in {(c["type"], c["status"]) for c in pod["status"].get("conditions", ())}


def ended(scenario: str) -> set[tuple[str, str, int, str, int]]:
    """(Pod, container, restart, reason, exit code) of each end of a container."""
    found = set()
    for version in versions(scenario, "v1/pods"):
        for status in version.raw["status"].get("containerStatuses", ()):
            number = status["restartCount"]
            for part, run in (("state", number), ("lastState", number - 1)):
                end = status.get(part, {}).get("terminated")
                if end is not None and (part == "state" or "waiting" not in status.get("state", {})):
                    found.add((version.name, status["name"], run, end["reason"], end["exitCode"]))
                elif end is not None:  # While it waits to be started again, the count is that of the run that ended.
                    found.add((version.name, status["name"], number, end["reason"], end["exitCode"]))
    return found


# who, and what led to what -------------------------------------------------------------------------------------------


def test_who_changed_it(history: Store) -> None:
    found = ask(history, "Who changed this?", "13-custom-controller", name="widget-a")
    actions = [a for a in truth("13-custom-controller")["actions"] if a["kind"] == "Widget"]
    verbs = {"create": "Create", "patch": "Update", "delete": "Delete"}
    assert [(row["reason"], row["cause"], row["cause_object"], row["who"]) for row in reversed(found)] == [
        (verbs[a["verb"]], f"Widget.{verbs[a['verb']]}", a["name"], "kubectl" if a["verb"] != "delete" else row["who"])
        for a, row in zip(actions, reversed(found), strict=True)
    ]
    for action, row in zip(actions, reversed(found), strict=True):
        assert 0 <= at(row) - action["time"] < SECOND


@pytest.mark.parametrize("name", ["fg", "bg", "keep"])
def test_who_deleted_it(history: Store, name: str) -> None:
    """Each Pod is deleted because of what alice deleted: its Deployment, itself, or its namespace."""
    pods = [
        v for v in versions("11-delete-cascade", "v1/pods") if v.type == "DELETED" and v.name.startswith(f"{name}-")
    ]
    by_hand = {a["name"] for a in truth("11-delete-cascade")["actions"]}
    assert pods
    for pod in pods:
        found = ask(history, "Who deleted it?", "11-delete-cascade", name=pod.name)
        wanted = next(f"{kind} {n}" for kind, n in _deleted_above(pod, name) if n in by_hand or kind == "Namespace")
        root = found[-1]
        assert f"{root['name']} {root['object']}" == wanted.replace(" ", ".Delete ", 1), pod.name
        assert [row["depth"] for row in found] == list(range(len(found)))


def _deleted_above(pod: Version, deployment: str) -> Iterator[tuple[str, str]]:
    yield "Pod", pod.name
    yield "Deployment", deployment
    yield "Namespace", pod.raw["metadata"]["namespace"]


def test_what_a_change_led_to(history: Store) -> None:
    found = ask(history, "What did this change lead to?", "02-rolling-update", name="web")
    known = truth("02-rolling-update")
    actions = {a["id"] for a in known["actions"] if a["subresource"] is None}
    reported = {(f"{e['kind']}.{e['reason']}", e["object"]) for e in known["events"] if e["action"] in actions}
    other = {(f"{e['kind']}.{e['reason']}", e["object"]) for e in known["events"] if e["action"] not in actions}
    answered = {(row["name"], row["object"]) for row in found}
    assert reported <= answered
    assert not (other - reported) & answered


# rollouts ------------------------------------------------------------------------------------------------------------


def test_the_slowest_rollouts(history: Store) -> None:
    found = ask(history, "Which rollouts were the slowest this week?", "02-rolling-update")
    wanted = rollouts("02-rolling-update")
    assert len(wanted) == 2
    updates = {row["change"]: row for row in found if row["change"]}
    for _, start, old, new in wanted:
        (row,) = (row for change, row in updates.items() if f"{old} → {new}" in change)
        assert abs(at(row) - start) < SECOND
        assert abs(float(row["ready_seconds"]) - ready_after("02-rolling-update", start, start + 15)) < SECOND
        assert row["outcome"] == "ok"
    created = next(v.raw["metadata"]["creationTimestamp"] for v in versions("02-rolling-update", "apps/v1/deployments"))
    (baseline,) = (row for row in found if not row["change"])
    assert abs(at(baseline) - seconds(created)) < SECOND
    assert [row["seconds"] for row in found] == sorted((row["seconds"] for row in found), reverse=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_rollouts_that_failed(history: Store, scenario: str) -> None:
    """Those after which the Deployment did not have all its replicas available in the end."""
    found = ask(history, "Which rollouts failed, and why?", scenario)
    wanted = set()
    for versions_of in histories_of(scenario, "apps/v1/deployments").values():
        last = [v for v in versions_of if v.type != "DELETED" and not v.raw["metadata"].get("deletionTimestamp")][-1]
        is_deleted = last is not versions_of[-1]
        if not (is_deleted or _is_complete(last.raw)):
            wanted.add(last.name)
    assert {row["name"] for row in found if row["kind"] == "Deployment"} == wanted
    assert all(row["message"] for row in found)


def _is_complete(deployment: Json) -> bool:
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    current = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    return bool(current) and status.get("updatedReplicas", 0) == status.get("availableReplicas", 0) == wanted


def test_the_changes_that_were_rolled_back(history: Store) -> None:
    (row,) = ask(history, "Which changes were rolled back?", "02-rolling-update")
    (_, bad, old, new), (_, back, again, undone) = rollouts("02-rolling-update")
    assert (old, new) == (undone, again)
    assert row["change"].endswith(f"{old} → {new}")
    assert abs(at(row) - bad) < SECOND
    assert abs(at(row, "undone_at") - back) < SECOND
    assert abs(float(row["seconds_between"]) - (back - bad)) < SECOND


def test_how_long_it_takes_until_the_pods_are_ready(history: Store) -> None:
    question = "How long does it take from a change until the Pods are ready, in each namespace?"
    (row,) = ask(history, question, "02-rolling-update")
    wanted = [ready_after("02-rolling-update", start, start + 15) for _, start, _, _ in rollouts("02-rolling-update")]
    assert row["rollouts"] == len(wanted)
    assert abs(float(row["mean_seconds"]) - mean(wanted)) < SECOND
    assert abs(float(row["longest"]) - max(wanted)) < SECOND


# failures ------------------------------------------------------------------------------------------------------------


def test_the_pods_that_crash_loop(history: Store) -> None:
    question = "Which Pods crash-loop, and which change introduced that?"
    found = ask(history, question, "03-crashloop")
    wanted: Counter[str] = Counter()
    for uid, event in events("03-crashloop").items():
        if event["reason"] == "BackOff" and event["message"].startswith("Back-off restarting"):
            wanted[event["involvedObject"]["name"]] += counts("03-crashloop")[uid]
    assert {row["pod"]: row["times"] for row in found} == wanted
    (action,) = truth("03-crashloop")["actions"]
    assert {(row["cause"], row["cause_object"]) for row in found} == {(f"{action['kind']}.Create", action["name"])}
    assert {(row["who"], action["agent"].partition("/")[0]) for row in found} == {("kubectl", "kubectl")}
    nodes = {v.name: v.raw["spec"].get("nodeName") for v in versions("03-crashloop", "v1/pods")}
    assert all(row["node"] == nodes[row["pod"]] for row in found)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_why_containers_ended(history: Store, scenario: str) -> None:
    found = ask(history, "Why did containers end?", scenario)
    answered = {(row["pod"], row["container"], row["restart"], row["reason"], row["exit_code"]) for row in found}
    deleted = {v.name for v in versions(scenario, "v1/pods") if v.raw["metadata"].get("deletionTimestamp")}
    assert answered <= ended(scenario)
    assert {one for one in ended(scenario) if one[4] and one[0] not in deleted} <= answered
    assert len(found) == len(answered)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_containers_that_were_restarted_most(history: Store, scenario: str) -> None:
    found = ask(history, "Which containers were restarted most?", scenario)
    wanted: Counter[tuple[str, str]] = Counter()
    for version in versions(scenario, "v1/pods"):
        for status in version.raw["status"].get("containerStatuses", ()):
            wanted[version.name, status["name"]] = status["restartCount"]
    assert {(row["pod"], row["container"]): row["restarts"] for row in found} == +wanted
    assert [row["restarts"] for row in found] == sorted((row["restarts"] for row in found), reverse=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_workloads_that_fail_their_probes(history: Store, scenario: str) -> None:
    found = ask(history, "Which workloads fail their probes?", scenario)
    of_pod, of_set = owners(scenario, "v1/pods"), owners(scenario, "apps/v1/replicasets")
    wanted: Counter[tuple[str, str, str]] = Counter()
    for event_uid, event in events(scenario).items():
        if event["reason"] == "Unhealthy":
            pod = event["involvedObject"]
            kind, name, uid = of_pod.get(pod["uid"], ("Pod", pod["name"], pod["uid"]))
            kind, name, _ = of_set.get(uid, (kind, name, uid))
            probe = re.match(r"(\w+) probe", event["message"])
            wanted[kind, name, probe[1] if probe else ""] += counts(scenario)[event_uid]
    assert {(row["kind"], row["workload"], row["probe"]): row["failures"] for row in found} == wanted


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_most_frequent_warnings(history: Store, scenario: str) -> None:
    found = ask(history, "What are the most frequent warnings?", scenario)
    watched, total = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
    for uid, event in events(scenario).items():
        if event["type"] == "Warning":
            watched[event["involvedObject"]["kind"], event["reason"]] += counts(scenario)[uid]
            total[event["involvedObject"]["kind"], event["reason"]] += totals(scenario)[uid]
    answered = Counter({(row["kind"], row["reason"]): int(row["times"]) for row in found})
    # What happened between the first time and the last before kspan watched counts only if it went on all the time.
    assert all(watched[key] <= answered[key] <= total[key] for key in total)
    assert not answered.keys() - total.keys() - {("Pod", "ContainerTerminated"), ("Pod", "Failed"), ("Job", "Failed")}


def test_an_event_whose_count_jumps_happened_as_often_as_it_says(history: Store) -> None:
    found = ask(history, "What are the most frequent warnings?", JOBS)
    assert {row["reason"]: row["times"] for row in found}["Unhealthy"] == 2 * 25


def test_what_changed_before_it_went_wrong(history: Store) -> None:
    question = "What changed in the ten minutes before this went wrong?"
    for scenario in ("03-crashloop", "05-unschedulable", "09-probe-failure"):
        known = truth(scenario)
        (namespace,) = known["namespaces"]
        found = ask(history, question, scenario, namespace=namespace)
        failed = min(e["time"] for e in known["events"] if events(scenario)[e["uid"]]["type"] == "Warning")
        wanted = {(f"{a['kind']}.", a["name"]) for a in known["actions"] if failed - 600 <= a["time"] <= failed}
        here = {(row["name"].partition(".")[0] + ".", row["object"]) for row in found if row["namespace"] == namespace}
        assert wanted <= here
        assert all(failed - 601 - SECOND <= at(row) <= failed + SECOND for row in found)


def test_the_reasons_why_pods_are_not_scheduled(history: Store) -> None:
    for scenario in ("05-unschedulable", "05b-unschedulable-series"):
        found = ask(history, "What keeps Pods from being scheduled, and for how long?", scenario)
        messages: dict[str, set[str]] = defaultdict(set)
        first: dict[str, float] = {}
        for one in versions(scenario, "v1/events"):
            if one.raw["reason"] == "FailedScheduling" and one.type != "DELETED":
                pod = one.raw["involvedObject"]["uid"]
                messages[one.raw["message"]].add(pod)
                first[pod] = min(first.get(pod, one.at), seconds(one.raw["eventTime"] or one.raw["firstTimestamp"]))
        assert {row["message"]: row["pods"] for row in found} == {m: len(pods) for m, pods in messages.items()}
        waited = [_waited(scenario, uid, since) for uid, since in first.items()]
        longest = max(float(row["longest_seconds"]) for row in found if row["longest_seconds"] is not None)
        assert abs(longest - max(waited)) < SECOND


def _waited(scenario: str, pod: str, since: float) -> float:
    """Seconds until a Pod had a node, or was deleted."""
    history = histories_of(scenario, "v1/pods")[pod]
    over = (
        v.at
        for v in history
        if v.raw["spec"].get("nodeName") or v.type == "DELETED" or v.raw["metadata"].get("deletionTimestamp")
    )
    return next(over, 0.0) - since


# work ----------------------------------------------------------------------------------------------------------------


def test_the_changes_outside_of_working_hours(history: Store) -> None:
    question = "What was changed outside of working hours, and with which tool?"
    for scenario in ("02-rolling-update", "13-custom-controller"):
        found = ask(history, question, scenario)
        known = truth(scenario)["actions"]
        outside = [a for a in known if _is_outside(a["time"]) and a["verb"] in ("create", "patch", "update")]
        by_kubectl = sum(row["changes"] for row in found if row["actor"] == "kubectl")
        others = [first for resource in _MADE_BEFORE for first in _first_versions(scenario, resource)]
        assert by_kubectl == len(outside) + len(others)


_MADE_BEFORE = ("apps/v1/deployments", "v1/namespaces", "apiextensions.k8s.io/v1/customresourcedefinitions")


def _first_versions(scenario: str, resource: str) -> Iterator[Version]:
    """What kubectl created during a recording without an Event, or before it and changed since: it is in no truth."""
    for history in histories_of(scenario, resource).values():
        managers = {entry["manager"] for entry in history[0].raw["metadata"].get("managedFields", ())}
        by_kubectl = any(manager.startswith("kubectl") for manager in managers)
        spec = {json.dumps(version.raw.get("spec")) for version in history}
        if by_kubectl and (history[0].type == "ADDED" or len(spec) > 1):
            yield history[0]


def _is_outside(time: float) -> bool:
    moment = datetime.fromtimestamp(time, UTC)
    return moment.weekday() >= 5 or not 8 <= moment.hour < 18


@pytest.mark.parametrize("scenario", ["02-rolling-update", "11-delete-cascade", "13-custom-controller"])
def test_the_changes_with_the_widest_effect(history: Store, scenario: str) -> None:
    """Of the changes during a recording, the one to which most Events go back."""
    found = ask(history, "Which changes had the widest effect?", scenario)
    began = versions(scenario, "v1/pods")[0].at
    seen = [row for row in found if at(row) >= began]
    known = truth(scenario)
    reported = Counter(e["action"] for e in known["events"] if e["action"])
    (widest, most), *others = reported.most_common()
    action = next(a for a in known["actions"] if a["id"] == widest)
    if not others or most > others[0][1]:
        assert seen[0]["object"] == action["name"]
    assert [row["span_count"] for row in found] == sorted((row["span_count"] for row in found), reverse=True)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_how_many_images_are_pulled(history: Store, scenario: str) -> None:
    found = ask(history, "How long do image pulls take, by registry?", scenario)
    pulls: Counter[str] = Counter()
    for event in events(scenario).values():
        if event["reason"] == "Pulling":
            image = event["message"].split('"')[1]
            host = image.partition("/")[0]
            pulls[host if "." in host or ":" in host or host == "localhost" else "docker.io"] += 1
    assert {row["registry"]: row["pulls"] for row in found} == pulls


def test_on_which_node_pods_start_slowly(history: Store) -> None:
    scenario = "02-rolling-update"
    found = ask(history, "On which node do Pods start slowly?", scenario)
    wanted: dict[str, list[float]] = defaultdict(list)
    for pod in histories_of(scenario, "v1/pods").values():
        started = [
            seconds(status["state"]["running"]["startedAt"])
            for version in pod
            for status in version.raw["status"].get("containerStatuses", ())
            if "running" in status["state"]
        ]
        if started:
            created = seconds(pod[0].raw["metadata"]["creationTimestamp"])
            wanted[pod[-1].raw["spec"]["nodeName"]].append(min(started) - created)
    assert {row["node"]: row["pods"] for row in found} == {node: len(times) for node, times in wanted.items()}
    for row in found:
        assert abs(float(row["longest"]) - max(wanted[row["node"]])) < 2 * SECOND


def test_the_node_that_caused_the_most_evictions(history: Store) -> None:
    """A drain of two Pods; a taint, whose Events about three of five Pods are known; a lost Node with two Pods, and a
    kubelet that evicts one. A rollout deletes others."""
    question = "Which node caused the most evictions?"
    (drain,) = ask(history, question, DRAIN)
    assert (drain["node"], drain["what"], drain["actor"], drain["pods"]) == ("node-a", "Node.Update", "kubectl", 2)
    found = ask(history, question, EVICTIONS)
    assert {(row["node"], row["what"], row["actor"]): row["pods"] for row in found} == {
        ("node-a", "Node.Update", "kubectl"): 5,
        ("node-b", "Node.Ready=Unknown", "node-controller"): 2,
    }
    assert ask(history, question, "02-rolling-update") == []


def test_the_jobs_that_failed(history: Store) -> None:
    found = ask(history, "Which Jobs failed, and how often were they tried?", "07-job-cronjob")
    of_pod = owners("07-job-cronjob", "v1/pods")
    failed = {
        v.name
        for v in versions("07-job-cronjob", "batch/v1/jobs")
        for c in v.raw["status"].get("conditions", ())
        if (c["type"], c["status"]) == ("Failed", "True")
    }
    tries = Counter(name for kind, name, _ in of_pod.values() if kind == "Job" and name in failed)
    assert {row["job"]: row["tries"] for row in found} == tries


def test_two_jobs_that_fail_in_one_trace_are_counted_apart(history: Store) -> None:
    found = ask(history, "Which Jobs failed, and how often were they tried?", JOBS)
    assert {row["job"]: row["tries"] for row in found} == {"one": 1, "two": 3}


def test_how_long_each_tick_of_a_cronjob_takes(history: Store) -> None:
    found = ask(history, "How long does each tick of a CronJob take?", "07-job-cronjob")
    wanted = []
    for job in histories_of("07-job-cronjob", "batch/v1/jobs").values():
        status, owner = job[-1].raw["status"], owners("07-job-cronjob", "batch/v1/jobs").get(job[0].uid)
        if owner is not None and owner[0] == "CronJob":
            done = max(seconds(status[key]) for key in ("completionTime", "startTime") if key in status)
            wanted.append(done - seconds(status["startTime"]))
    assert len(found) == len(wanted)
    for row, duration in zip(found, sorted(wanted, reverse=True), strict=True):
        assert duration - SECOND < float(row["seconds"]) < duration + 3 * SECOND


# the history itself --------------------------------------------------------------------------------------------------


def test_how_the_number_of_replicas_changed(history: Store) -> None:
    question = "How did the number of replicas change?"
    found = ask(history, question, "02-rolling-update", namespace="rolling-update", name="web")
    wanted: list[str] = []
    for version in versions("02-rolling-update", "apps/v1/deployments"):
        number = str(version.raw["spec"]["replicas"])
        if not wanted or wanted[-1] != number:
            wanted.append(number)
    assert [str(row["replicas"]) for row in found] == wanted


def test_where_the_history_can_have_gaps(history: Store) -> None:
    """Each resource whose watch expired was listed again."""
    found = ask(history, "Where can the history have gaps?", "19-apiserver-restart-event-ttl")
    expired = set()
    with gzip.open(recording("19-apiserver-restart-event-ttl"), "rt") as lines:
        for line in lines:
            frame = json.loads(line)
            if frame["type"] == "ERROR":
                expired.add(frame["resource"])
    assert {row["resource"] for row in found} <= expired
    assert {row["resource"] for row in found} >= {"apps/v1/deployments", "v1/pods"} & expired
    assert ask(history, "Where can the history have gaps?", "02-rolling-update") == []


def test_every_question_has_a_test_here_or_is_about_the_exports_and_the_rules() -> None:
    tests, _, _ = Path(__file__).read_text().rpartition("\ndef test_")
    others = ["Which traces were not exported?", "Which causes are uncertain?"]
    assert [question for question in questions() if f'"{question}"' not in tests] == others
