"""What a scenario is: what is there before the recording, and what is done during it. A seed gives one recording."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.simulator.objects import Obj
from tests.simulator.world import World

Step = Callable[[World], None]


@dataclass(frozen=True)
class Scenario:
    name: str
    prepare: Step
    act: Step

    def record(self, seed: int, folder: Path, *, late: float | None = None, dropped: float = 0.0) -> None:
        """Writes ``folder``/recording.jsonl.gz and truth.json.

        ``late``: seconds a reporter may be behind; drawn from the seed if None. ``dropped``: share of Events lost.
        """
        world = World(seed, self.name, late, dropped)
        self.prepare(world)
        start = world.start_recording()
        world.wait(2)
        self.act(world)
        world.cluster.run(45)
        world.save(folder, self.name, start)


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, prepare: Step) -> Callable[[Step], Step]:
    """Registers what it decorates."""

    def register(act: Step) -> Step:
        SCENARIOS[name] = Scenario(name, prepare, act)
        return act

    return register


def nothing(_world: World) -> None:
    """Two empty nodes."""


def a_deployment(replicas: int) -> Step:
    def prepare(w: World) -> None:
        w.main = w.deployment("web", replicas)
        w.wait(15)

    return prepare


def two_deployments(w: World) -> None:
    w.deployment("web")
    w.deployment("api", 3)
    w.wait(15)


def a_statefulset(strategy: Obj | None = None) -> Step:
    def prepare(w: World) -> None:
        w.main = w.statefulset(strategy=strategy)
        w.wait(25)

    return prepare


def a_daemonset(strategy: Obj | None = None) -> Step:
    def prepare(w: World) -> None:
        w.main = w.daemonset(strategy=strategy)
        w.wait(15)

    return prepare


def labelled_daemonset(w: World) -> None:
    """It runs where a label says so: on one node of three."""
    w.add_node("node-c")
    w.label(w.cluster.node("node-a"), disk="ssd")
    w.main = w.daemonset(pod={"nodeSelector": {"disk": "ssd"}})
    w.wait(15)


def quota_of_three(w: World) -> None:
    w.people.create("ResourceQuota", "few", {"hard": {"pods": "3"}}, by="kubectl-create")
    w.wait(5)


def quota_and_deployment(w: World) -> None:
    quota_of_three(w)
    w.main = w.deployment("web", 2)
    w.wait(15)


def busy(w: World) -> None:
    w.deployment("web", 4)
    w.deployment("api", 2)
    w.daemonset()
    w.wait(20)


def busy_statefulset(w: World) -> None:
    w.statefulset()
    w.deployment("web", 3)
    w.wait(30)


def everything(w: World) -> None:
    w.deployment("web", 4)
    w.statefulset("db", 2)
    w.daemonset()
    w.wait(30)


def tolerating(seconds: int) -> Step:
    """One Deployment tolerates the taint for a while, the other does not."""
    toleration = {"key": "dedicated", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds}

    def prepare(w: World) -> None:
        w.deployment("web", 3, pod={"tolerations": [toleration]})
        w.deployment("api", 2)
        w.wait(20)

    return prepare
