"""Small inputs that were read wrongly once, with the right answer to each: its traces, how they ended, and when.

Those whose point is the time of a change, the trace ids or the reading of a file are tested where that is
(``test_incomplete_history``, ``test_removals``, ``test_gap_times``, ``tests/graph/test_trace_ids``, ``test_holds``,
``tests/ingest/files/test_dumps``, ``tests/daemon/test_process``).
"""

from pathlib import Path
from textwrap import dedent

import pytest

from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.store import open_store
from kspan.times import format_time
from kspan.vocabulary import TIME_UNCERTAINTY
from tests.causality.drawing import draw
from tests.recordings import Rows, rows

CASES = Path(__file__).parents[1] / "data" / "cases"


def replayed(*names: str) -> Rows:
    """The projection of these files, as ``kspan replay`` makes it."""
    with open_store("sqlite://") as store:
        done = replay(store, read_frames([str(CASES / name) for name in names]), built_in_rules())
        return rows(store, done.cluster)


def outcomes(found: Rows) -> list[tuple[str, str]]:
    """Outcome and reason of each trace, by the start of its root."""
    return [(row["outcome"], row["reason"]) for row in sorted(found["traces"], key=lambda row: row["start_time"])]


def times(found: Rows, reason: str) -> list[tuple[str, int]]:
    """Time of day and count of each occurrence with this reason."""
    spans = [row for row in found["spans"] if row["reason"] == reason]
    known = [(row["start_time"], row["event_count"]) for row in spans]
    known += [(event.time, event.attributes["k8s.event.count"]) for row in spans for event in row["events"]]
    return [(format_time(time)[11:19], count) for time, count in sorted(known)]


# Events without objects ----------------------------------------------------------------------------------------------


def test_a_trace_of_events_whose_last_word_is_a_warning_failed() -> None:
    found = replayed("events-only-failures.json")
    assert outcomes(found) == [
        ("failed", "Job report is failing: BackoffLimitExceeded (job)"),
        ("failing", "Pod web-aaa-1 is failing: BackOff (image-pull)"),
        ("failing", "Pod cron-1 is failing: BackOff (crash-loop)"),
    ]
    assert all(row["error"] for row in found["traces"])
    assert times(found, "BackOff") == [("10:00:23", 1), ("10:00:40", 1), ("10:02:10", 6), ("10:20:40", 94)]
    assert (
        draw(found)
        == dedent(
            """
        Job.SuccessfulCreate report  by job-controller  [root] error
          Pod.Started report-x1  by kubelet  [subject]
          Job.BackoffLimitExceeded report  by job-controller  [root] error

        (failing)
        Deployment.ScalingReplicaSet web  by deployment-controller  [root] error
          ReplicaSet.SuccessfulCreate web-aaa  by replicaset-controller  [subject]
            Pod.Pulling web-aaa-1  by kubelet  [subject] +1
            Pod.Failed web-aaa-1  by kubelet  [subject] +1 error
            Pod.Failed web-aaa-1  by kubelet  [subject] +1 error
            Pod.BackOff web-aaa-1  by kubelet  [subject] +1 error

        (failing)
        Pod.BackOff cron-1  by kubelet  [root] +1 error
        """
        ).strip()
    )
    assert {row["created_at"] for row in found["objects"]} == {0}, "nobody said when they were created"


def test_the_first_occurrence_of_a_repeated_event_is_told_at_its_own_time() -> None:
    found = replayed("first-occurrence.json")
    assert times(found, "ScalingReplicaSet") == [
        ("10:00:00", 1),
        ("10:05:00", 1),
        ("11:45:00", 3),
        ("11:46:40", 4),
    ]
    assert times(found, "Unhealthy") == [("10:20:00", 1), ("10:20:20", 3)]
    assert outcomes(found)[2][0] == "failed", "nobody saw the container run again"
    assert (
        draw(found)
        == dedent(
            """
        Deployment.ScalingReplicaSet web  by deployment-controller  [root]

        Deployment.ScalingReplicaSet web  by deployment-controller  [root]

        Pod.Unhealthy cron-1  by kubelet  [root] +1 error
          Pod.Killing cron-1  by kubelet  [root]

        Deployment.ScalingReplicaSet web  by deployment-controller  [root]

        Deployment.ScalingReplicaSet web  by deployment-controller  [root]
        """
        ).strip()
    )


@pytest.mark.parametrize("name", ["watch-lines.jsonl", "watch-pretty.json"])
def test_a_crash_loop_is_one_trace_although_its_events_become_rare(name: str) -> None:
    found = replayed(name)
    assert times(found, "Started") == [("09:59:50", 1), ("10:18:00", 8)]
    assert times(found, "BackOff") == [("10:00:00", 1), ("10:20:00", 94)]
    assert outcomes(found) == [("failing", "Pod web-1 is failing: BackOff (crash-loop)")]


