"""Autoscalers and quotas."""

from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, scale
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import shows


def test_an_autoscalers_decision_scales_its_target() -> None:
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    scaler = c.apply("HorizontalPodAutoscaler", "web", scaleTargetRef={"kind": "Deployment", "name": "web"})
    c.first_list()
    c.update(web, by=MANAGER, subresource="scale", replicas=2)
    message = "New size: 2; reason: cpu resource utilization (percentage of request) above target"
    c.event(scaler, "SuccessfulRescale", message, by="horizontal-pod-autoscaler")
    scale(c, web, rs, 2)
    run(c, new_pod(c, rs, "web-1-b"))
    done(c, rs, web)
    shows(
        c,
        """
        HorizontalPodAutoscaler.SuccessfulRescale web  by horizontal-pod-autoscaler  [root]
          Deployment.Update web  by horizontal-pod-autoscaler  [subject]
            Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
              ReplicaSet.Update web-1  by deployment-controller  [subject]
                ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                  Pod.Create web-1-b  by replicaset-controller  [subject]
                    Pod.Scheduled web-1-b  by default-scheduler  [own]
                    Pod.Started web-1-b  by kubelet  [own]
                    Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_an_autoscaler_whose_event_is_lost_does_not_join_the_last_rollout() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    c.wait(3)
    c.update(web, by=MANAGER, subresource="scale", replicas=2)
    scale(c, web, rs, 2, reported=False)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]

        Deployment.Update web  by horizontal-pod-autoscaler  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
        """,
    )


def refusal(name: str, quota: str) -> str:
    asked = "requested: pods=1, used: pods=1, limited: pods=1"
    return f'Error creating: pods "{name}" is forbidden: exceeded quota: {quota}, {asked}'


def test_pods_that_a_quota_refused_are_created_because_it_was_raised() -> None:
    c = Cluster()
    quota = c.apply("ResourceQuota", "few", hard={"pods": "1"})
    c.first_list()
    web = c.apply("Deployment", "web", replicas=2)
    rs = new_replicas(c, web, "web-1", 2)
    run(c, new_pod(c, rs, "web-1-a"))
    failed = c.event(rs, "FailedCreate", refusal("web-1-b", "few"), by="replicaset-controller", warning=True)
    c.wait(5)
    c.repeat(failed)
    c.status(quota, used={"pods": "1"})
    c.wait(30)
    c.update(quota, by="kubectl-patch", hard={"pods": "10"})
    c.wait(20)
    run(c, new_pod(c, rs, "web-1-b"))
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
              ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] +1 error

        ResourceQuota.Update few  by kubectl  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [subject]
            Pod.Create web-1-b  by replicaset-controller  [subject]
              Pod.Scheduled web-1-b  by default-scheduler  [own]
              Pod.Started web-1-b  by kubelet  [own]
              Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_a_raised_quota_is_no_cause_for_pods_that_it_had_not_refused() -> None:
    """Pods created before the quota was raised, or for a later change, have their own causes."""
    c = Cluster()
    quota = c.apply("ResourceQuota", "few", hard={"pods": "1"})
    other, other_rs, _ = rolled_out(c, "other")
    web, rs, _ = rolled_out(c, "web")
    c.first_list()
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    scale(c, web, rs, 2)
    c.event(rs, "FailedCreate", refusal("web-1-b", "few"), by="replicaset-controller", warning=True)
    c.update(quota, by="kubectl-patch", hard={"pods": "10"})
    c.wait(1)
    new_pod(c, rs, "web-1-b")
    c.update(other, by="kubectl", subresource="scale", replicas=2)
    scale(c, other, other_rs, 2)
    new_pod(c, other_rs, "other-1-b")
    c.update(web, by="kubectl", subresource="scale", replicas=3)
    scale(c, web, rs, 3)
    new_pod(c, rs, "web-1-c")
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] error

        (incomplete)
        ResourceQuota.Update few  by kubectl  [root]
          ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [subject]
            Pod.Create web-1-b  by replicaset-controller  [subject]

        (incomplete)
        Deployment.Update other  by kubectl  [root]
          Deployment.ScalingReplicaSet other  by deployment-controller  [owner]
            ReplicaSet.Update other-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate other-1  by replicaset-controller  [owner]
                Pod.Create other-1-b  by replicaset-controller  [subject]

        (incomplete)
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-c  by replicaset-controller  [subject]
        """,
    )


def refused(c: Cluster, why: str) -> tuple[Thing, Thing]:
    """A Deployment whose only Pod is refused: (Deployment, its ReplicaSet)."""
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, reported=False)
    message = f'Error creating: pods "web-1-a" is forbidden: {why}'
    c.event(rs, "FailedCreate", message, by="replicaset-controller", warning=True)
    c.wait(20)
    return web, rs


def test_a_pod_that_was_too_big_is_created_because_its_limits_were_raised() -> None:
    """The message does not name the LimitRange: any of the namespace can be the cause, but no other."""
    c = Cluster()
    limits, other = (
        c.apply("LimitRange", "limits", limits=[1]),
        c.create("LimitRange", "other", namespace="else", by="me"),
    )
    c.first_list()
    web, rs = refused(c, "maximum memory usage per Container is 1Gi, but limit is 2Gi")
    c.update(limits, by="kubectl-edit", limits=[2])
    c.update(other, by="me", limits=[3])
    c.wait(10)
    run(c, new_pod(c, rs, "web-1-a", reported=False))
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] error

        LimitRange.Update limits  by kubectl  [root]
          Pod.Create web-1-a  by replicaset-controller  [subject]
            Pod.Scheduled web-1-a  by default-scheduler  [own]
            Pod.Started web-1-a  by kubelet  [own]
            Pod.Ready web-1-a  by kubelet  [own]

        LimitRange.Update other  by me  [root]
        """,
    )


