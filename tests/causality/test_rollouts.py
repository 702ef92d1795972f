"""Deployments: created, changed, scaled, rolled back, with early, late and lost Events."""

from kspan.vocabulary import CHANGE_SUMMARY
from tests.causality.actors import done, kill, new_pod, new_replicas, rolled_out, run, scale, scaled, settled
from tests.causality.cluster import MANAGER, Cluster
from tests.causality.drawing import CLUSTER, draw, fold_with_restarts, shows
from tests.recordings import fold


def test_a_created_deployment_is_one_trace_from_the_apply_to_the_started_container() -> None:
    c = Cluster()
    rolled_out(c, "web")
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
        """,
    )


def test_the_message_of_kubernetes_1_18_gives_the_same_tree() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, old=True)
    run(c, new_pod(c, rs, "web-1-a"))
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
        """,
    )


def test_without_events_the_objects_form_the_same_tree() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, reported=False)
    run(c, new_pod(c, rs, "web-1-a", reported=False))
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            Pod.Create web-1-a  by replicaset-controller  [owner]
              Pod.Scheduled web-1-a  by default-scheduler  [own]
              Pod.Started web-1-a  by kubelet  [own]
              Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_events_half_a_minute_late_are_placed_above_the_changes_that_they_report() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, late=30)
    pod = new_pod(c, rs, "web-1-a", late=31)
    run(c, pod, started=False)
    c.wait(40)
    run(c, pod)
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
                  Pod.Scheduled web-1-a  by default-scheduler  [own]
                  Pod.Started web-1-a  by kubelet  [own]
                  Pod.Ready web-1-a  by kubelet  [own]
        """,
    )


def test_an_event_that_arrives_after_its_trace_was_closed_is_an_episode() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1, late=30)
    run(c, new_pod(c, rs, "web-1-a"))
    done(c, rs, web)
    c.wait(60)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          ReplicaSet.Create web-1  by deployment-controller  [owner]
            ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
              Pod.Create web-1-a  by replicaset-controller  [subject]
                Pod.Scheduled web-1-a  by default-scheduler  [own]
                Pod.Started web-1-a  by kubelet  [own]
                Pod.Ready web-1-a  by kubelet  [own]

        (continues Deployment.Create web trace)
        Deployment.ScalingReplicaSet web  by deployment-controller  [subject]
        """,
    )


def test_an_image_change_replaces_the_pods_in_one_trace() -> None:
    c = Cluster()
    web, old, (pod,) = rolled_out(c, "web")
    c.wait(30)
    c.update(web, by="kubectl-set", image="app:v2")
    new = new_replicas(c, web, "web-2", 1)
    run(c, new_pod(c, new, "web-2-a"))
    scale(c, web, old, 0)
    kill(c, pod, by=old)
    done(c, old, new, web)
    c.gone(pod)
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

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Started web-2-a  by kubelet  [own]
                  Pod.Ready web-2-a  by kubelet  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-a  by replicaset-controller  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]
        """,
    )


def test_scaling_creates_and_deletes_pods() -> None:
    c, web, rs, pods = settled("web")
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    scale(c, web, rs, 2)
    pods.append(new_pod(c, rs, "web-1-b"))
    run(c, pods[1])
    done(c, rs, web)
    c.wait(30)
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    scale(c, web, rs, 1)
    kill(c, pods[1], by=rs)
    done(c, rs, web)
    c.gone(pods[1])
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-b  by replicaset-controller  [subject]
                  Pod.Killing web-1-b  by kubelet  [own]
        """,
    )


