"""Who made a change: people and tools are roots, controllers' changes are effects, metadata alone starts nothing."""

import pytest

from tests.causality.actors import done, new_replicas, rolled_out, scale, settled
from tests.causality.cluster import MANAGER, STEP, Cluster, second
from tests.causality.drawing import shows

WIDGETS = "widget-controller"


def test_a_custom_resources_controller_acts_for_its_last_change() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.event(widget, "Reconciling", "generation 1", by=WIDGETS, new=True)
    web = c.create("Deployment", "widget-a", owner=widget, by=WIDGETS, replicas=1)
    rs = new_replicas(c, web, "widget-a-1", 1)
    done(c, rs, web)
    c.wait(30)
    c.update(widget, by="kubectl-patch", size=2)
    c.update(web, by=WIDGETS, replicas=2)
    scale(c, web, rs, 2)
    done(c, rs, web)
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Reconciling a  by widget-controller  [own]
          Deployment.Create widget-a  by widget-controller  [owner]
            Deployment.ScalingReplicaSet widget-a  by deployment-controller  [owner]
              ReplicaSet.Create widget-a-1  by deployment-controller  [subject]

        Widget.Update a  by kubectl  [root]
          Deployment.Update widget-a  by widget-controller  [owner]
            Deployment.ScalingReplicaSet widget-a  by deployment-controller  [owner]
              ReplicaSet.Update widget-a-1  by deployment-controller  [subject]
        """,
    )


def test_a_manual_edit_of_an_owned_object_is_the_root_of_the_edit_and_its_revert() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    web = c.create("Deployment", "widget-a", owner=widget, by=WIDGETS, replicas=1)
    rs = new_replicas(c, web, "widget-a-1", 1)
    done(c, rs, web)
    c.first_list()
    c.update(web, by="kubectl-edit", replicas=5)
    scale(c, web, rs, 5)
    c.wait(2)
    c.update(web, by=WIDGETS, replicas=1)
    scale(c, web, rs, 1)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update widget-a  by kubectl  [root]
          Deployment.ScalingReplicaSet widget-a  by deployment-controller  [owner]
            ReplicaSet.Update widget-a-1  by deployment-controller  [subject]
          Deployment.Update widget-a  by widget-controller  [own]
            Deployment.ScalingReplicaSet widget-a  by deployment-controller  [owner]
              ReplicaSet.Update widget-a-1  by deployment-controller  [subject]
        """,
    )


