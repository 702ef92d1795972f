"""The rows of the projection depend on the journal alone: not on the process, its hash seed, or a restart."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kspan.model import LogRecord
from tests.causality.cluster import Cluster, Thing
from tests.graph.fold_process import FoldProcess, Task
from tests.recordings import SCENARIOS, journal

SEEDS = (0, 1, 2)
DEPENDENTS, BETWEEN = 6_000, 6

Processes = Sequence[FoldProcess]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Processes that fold, each with another hash seed."""
    found = [FoldProcess(seed) for seed in SEEDS]
    yield found
    for process in found:
        with process:
            pass


def in_each(processes: Processes, *tasks: Task) -> list[list[bytes]]:
    """The rows that each process gives; each gets one of the tasks, or all the same."""
    given = tasks if len(tasks) > 1 else tasks * len(processes)
    for process, task in zip(processes, given, strict=False):
        process.send(task)
    return [process.receive() for process, _ in zip(processes, given, strict=False)]


def assert_same(found: list[list[bytes]]) -> None:
    first, *others = found
    for other in others:
        for mine, theirs in zip(first, other, strict=True):
            if mine != theirs:  # Decoded, so that a failure shows which row it is.
                assert msgspec.msgpack.decode(theirs) == msgspec.msgpack.decode(mine)
            assert theirs == mine, "only the order of members differs"


# objects that change many fields at once --------------------------------------------------------------------------

words = st.sampled_from(
    ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "iota", "kappa", "lambda"]
)
texts = st.dictionaries(words, words, min_size=3, max_size=9)
values = st.recursive(
    st.integers(0, 9) | st.booleans() | words,
    lambda inner: st.dictionaries(words, inner, max_size=6) | st.lists(inner, max_size=4),
    max_leaves=12,
)
specs = st.dictionaries(words, values, min_size=5, max_size=10)
variables = texts.map(lambda found: [{"name": name, "value": value} for name, value in found.items()])
conditions = st.dictionaries(
    st.sampled_from(["Available", "Progressing", "ReplicaFailure", "Degraded", "Synced", "Ready"]),
    st.sampled_from(["True", "False", "Unknown"]),
    min_size=2,
)
taints = st.lists(st.sampled_from(["NoExecute", "NoSchedule", "PreferNoSchedule"]), max_size=3, unique=True)


def versions() -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {
            "spec": specs,
            "labels": texts,
            "annotations": texts,
            "env": variables,
            "conditions": conditions,
            "taints": taints,
            "managers": st.lists(words, min_size=1, max_size=4, unique=True),
        }
    )


def become(c: Cluster, web: Thing, node: Thing, version: dict[str, Any]) -> None:
    """Changes a Deployment and a Node to this version, many fields in one write."""
    web.raw["spec"].clear()
    web.meta["labels"], web.meta["annotations"] = dict(version["labels"]), dict(version["annotations"])
    container = {"name": "app", "image": "app:v1", "env": version["env"]}
    template = {"metadata": {"labels": version["labels"]}, "spec": {"containers": [container]}}
    for manager in version["managers"]:
        c._manage(web, manager, "", {"f:spec": {f"f:{key}": {} for key in version["spec"]}})
    c.update(web, **version["spec"], template=template, replicas=len(version["spec"]))
    node.meta["labels"] = dict(version["labels"])
    c.update(node, taints=[{"key": effect.lower(), "effect": effect} for effect in version["taints"]])
    at_once = [{"type": kind, "status": status, "reason": "Changed"} for kind, status in version["conditions"].items()]
    c.status(web, conditions=at_once, observedGeneration=web.meta["generation"])


@settings(max_examples=25, deadline=None)
@given(found=st.lists(versions(), min_size=2, max_size=4), data=st.data())
def test_changes_of_many_fields_give_the_same_rows_in_every_process(
    processes: Processes, found: list[dict[str, Any]], data: st.DataObject
) -> None:
    c = Cluster()
    web, node = c.create("Deployment", "web"), c.create("Node", "node-a", by="kubelet")
    c.first_list()
    for version in found:
        become(c, web, node, version)
        c.wait(data.draw(st.sampled_from([0, 3, 20])))
    cuts = list(range(1, len(c.records) + 1))
    assert_same(in_each(processes, Task(c.records, cuts), Task(c.records, cuts), Task(c.records, cuts, restarts=cuts)))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_recordings_give_the_same_rows_in_every_process_and_after_restarts(processes: Processes, scenario: str) -> None:
    _, records = journal(scenario)
    cuts = list(range(0, len(records), 40))
    assert_same(in_each(processes, Task(records, cuts), Task(records, cuts), Task(records, cuts, restarts=cuts)))


# an owner with more dependents than are looked at ---------------------------------------------------------------------


def failing_crowd() -> tuple[list[LogRecord], int]:
    """A Deployment with 6 ReplicaSets and 6,000 Pods, of which the first and the last fail, and then the Deployment.

    They are listed in the reverse order of their uids, in which a restart loads them.

    Returns:
        the journal, and the number of records of the list.
    """
    c = Cluster()
    web = c.create("Deployment", "web")
    sets = [c.create("ReplicaSet", f"web-{number}", owner=web) for number in range(BETWEEN)]
    pods = [c.create("Pod", f"web-{number}", owner=sets[number % BETWEEN], image="a") for number in range(DEPENDENTS)]
    for thing in (web, *pods):
        thing.raw["status"] = {"conditions": [{"type": kind, "status": "True"} for kind in ("Ready", "Available")]}
    c.first_list()
    listed = c.records[::-1]
    c.records.clear()
    for pod in (pods[0], pods[-1]):
        c.condition(pod, "Ready", "False", reason="ContainersNotReady", by="kubelet")
        c.wait(20)
    c.condition(web, "Available", "False", reason="MinimumReplicasUnavailable")
    return [*listed, *c.records], len(listed)


def test_an_owner_with_more_than_5000_dependents_gives_the_same_rows_after_a_restart(processes: Processes) -> None:
    records, listed = failing_crowd()
    found = in_each(processes[:2], Task(records), Task(records, restarts=[listed, listed + 2]))
    assert_same(found)