# what repeats --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name, count", [("flux-heartbeat.jsonl", 24), ("argo-flapping.jsonl", 40)])
def test_what_a_controller_reports_again_and_again_is_one_quiet_trace(name: str, count: int) -> None:
    found = replayed(name)
    (row,) = found["spans"]
    assert 1 + len(row["events"]) == count
    assert outcomes(found) == [("ok", "")]


# tools and what waits for something ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, drawing",
    [
        (
            "argocd-sync.jsonl",
            """
            Application.OperationStarted shop  by argocd-application-controller  [root]
              Deployment.Update web  by argocd-controller  [subject]
              Application.OperationCompleted shop  by argocd-application-controller  [own]
            """,
        ),
        (
            "flux-source.jsonl",
            """
            GitRepository.NewArtifact apps  by source-controller  [root]
              GitRepository.Update apps  by source-controller  [own]
              Kustomization.Ready=Unknown apps  by unknown  [subject]
              Kustomization.Reconciling apps  by unknown  [subject]
              Kustomization.Progressing apps  by kustomize-controller  [subject]
                Deployment.Update web  by kustomize-controller  [subject]
              Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [subject]
            """,
        ),
        (
            "cluster-autoscaler.jsonl",
            """
            Deployment.Create web  by kubectl  [root]
              Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
                ReplicaSet.Create web-aaa  by deployment-controller  [subject]
                  ReplicaSet.SuccessfulCreate web-aaa  by replicaset-controller  [owner]
                    Pod.Create web-aaa-1  by replicaset-controller  [subject]
                      Pod.Ready web-aaa-1  by unknown  [own]
                      Pod.FailedScheduling web-aaa-1  by default-scheduler  [own] error
                      Pod.TriggeredScaleUp web-aaa-1  by cluster-autoscaler  [own]
                        ConfigMap.ScaledUpGroup cluster-autoscaler-status  by cluster-autoscaler  [subject]
                        Node.Create node-9  by kubelet  [subject]
                          Node.Ready node-9  by unknown  [own]
                            Pod.Scheduled web-aaa-1  by default-scheduler  [place]
            """,
        ),
        (
            "claim-missing.jsonl",
            """
            PersistentVolumeClaim.Create data  by kubectl  [root]
              PersistentVolumeClaim.Bound data  by unknown  [own]
              Pod.Scheduled db  by default-scheduler  [subject]
            """,
        ),
        (
            "configmap-missing.jsonl",
            """
            ConfigMap.Create web-config  by kubectl  [root]
              Pod.Pulled web  by kubelet  [subject]
              Pod.Created web  by kubelet  [subject]
              Pod.Started web  by kubelet  [subject]
            """,
        ),
    ],
)
def test_what_followed_goes_back_to_what_made_it_possible(name: str, drawing: str) -> None:
    drawn = [trace.removeprefix("(incomplete)\n") for trace in draw(replayed(name)).split("\n\n")]
    assert dedent(drawing).strip() in drawn


def test_dumps_of_two_namespaces_show_no_change() -> None:
    found = replayed("dump-shop-deployments.json", "dump-kube-system-deployments.json")
    assert found["spans"] == found["traces"] == []
    assert {(row["namespace"], row["deleted_at"]) for row in found["objects"]} == {("shop", 0), ("kube-system", 0)}


@pytest.mark.parametrize("name", ["gapcascade-seen.jsonl", "gapcascade-unseen.jsonl"])
def test_a_cascade_that_nobody_watched_is_one_tree_of_uncertain_times(name: str) -> None:
    found = replayed(name)
    assert (
        draw(found)
        == dedent(
            """
        Namespace.Delete x  by unknown  [root]
          Deployment.Delete web  by namespace-controller  [place]
            ReplicaSet.Delete web-1  by garbage-collector  [owner]
              Pod.Delete web-1-a  by garbage-collector  [owner]
        """
        ).strip()
    )
    exact = [row["object_kind"] for row in found["spans"] if TIME_UNCERTAINTY not in row["attributes"]]
    assert exact == (["Namespace"] if name == "gapcascade-seen.jsonl" else [])


def test_what_is_printed_as_an_array_or_between_logs_is_read() -> None:
    assert len(replayed("array.json")["spans"]) >= 1
    assert {row["kind"] for row in replayed("cluster-info-dump-stdout.txt")["objects"]} == {"Pod"}
