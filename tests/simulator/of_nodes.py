"""Nodes: drained, tainted, dead and back."""

from tests.simulator.objects import deleting
from tests.simulator.scenario import a_deployment, busy, busy_statefulset, everything, scenario, tolerating
from tests.simulator.world import World

NE = {"key": "dedicated", "value": "db", "effect": "NoExecute"}
NS = {"key": "dedicated", "value": "db", "effect": "NoSchedule"}


@scenario("drain", busy)
@scenario("drain-sts", busy_statefulset)
def drain(w: World) -> None:
    w.drain("node-a")
    w.wait(60)
    w.cordon("node-a", False)
    w.wait(20)


@scenario("drain-pdb", busy)
def drain_pdb(w: World) -> None:
    w.drain("node-a", every=6)
    w.wait(60)


@scenario("drain-late", busy)
def drain_late(w: World) -> None:
    w.drain("node-a", ahead=25)
    w.wait(60)


@scenario("drain-two", busy)
def drain_two(w: World) -> None:
    w.drain("node-a")
    w.wait(20)
    w.cordon("node-a", False)
    w.wait(2)
    w.drain("node-b")
    w.wait(40)


@scenario("taint-noexecute", busy)
def taint_noexecute(w: World) -> None:
    w.taint("node-a", [NE])
    w.wait(60)
    w.taint("node-a", [])
    w.wait(20)


@scenario("taint-noschedule", a_deployment(2))
def taint_noschedule(w: World) -> None:
    w.taint("node-a", [NS])
    w.wait(10)
    w.taint("node-b", [NS])
    w.wait(5)
    w.deployment("new", 2)
    w.wait(30)
    w.taint("node-a", [])
    w.wait(30)


@scenario("taint-tol20", tolerating(20))
@scenario("taint-tol60", tolerating(60))
def taint_tol20(w: World) -> None:
    w.taint("node-a", [NE])
    w.wait(90)


@scenario("taint-cancel", tolerating(30))
def taint_cancel(w: World) -> None:
    w.taint("node-a", [NE])
    w.wait(15)
    w.taint("node-a", [])
    w.wait(40)


@scenario("dead-node", everything)
def dead_node(w: World) -> None:
    w.nodes.kill("node-a")
    w.wait(440)


@scenario("dead-node-back", everything)
def dead_node_back(w: World) -> None:
    w.nodes.kill("node-a")
    w.wait(400)
    w.nodes.revive("node-a")
    w.wait(60)


@scenario("dead-node-force", everything)
def dead_node_force(w: World) -> None:
    w.nodes.kill("node-a")
    w.wait(420)
    for p in filter(deleting, w.pods("db")):
        w.people.delete(p, grace=0)
        w.cluster.finish(p)
    w.wait(60)


@scenario("dead-node-short", everything)
def dead_node_short(w: World) -> None:
    w.nodes.kill("node-a")
    w.wait(120)
    w.nodes.revive("node-a")
    w.wait(60)
