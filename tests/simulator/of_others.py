"""Pods, owners and namespaces: deleted by hand, orphaned, adopted, released, made again."""

from tests.simulator.scenario import a_deployment, scenario
from tests.simulator.world import World


@scenario("orphan-adopt", a_deployment(2))
def orphan_adopt(w: World) -> None:
    w.people.delete(w.main, policy="Orphan")
    w.wait(20)
    w.deployment("web", 2)
    w.wait(25)
    w.scale(w.get("Deployment", "web"), 4)
    w.wait(30)


@scenario("orphan-more", a_deployment(2))
def orphan_more(w: World) -> None:
    w.people.delete(w.main, policy="Orphan")
    w.wait(20)
    w.deployment("web", 4)
    w.wait(30)


@scenario("orphan-image", a_deployment(2))
def orphan_image(w: World) -> None:
    w.people.delete(w.main, policy="Orphan")
    w.wait(20)
    w.deployment("web", 2, "v2")
    w.wait(40)


@scenario("orphan-rs", a_deployment(2))
def orphan_rs(w: World) -> None:
    rs = w.cluster.of_kind("ReplicaSet")[0]
    w.people.delete(rs, policy="Orphan")
    w.wait(30)
    w.people.delete(w.main)
    w.wait(30)


@scenario("release", a_deployment(2))
def release(w: World) -> None:
    pod = w.pods("web")[0]
    w.relabel_pod(pod, "debug")
    w.wait(30)
    w.relabel_pod(pod, "web")
    w.wait(30)


@scenario("hand-then-image", a_deployment(3))
def hand_then_image(w: World) -> None:
    w.delete_pod("web", 0)
    w.wait(0.5, 1.5)
    w.set_image(w.main, "v2")
    w.wait(40)


@scenario("hand-mid", a_deployment(4))
def hand_mid(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1.2, 2.2)
    w.delete_pod("web", 0)
    w.wait(50)


@scenario("hand-scale", a_deployment(3))
def hand_scale(w: World) -> None:
    w.delete_pod("web", 0)
    w.wait(0.2, 0.6)
    w.scale(w.main, 5)
    w.wait(30)


@scenario("hand-down", a_deployment(3))
def hand_down(w: World) -> None:
    w.scale(w.main, 1)
    w.wait(0.05, 0.3)
    w.delete_pod("web", 0)
    w.wait(30)


@scenario("namespace", a_deployment(3))
def namespace(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(2)
    w.people.delete(w.get("Namespace", w.cluster.namespace))
    w.wait(40)


@scenario("recreate", a_deployment(2))
def recreate(w: World) -> None:
    w.people.delete(w.main)
    w.wait(0.5, 4)
    w.deployment("web", 2)
    w.wait(30)


@scenario("foreground", a_deployment(2))
def foreground(w: World) -> None:
    w.people.delete(w.main, policy="Foreground")
    w.wait(20)
