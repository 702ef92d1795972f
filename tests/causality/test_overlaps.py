"""Changes so close together that the newest is not always the cause."""

from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, scale, scaled, settled, take_up
from tests.causality.cluster import Cluster
from tests.causality.drawing import shows


def test_two_deployments_changed_in_the_same_second_are_not_mixed_up() -> None:
    c = Cluster()
    shop, old_shop, _ = rolled_out(c, "shop")
    cart, old_cart, _ = rolled_out(c, "cart")
    c.first_list()
    c.update(shop, by="kubectl-set", image="app:v2")
    c.update(cart, by="kubectl-set", image="app:v2")
    new_cart = new_replicas(c, cart, "cart-2", 1, late=3)
    new_shop = new_replicas(c, shop, "shop-2", 1)
    new_pod(c, new_shop, "shop-2-a", reported=False)
    new_pod(c, new_cart, "cart-2-a")
    scale(c, shop, old_shop, 0, late=2)
    scale(c, cart, old_cart, 0, reported=False)
    for thing in (old_shop, old_cart, new_shop, new_cart, shop, cart):
        done(c, thing)
    shows(
        c,
        """
        (incomplete)
        Deployment.Update shop  by kubectl  [root]
          Deployment.ScalingReplicaSet shop  by deployment-controller  [owner]
            ReplicaSet.Create shop-2  by deployment-controller  [subject]
              Pod.Create shop-2-a  by replicaset-controller  [owner]
          Deployment.ScalingReplicaSet shop  by deployment-controller  [owner]
            ReplicaSet.Update shop-1  by deployment-controller  [subject]

        (incomplete)
        Deployment.Update cart  by kubectl  [root]
          Deployment.ScalingReplicaSet cart  by deployment-controller  [owner]
            ReplicaSet.Create cart-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate cart-2  by replicaset-controller  [owner]
                Pod.Create cart-2-a  by replicaset-controller  [subject]
          ReplicaSet.Update cart-1  by deployment-controller  [owner]
        """,
    )


def test_a_second_change_is_not_the_cause_of_actions_for_the_first() -> None:
    """The controller still sees the version of the first change when the second was made."""
    c, web, one, _ = settled("web", 2)
    first = c.update(web, by="kubectl-set", image="app:v2").version
    two = new_replicas(c, web, "web-2", 1)
    c.wait(2)
    c.update(web, by="kubectl-set", image="app:v3")
    scale(c, web, one, 1, seen=first)
    scale(c, web, two, 2, seen=first, late=4)
    three = new_replicas(c, web, "web-3", 1)
    scale(c, web, two, 0)
    scale(c, web, one, 0, reported=False)
    done(c, one, two, three, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-2  by deployment-controller  [subject]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-3  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-2  by deployment-controller  [subject]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
        """,
    )


def test_without_events_the_pod_template_decides_which_of_two_changes_a_replica_set_is_for() -> None:
    c, web, _, _ = settled("web", 4)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1, reported=False)
    c.wait(2)
    c.update(web, by="kubectl-set", image="app:v3")
    scale(c, web, two, 2, reported=False)
    new_pod(c, two, "web-2-b", reported=False)
    three = new_replicas(c, web, "web-3", 1, reported=False)
    scale(c, web, two, 0, reported=False)
    done(c, two, three, web)
    shows(
        c,
        """
        (incomplete)
        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
            Pod.Create web-2-b  by replicaset-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-3  by deployment-controller  [owner]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
        """,
    )


def test_a_late_event_is_matched_with_its_change() -> None:
    """The ReplicaSet was decided meanwhile, from the objects alone."""
    c, web, one, _ = settled("web", 2)
    first = c.update(web, by="kubectl-set", image="app:v2").version
    two = new_replicas(c, web, "web-2", 1)
    c.wait(2)
    c.update(web, by="kubectl-set", image="app:v3")
    scale(c, web, one, 1, seen=first, late=12)
    three = new_replicas(c, web, "web-3", 1)
    c.wait(20)
    done(c, one, two, three, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-3  by deployment-controller  [subject]
        """,
    )