def test_a_pod_that_was_not_safe_is_created_because_the_namespaces_label_was_changed() -> None:
    c = Cluster()
    shop = c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    web, rs = refused(c, 'violates PodSecurity "restricted:latest": runAsNonRoot != true')
    c.label(shop, **{"pod-security.kubernetes.io/enforce": "privileged"})
    c.wait(10)
    run(c, new_pod(c, rs, "web-1-a", reported=False))
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] error

        Namespace.Update shop  by kubectl  [root]
          Pod.Create web-1-a  by replicaset-controller  [subject]
            Pod.Scheduled web-1-a  by default-scheduler  [own]
            Pod.Started web-1-a  by kubelet  [own]
            Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_a_refused_dependent_is_created_because_its_owner_was_changed() -> None:
    c = Cluster()
    c.apply("LimitRange", "limits", limits=[1])
    c.first_list()
    web, _ = refused(c, "[minimum cpu usage per Container is 100m, but request is 50m]")
    c.update(web, by="kubectl-edit", image="app:v2")
    two = new_replicas(c, web, "web-2", 1, reported=False)
    run(c, new_pod(c, two, "web-2-a", reported=False))
    done(c, two, web)
    shows(
        c,
        """
        (failing)
        Deployment.Create web  by kubectl  [root] error
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            ReplicaSet.FailedCreate web-1  by replicaset-controller  [own] error

        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Create web-2  by deployment-controller  [owner]
            Pod.Create web-2-a  by replicaset-controller  [owner]
              Pod.Scheduled web-2-a  by default-scheduler  [own]
              Pod.Started web-2-a  by kubelet  [own]
              Pod.Ready web-2-a  by kubelet  [own]
        """,
    )


def test_conditions_of_an_autoscaler_are_caused_by_its_decision() -> None:
    """Scaled up for one decision and down for the next, which is reported before the target changed."""
    c = Cluster()
    db = c.apply("StatefulSet", "db", replicas=1)
    run(c, new_pod(c, db, "db-0", reported=False))
    done(c, db)
    scaler = c.apply("HorizontalPodAutoscaler", "db", scaleTargetRef={"kind": "StatefulSet", "name": "db"})
    c.condition(scaler, "ScalingLimited", "False", reason="DesiredWithinRange")
    c.first_list()
    c.update(db, by=MANAGER, subresource="scale", replicas=2)
    message = "New size: 2; reason: cpu resource utilization (percentage of request) above target"
    c.event(scaler, "SuccessfulRescale", message, by="horizontal-pod-autoscaler")
    c.condition(scaler, "ScalingLimited", "True", reason="TooManyReplicas")
    pod = new_pod(c, db, "db-1", message="create Pod db-1 in StatefulSet db successful")
    run(c, pod)
    done(c, db)
    c.wait(300)
    c.event(
        scaler, "SuccessfulRescale", "New size: 1; reason: All metrics below target", by="horizontal-pod-autoscaler"
    )
    c.update(db, by=MANAGER, subresource="scale", replicas=1)
    c.condition(scaler, "ScalingLimited", "False", reason="DesiredWithinRange")
    kill(c, pod)
    c.gone(pod)
    done(c, db)
    shows(
        c,
        """
        HorizontalPodAutoscaler.SuccessfulRescale db  by horizontal-pod-autoscaler  [root]
          StatefulSet.Update db  by horizontal-pod-autoscaler  [subject]
            StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
              Pod.Create db-1  by statefulset-controller  [subject]
                Pod.Scheduled db-1  by default-scheduler  [own]
                Pod.Started db-1  by kubelet  [own]
                Pod.Ready db-1  by kubelet  [own]
          HorizontalPodAutoscaler.ScalingLimited db  by horizontal-pod-autoscaler  [own]

        HorizontalPodAutoscaler.SuccessfulRescale db  by horizontal-pod-autoscaler  [root]
          StatefulSet.Update db  by horizontal-pod-autoscaler  [subject]
            Pod.Delete db-1  by statefulset-controller  [owner]
              Pod.Killing db-1  by kubelet  [own]
          HorizontalPodAutoscaler.ScalingLimited=False db  by horizontal-pod-autoscaler  [own]
        """,
    )
