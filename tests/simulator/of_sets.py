"""StatefulSets, DaemonSets, Jobs and quotas: created, updated, scaled, broken, touched by hand."""

from tests.simulator.scenario import (
    a_daemonset,
    a_statefulset,
    labelled_daemonset,
    nothing,
    quota_and_deployment,
    quota_of_three,
    scenario,
)
from tests.simulator.world import World


@scenario("sts-create", nothing)
def sts_create(w: World) -> None:
    w.statefulset()
    w.wait(40)


@scenario("sts-update", a_statefulset())
def sts_update(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(60)
    w.set_image(w.main, "v3")
    w.wait(60)


@scenario("sts-scale", a_statefulset())
def sts_scale(w: World) -> None:
    w.scale(w.main, 5)
    w.wait(30)
    w.scale(w.main, 2)
    w.wait(40)


@scenario("sts-scale-update", a_statefulset())
def sts_scale_update(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(3.5)
    w.scale(w.main, 5)
    w.wait(70)


@scenario("sts-ondelete", a_statefulset({"type": "OnDelete"}))
def sts_ondelete(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(20)
    w.delete_pod("db", 1)
    w.wait(40)
    w.delete_pod("db", 0)
    w.wait(40)


@scenario("sts-partition", a_statefulset({"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}))
def sts_partition(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(40)
    w.delete_pod("db", 0)
    w.wait(40)
    w.set_spec(w.main, "kubectl-patch", updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}})
    w.wait(60)


@scenario("sts-hand", a_statefulset())
def sts_hand(w: World) -> None:
    w.delete_pod("db", 1)
    w.wait(30)
    w.set_image(w.main, "v2")
    w.wait(2.5)
    w.delete_pod("db", 0)
    w.wait(60)


@scenario("sts-broken", a_statefulset())
def sts_broken(w: World) -> None:
    w.break_image("v2")
    w.set_image(w.main, "v2")
    w.wait(50)
    w.set_image(w.main, "v3")
    w.wait(25)
    w.delete_pod("db", 2)
    w.wait(60)


@scenario("ds-create", nothing)
def ds_create(w: World) -> None:
    w.daemonset()
    w.wait(30)


@scenario("ds-update", a_daemonset())
def ds_update(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(40)
    w.set_image(w.main, "v3")
    w.wait(40)


@scenario("ds-ondelete", a_daemonset({"type": "OnDelete"}))
def ds_ondelete(w: World) -> None:
    w.set_image(w.main, "v2")
    w.wait(15)
    w.delete_pod("agent", 0)
    w.wait(30)


@scenario("ds-hand", a_daemonset())
def ds_hand(w: World) -> None:
    w.delete_pod("agent", 0)
    w.wait(30)


@scenario("ds-label", labelled_daemonset)
def ds_label(w: World) -> None:
    w.label_node("node-c", disk="ssd")
    w.wait(30)
    w.label_node("node-c", disk=None)
    w.wait(30)


@scenario("quota", quota_of_three)
def quota(w: World) -> None:
    w.deployment("web", 5)
    w.wait(20, 40)
    w.raise_quota(10)
    w.wait(100)


@scenario("quota-sts", quota_of_three)
def quota_sts(w: World) -> None:
    w.statefulset(replicas=5)
    w.wait(45)
    w.raise_quota(10)
    w.wait(100)


@scenario("quota-scale", quota_and_deployment)
def quota_scale(w: World) -> None:
    w.scale(w.main, 6)
    w.wait(30)
    w.raise_quota(10)
    w.wait(90)


@scenario("jobs", nothing)
def jobs(w: World) -> None:
    w.job("ok", completions=3)
    w.wait(12)
    w.job("bad", "bad", backoffLimit=2)
    w.wait(90)
    j = w.job("par", completions=6, parallelism=3)
    w.wait(40)
    w.people.delete(j)
    w.wait(15)