def test_the_replica_set_deletes_pods_of_a_scale_down_even_if_the_events_are_lost() -> None:
    c, web, rs, pods = settled("web", 3)
    c.update(web, by="kubectl", subresource="scale", replicas=1)
    scale(c, web, rs, 1, reported=False)
    kill(c, pods[1])
    kill(c, pods[2])
    done(c, rs, web)
    c.gone(pods[1])
    c.gone(pods[2])
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          ReplicaSet.Update web-1  by deployment-controller  [owner]
            Pod.Delete web-1-b  by replicaset-controller  [owner]
              Pod.Killing web-1-b  by kubelet  [own]
            Pod.Delete web-1-c  by replicaset-controller  [owner]
              Pod.Killing web-1-c  by kubelet  [own]
        """,
    )


def test_the_root_of_a_rollback_is_its_manager() -> None:
    c = Cluster()
    web, one, (pod,) = rolled_out(c, "web")
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    other = new_pod(c, two, "web-2-a")
    run(c, other)
    scale(c, web, one, 0)
    kill(c, pod, by=one)
    c.gone(pod)
    done(c, one, two, web)
    c.first_list()
    c.update(web, by="kubectl-rollout", image="app:v1")
    scale(c, web, one, 1)
    run(c, new_pod(c, one, "web-1-b"))
    scale(c, web, two, 0)
    kill(c, other, by=two)
    done(c, one, two, web)
    c.gone(other)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-2  by replicaset-controller  [owner]
                Pod.Delete web-2-a  by replicaset-controller  [subject]
                  Pod.Killing web-2-a  by kubelet  [own]
        """,
    )


def test_a_rollout_restart_is_a_change_of_its_own() -> None:
    c, web, one, _ = settled("web")
    template = web.raw["spec"]["template"]
    annotated = {**template["metadata"], "annotations": {"kubectl.kubernetes.io/restartedAt": "2026-11-22T10:16:40Z"}}
    c.update(web, by="kubectl-rollout", template={**template, "metadata": annotated})
    two = new_replicas(c, web, "web-2", 1)
    scale(c, web, one, 0)
    done(c, one, two, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_changes_while_paused_are_rolled_out_because_of_the_resume() -> None:
    c, web, one, _ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.wait(20)
    c.update(web, by="kubectl-set", image="app:v2")
    c.wait(20)
    c.update(web, by="kubectl-rollout", paused=False)
    two = new_replicas(c, web, "web-2", 1)
    scale(c, web, one, 0)
    done(c, one, two, web)
    changed = sorted(fold(CLUSTER, c.records)["spans"], key=lambda row: int(row["start_time"]))[1]
    shows(
        c,
        f"""
        Deployment.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root] -> {changed["trace_id"]}
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_a_resume_has_links_to_what_was_changed_while_paused_however_long_that_was() -> None:
    c, web, one, _ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.wait(20)
    c.update(web, by="kubectl-set", image="app:v2")
    c.wait(3600)
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    c.wait(3600)
    c.update(web, by="kubectl-patch", image="app:v3")
    c.wait(1)
    c.update(web, by="kubectl-rollout", paused=False)
    two = new_replicas(c, web, "web-2", 2)
    scale(c, web, one, 0)
    done(c, one, two, web)
    c.wait(60)
    c.update(web, by="kubectl-set", image="app:v4")
    done(c, web)
    rows = fold(CLUSTER, c.records)
    updates = sorted((r for r in rows["spans"] if r["name"] == "Deployment.Update"), key=lambda r: r["start_time"])
    links = [[(link.trace_id, link.span_id, link.attributes) for link in row["links"]] for row in updates]
    changed = [(updates[n]["trace_id"], updates[n]["span_id"], {"kspan.link": "relates"}) for n in (1, 3)]
    assert links == [[], [], [], [], changed, []]
    assert draw(fold_with_restarts(c.records)) == draw(rows)


def test_a_rollout_that_was_resumed_and_is_interrupted_is_superseded() -> None:
    c, web, *_ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.update(web, by="kubectl-set", image="app:v2")
    c.wait(20)
    c.update(web, by="kubectl-rollout", paused=False)
    two = new_replicas(c, web, "web-2", 1)
    new_pod(c, two, "web-2-a")
    c.status(web, observedGeneration=web.meta["generation"], replicas=2, updatedReplicas=1)
    c.wait(20)
    c.update(web, by="kubectl-set", image="app:v3")
    drawn = draw(fold(CLUSTER, c.records))
    assert "(superseded)\nDeployment.Update web  by kubectl  [root] -> " in drawn
    assert drawn.count("(superseded)") == 1


def test_scaling_twice_by_the_same_program_is_two_changes() -> None:
    """The ``scale`` entry of managedFields has no time: nothing in it differs the second time."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web")
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    scale(c, web, rs, 2)
    c.first_list()
    c.update(web, by="kubectl", subresource="scale", replicas=3)
    scale(c, web, rs, 3)
    c.wait(1)
    c.update(web, by="kubectl", subresource="scale", replicas=4)
    scale(c, web, rs, 4)
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
        """,
    )


def test_the_rest_of_a_paused_rollout_is_caused_by_the_resume() -> None:
    c, web, one, old = settled("web", 2)
    c.update(web, by="kubectl-set", image="app:v2")
    two = new_replicas(c, web, "web-2", 1)
    c.condition(web, "Progressing", "True", reason="ReplicaSetUpdated")
    run(c, new_pod(c, two, "web-2-a"))
    c.update(web, by="kubectl-rollout", paused=True)
    c.condition(web, "Progressing", "Unknown", reason="DeploymentPaused")
    c.wait(30)
    c.update(web, by="kubectl-rollout", paused=False)
    c.condition(web, "Progressing", "Unknown", reason="DeploymentResumed")
    scale(c, web, two, 2)
    c.condition(web, "Progressing", "True", reason="ReplicaSetUpdated")
    run(c, new_pod(c, two, "web-2-b"))
    scale(c, web, one, 0)
    for pod in old:
        kill(c, pod, by=one)
        c.gone(pod)
    done(c, one, two, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-a  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-a  by default-scheduler  [own]
                  Pod.Started web-2-a  by kubelet  [own]
                  Pod.Ready web-2-a  by kubelet  [own]

        Deployment.Update web  by kubectl  [root]
          Deployment.Progressing=Unknown web  by deployment-controller  [own]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-2  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-2  by replicaset-controller  [owner]
                Pod.Create web-2-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-2-b  by default-scheduler  [own]
                  Pod.Started web-2-b  by kubelet  [own]
                  Pod.Ready web-2-b  by kubelet  [own]
          Deployment.Progressing web  by deployment-controller  [own]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-a  by replicaset-controller  [subject]
                  Pod.Killing web-1-a  by kubelet  [own]
              ReplicaSet.SuccessfulDelete web-1  by replicaset-controller  [owner]
                Pod.Delete web-1-b  by replicaset-controller  [subject]
                  Pod.Killing web-1-b  by kubelet  [own]
        """,
    )