def test_a_replica_set_scaled_by_hand_is_scaled_back_because_of_that() -> None:
    c, web, rs, _ = settled("web")
    c.update(rs, by="kubectl", subresource="scale", replicas=3)
    c.wait(1)
    scale(c, web, rs, 1)
    done(c, rs)
    shows(
        c,
        """
        ReplicaSet.Update web-1  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [own]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_a_controller_acts_for_the_edit_of_the_owner_not_for_an_older_edit_of_its_object() -> None:
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    web = c.create("Deployment", "widget-a", owner=widget, by=WIDGETS, replicas=1)
    done(c, web)
    c.first_list()
    c.update(web, by="kubectl-edit", minReadySeconds=5)
    c.wait(3)
    c.update(widget, by="kubectl-patch", size=2)
    c.update(web, by=WIDGETS, replicas=2)
    done(c, web)
    shows(
        c,
        """
        Deployment.Update widget-a  by kubectl  [root]

        Widget.Update a  by kubectl  [root]
          Deployment.Update widget-a  by widget-controller  [owner]
        """,
    )


@pytest.mark.parametrize(
    "manager", ["argocd-controller", "kustomize-controller", "helm", "terraform", "kubectl", "my-platform"]
)
def test_a_tool_that_applies_is_a_root(manager: str) -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", by=manager, replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    done(c, rs, web)
    shows(
        c,
        f"""
        Deployment.Create web  by {manager}  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
        """,
    )


@pytest.mark.parametrize(
    "manager",
    [
        "kubectl-edit",
        "kubectl-patch",
        "kubectl-replace",
        "helm",
        "Terraform",
        "HashiCorp",
        "argocd-application-controller",
        "flux",
        "helm-controller",
        "Go-http-client",
        "node-fetch",
    ],
)
def test_the_editor_is_the_root_of_the_rollout(manager: str) -> None:
    """Also an unknown manager, as long as it does not write the status."""
    c, web, one, _ = settled("web")
    c.update(web, by=manager, image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    scale(c, web, one, 0)
    done(c, one, two, web)
    shows(
        c,
        f"""
        Deployment.Update web  by {"kubectl" if manager.startswith("kubectl") else manager}  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


@pytest.mark.parametrize("manager", ["kubectl", "argocd-controller", "my-platform"])
def test_a_server_side_apply_is_the_root_of_its_change(manager: str) -> None:
    """The first apply adds an entry for earlier fields with an unknown manager and the same time."""
    c, web, one, _ = settled("web", by=f"{manager} (apply)")
    own = web.meta["managedFields"][0]
    nobody = {**own, "manager": "before-first-apply", "operation": "Update", "time": second(c.now + STEP)}
    web.meta["managedFields"] = [nobody]
    c.update(web, by=f"{manager} (apply)", image="app:v2")
    two = new_replicas(c, web, "web-2", 1, reported=False)
    scale(c, web, one, 0, reported=False)
    c.wait(20)
    c.update(web, by=f"{manager} (apply)", replicas=2)
    scale(c, web, two, 2, reported=False)
    done(c, one, two, web)
    shows(
        c,
        f"""
        Deployment.Update web  by {manager}  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-1  by deployment-controller  [owner]

        Deployment.Update web  by {manager}  [root]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
        """,
    )


def test_before_kubernetes_1_22_status_entries_are_recognised_by_their_fields() -> None:
    """A manager that only writes the status made no change: the change was kubectl's."""
    c = Cluster()
    web = c.apply("Deployment", "web", by="kubectl", replicas=1)
    c.wait(5)
    c.update(web, by="kubectl", image="app:v2")
    c.wait(5)
    c.status(web, observedGeneration=2)
    del web.meta["managedFields"][1]["subresource"]
    c.first_list(1)
    new_replicas(c, web, "web-2", 1, old=True)
    shows(
        c,
        """
        (incomplete)
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
        """,
    )


def test_labels_and_annotations_start_nothing() -> None:
    c = Cluster()
    space = c.apply("Namespace", "shop", by="kubectl-create")
    node = c.create("Node", "node-a", by="kubelet")
    settings = c.apply("ConfigMap", "settings")
    web, rs, (pod,) = rolled_out(c, "web")
    c.first_list()
    for thing in (space, node, settings, web, pod):
        c.label(thing, team="blue")
        c.annotate(thing, "note", "looked at")
    c.annotate(rs, "note", "looked at", by=MANAGER)
    shows(c, "")


def test_labels_are_not_the_cause_of_later_changes() -> None:
    c, web, rs, _ = settled("web")
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    c.label(web, team="blue")
    scale(c, web, rs, 2)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_a_status_update_is_no_change() -> None:
    c = Cluster()
    quota = c.apply("ResourceQuota", "few", hard={"pods": "1"})
    web, rs, _ = rolled_out(c, "web")
    c.first_list()
    c.status(quota, used={"pods": "1"})
    c.status(quota, used={"pods": "2"}, by="kube-apiserver")
    done(c, web, rs)
    shows(c, "")


def test_a_controller_that_marks_its_own_object_acts_for_its_last_change() -> None:
    """The controller manager taints the node that somebody cordoned."""
    c = Cluster()
    node = c.create("Node", "node-a", by="kubelet")
    c.condition(node, "Ready", "True", by="kubelet")
    c.first_list()
    c.update(node, by="kubectl", unschedulable=True)
    c.update(node, by=MANAGER, taints=[{"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}])
    shows(
        c,
        """
        Node.Update node-a  by kubectl  [root]
          Node.Update node-a  by node-controller  [own]
        """,
    )


def test_a_controller_that_edits_its_own_resource_acts_for_the_last_change_of_it() -> None:
    """The controller is recognised by the status that it writes."""
    c = Cluster()
    widget = c.apply("Widget", "a", size=1)
    c.status(widget, by=WIDGETS, phase="Pending")
    c.update(widget, by=WIDGETS, color="blue")
    shows(
        c,
        """
        Widget.Create a  by kubectl  [root]
          Widget.Update a  by widget-controller  [own]
        """,
    )


def test_an_apply_of_several_objects_is_one_trace_each() -> None:
    c = Cluster()
    one = c.apply("Deployment", "cart", replicas=1)
    two = c.apply("Deployment", "shop", replicas=1)
    c.apply("ConfigMap", "settings")
    second = new_replicas(c, two, "shop-1", 1)
    first = new_replicas(c, one, "cart-1", 1, reported=False)
    done(c, first, second, one, two)
    shows(
        c,
        """
        Deployment.Create cart  by kubectl  [root]
          ReplicaSet.Create cart-1  by deployment-controller  [owner]

        Deployment.Create shop  by kubectl  [root]
          Deployment.ScalingReplicaSet shop  by deployment-controller  [owner]
            ReplicaSet.Create shop-1  by deployment-controller  [subject]

        ConfigMap.Create settings  by kubectl  [root]
        """,
    )


def test_a_change_of_data_is_a_change_of_an_object_without_a_spec() -> None:
    c = Cluster()
    settings = c.apply("ConfigMap", "settings", data={"color": "blue"})
    c.first_list()
    c.label(settings, team="green")
    c.update(settings, by="kubectl-edit", data={"color": "red"})
    shows(c, "ConfigMap.Update settings  by kubectl  [root]")