def test_an_event_reports_the_change_after_the_version_that_its_reporter_saw_not_the_nearest() -> None:
    """The same scaling twice, and the Event of the first is written only after the second."""
    c, web, rs, _ = settled("web")
    first = c.update(web, by="kubectl", subresource="scale", replicas=2).version
    scale(c, web, rs, 2, reported=False)
    c.wait(3)
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    scale(c, web, rs, 1, reported=False)
    c.wait(3)
    second = c.update(web, by="kubectl", subresource="scale", replicas=2).version
    scale(c, web, rs, 2, seen=second)
    scaled(c, web, rs, 1, 2, seen=first)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_a_change_and_its_undo_are_told_apart_by_the_template_that_each_replica_set_has() -> None:
    c, web, one, _ = settled("web", 2)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1, reported=False)
    scale(c, web, one, 1, reported=False)
    c.wait(1)
    c.update(web, by="kubectl-rollout", image="app:v1")
    scale(c, web, two, 2, reported=False)
    take_up(c, web, one)
    scale(c, web, one, 2, reported=False)
    scale(c, web, two, 0, reported=False)
    done(c, one, two, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
          ReplicaSet.Update web-2  by deployment-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
        """,
    )


def test_a_scale_down_before_the_newest_template_has_a_revision_is_for_the_template_before() -> None:
    """Without an Event, the revision annotation shows which version the controller saw."""
    c, web, one, _ = settled("web", 4)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 2, reported=False)
    c.update(web, by="kubectl-edit", image="app:v3")
    scale(c, web, one, 2, reported=False)
    three = new_replicas(c, web, "web-3", 1, reported=False)
    scale(c, web, one, 1, reported=False)
    done(c, one, two, three, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-1  by deployment-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-3  by deployment-controller  [owner]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
        """,
    )


def test_the_revision_decides_for_which_of_two_changes_to_one_template_a_replica_set_grows() -> None:
    """v2, v3 and v2 again: the controller has not seen the undo before web-2 has a new revision."""
    c, web, one, _ = settled("web", 4)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1, reported=False)
    c.update(web, by="kubectl-set", image="app:v3")
    c.update(web, by="kubectl-rollout", image="app:v2")
    scale(c, web, two, 2, reported=False)
    three = new_replicas(c, web, "web-3", 1, reported=False, image="app:v3")
    take_up(c, web, two)
    scale(c, web, two, 4, reported=False)
    scale(c, web, three, 0, reported=False)
    done(c, one, two, three, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-2  by deployment-controller  [owner]

        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-3  by deployment-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
          ReplicaSet.Update web-3  by deployment-controller  [owner]
        """,
    )


def test_a_change_of_template_and_replicas_can_scale_before_it_has_a_revision() -> None:
    """The controller first scales existing ReplicaSets (sync.go, scale) and creates the new one in its next pass."""
    c, web, one, _ = settled("web", 2)
    c.update(web, by="kubectl-edit", image="app:v2", replicas=4)
    scale(c, web, one, 4, reported=False)
    two = new_replicas(c, web, "web-2", 1, reported=False)
    done(c, one, two, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
        """,
    )


def test_the_recreate_strategy_scales_down_before_the_new_template_has_a_revision() -> None:
    c, web, one, _ = settled("web", 2, strategy={"type": "Recreate"})
    c.update(web, by="kubectl-set", image="app:v2")
    scale(c, web, one, 0, reported=False)
    c.wait(3)
    two = new_replicas(c, web, "web-2", 2, reported=False)
    c.update(web, by="kubectl-set", image="app:v3")
    scale(c, web, two, 0, reported=False)
    three = new_replicas(c, web, "web-3", 2, reported=False)
    done(c, one, two, three, web)
    shows(
        c,
        """
        (superseded)
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
          ReplicaSet.Create web-2  by deployment-controller  [owner]

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-2  by deployment-controller  [owner]
          ReplicaSet.Create web-3  by deployment-controller  [owner]
        """,
    )


def test_the_start_of_a_pod_that_is_already_being_deleted_belongs_to_its_creation() -> None:
    """An undo in the middle of a rollout deletes a Pod while its kubelet starts it."""
    c, web, one, _ = settled("web", 1)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    pod = new_pod(c, two, "web-2-a")
    c.bind(pod, "node-a")
    seen = pod.version
    c.wait(1.5)
    c.update(web, by="kubectl-rollout", image="app:v1")
    scale(c, web, two, 0)
    kill(c, pod, by=two)
    c.event(pod, "Pulled", "Container image already present on machine", by="kubelet", seen=seen)
    c.event(pod, "Started", "Container started", by="kubelet", seen=seen)
    c.gone(pod)
    done(c, one, two, web)
    shows(
        c,
        """
         (superseded)
         Deployment.Update web  by kubectl  [root]
           Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
             ReplicaSet.Create web-2  by deployment-controller  [subject]
               ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                 Pod.Create web-2-a  by replicaset-controller  [subject]
                   Pod.Pulled web-2-a  by kubelet  [own]
                   Pod.Started web-2-a  by kubelet  [own]

         Deployment.Update web  by kubectl  [root]
           Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
             ReplicaSet.Update web-2  by deployment-controller  [subject]
               ReplicaSet.SuccessfulDelete web-2  by replicaset-controller  [owner]
                 Pod.Delete web-2-a  by replicaset-controller  [subject]
                   Pod.Killing web-2-a  by kubelet  [own]
        """,
    )