def test_a_paused_deployment_is_scaled_with_the_template_that_it_has() -> None:
    c, web, one, _ = settled("web")
    c.update(web, by="kubectl-rollout", paused=True)
    c.wait(20)
    c.update(web, by="kubectl-set", image="app:v2")
    c.wait(20)
    c.update(web, by="kubectl", subresource="scale", replicas=2)
    scale(c, web, one, 2)
    run(c, new_pod(c, one, "web-1-b"))
    done(c, one, web)
    shows(
        c,
        """
        Deployment.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root]

        Deployment.Update web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Update web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-b  by replicaset-controller  [subject]
                  Pod.Scheduled web-1-b  by default-scheduler  [own]
                  Pod.Started web-1-b  by kubelet  [own]
                  Pod.Ready web-1-b  by kubelet  [own]
        """,
    )


def test_the_number_of_replicas_before_decides_which_of_two_scalings_is_reported() -> None:
    """Both scale to 4, the second from 6; their Events arrive after both and do not show the version that was seen."""
    c, web, rs, _ = settled("web", 2)
    reported = ((2, 4), (4, 6), (6, 4))
    for _, after in reported:
        c.update(web, by="kubectl", subresource="scale", replicas=after)
        c.update(rs, by=MANAGER, replicas=after)
        c.wait(1)
    for before, after in reversed(reported):
        scaled(c, web, rs, before, after, seen="")
    done(c, rs, web)
    rows = {row["span_id"]: row for row in fold(CLUSTER, c.records)["spans"]}
    updates = [row for row in rows.values() if row["name"] == "ReplicaSet.Update"]
    by_event = {rows[row["parent_span_id"]]["message"]: row["attributes"][CHANGE_SUMMARY] for row in updates}
    assert by_event == {
        f"Scaled {'up' if before < after else 'down'} replica set web-1 from {before} to {after}": (
            f"replicas: {before} → {after}"
        )
        for before, after in reported
    }
