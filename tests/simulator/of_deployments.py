"""Deployments: rollouts that overlap, fail, pause and go back."""

from tests.simulator.scenario import a_deployment, nothing, scenario, two_deployments
from tests.simulator.world import World


@scenario("pull-fixed", a_deployment(2))
def pull_fixed(w: World) -> None:
    w.break_image("v2")
    w.set_image(w.main, "v2")
    w.wait(75)
    w.set_image(w.main, "v3")
    w.wait(40)


@scenario("pull-fixed-late", a_deployment(3))
def pull_fixed_late(w: World) -> None:
    w.break_image("v2")
    w.set_image(w.main, "v2")
    w.wait(150)
    w.set_image(w.main, "v1")
    w.wait(60)


@scenario("pull-pushed", a_deployment(2))
def pull_pushed(w: World) -> None:
    w.break_image("v2")
    w.set_image(w.main, "v2")
    w.wait(30)
    w.kubelets.bad_images.clear()
    w.wait(90)


@scenario("pull-new", nothing)
def pull_new(w: World) -> None:
    w.break_image("v9")
    d = w.deployment("shop", 2, "v9")
    w.wait(60)
    w.set_image(d, "v1")
    w.wait(40)


@scenario("two-images", two_deployments)
def two_images(w: World) -> None:
    w.set_image(w.get("Deployment", "web"), "v2")
    w.wait(0.2)
    w.set_image(w.get("Deployment", "api"), "v2")
    w.wait(40)


@scenario("two-scales", two_deployments)
def two_scales(w: World) -> None:
    w.scale(w.get("Deployment", "web"), 4)
    w.wait(0.1)
    w.scale(w.get("Deployment", "api"), 1)
    w.wait(30)


@scenario("twice-image", a_deployment(3))
def twice_image(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1, 2.9)
    w.set_image(w.main, "v3")
    w.wait(50)


@scenario("twice-scale", a_deployment(3))
def twice_scale(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1, 2.9)
    w.scale(w.main, 6)
    w.wait(50)


@scenario("twice-back", a_deployment(3))
def twice_back(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1, 2.9)
    w.set_image(w.main, "v1", by="kubectl")
    w.wait(50)


@scenario("twice-scales", a_deployment(3))
def twice_scales(w: World) -> None:
    w.scale(w.main, 5)
    w.wait(0.3, 1)
    w.scale(w.main, 2)
    w.wait(40)


@scenario("thrice", a_deployment(4))
def thrice(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1)
    w.set_image(w.main, "v3")
    w.wait(1)
    w.set_image(w.main, "v4")
    w.wait(50)


@scenario("ssa", nothing)
def ssa(w: World) -> None:
    d = w.deployment("app", 2, by="kubectl", operation="Apply")
    w.wait(20)
    w.set_image(d, "v2", by="kubectl", operation="Apply")
    w.wait(30)
    w.set_image(d, "v3", by="ci-pipeline", operation="Apply")
    w.wait(30)
    w.scale(d, 4)
    w.wait(20)


@scenario("pause", a_deployment(2))
def pause(w: World) -> None:
    w.pause(True)
    w.wait(5)
    w.set_image(w.main, "v2")
    w.wait(15)
    w.pause(False)
    w.wait(40)


@scenario("pause-mid", a_deployment(4))
def pause_mid(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(1.5)
    w.pause(True)
    w.wait(25)
    w.pause(False)
    w.wait(40)


@scenario("pause-scale", a_deployment(2))
def pause_scale(w: World) -> None:
    w.pause(True)
    w.wait(5)
    w.scale(w.main, 4)
    w.wait(25)
    w.pause(False)
    w.wait(20)


@scenario("labels", a_deployment(2))
def labels(w: World) -> None:
    w.label(w.main, team="x")
    w.wait(3)
    w.annotate(w.main)
    w.wait(10)
    w.set_image(w.main, "v2")
    w.wait(1)
    w.label(w.get("Deployment", "web"), team="y")
    w.wait(1)
    w.annotate(w.main)
    w.wait(40)


@scenario("labels-hand", a_deployment(2))
def labels_hand(w: World) -> None:
    w.delete_pod("web", 0)
    w.wait(0.01, 0.02)
    w.label(w.main, team="x")
    w.annotate(w.main)
    w.wait(30)


@scenario("rollback", a_deployment(3))
def rollback(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(30)
    w.set_image(w.main, "v3")
    w.wait(30)
    w.set_image(w.main, "v2", by="kubectl")
    w.wait(40)
