"""``docs/why.md`` is up to date, and its first three lines say what failed, why, and what the state is now."""

import pytest

from tests.cli.render.why_document import DOCUMENT, SITUATIONS, Situation, answer, document

IMAGE = "registry.example.com/shop/web"

# What has to be in the first line (what failed), in the second (why), in the third (the state), and in those after it.
FACTS: dict[str, tuple[str, ...]] = {
    "A bare Pod that was OOMKilled": (
        "Pod shop/cache, 2026-11-22 10:00:47 UTC: container cache was OOMKilled (exit 137) in run 2",
        "because it ran out of memory (its limit is 64Mi) in each of 2 runs since 10:00:28, after about 18s each",
        "now: container cache waits: CrashLoopBackOff, 1 restart",
        "history: kubectl run created it 38.8s earlier",
    ),
    "A container that a liveness probe killed": (
        "10:37:19 UTC: container web was killed by the kubelet (exit 0)",
        "because its liveness probe failed (3 times, from 10:37:10)",
        "now: Running, ready, 1 restart ~; its liveness probe failed again at 10:38:06",
        "history: kubectl apply created Deployment probe-failure/web 56.8s earlier",
    ),
    "A Pod that flaps": (
        "10:01:50.230 UTC: Unhealthy: Readiness probe failed: ~ \u00d76 until 10:06:10",
        "because it flaps: its readiness probe failed 6 times and it was not ready 6 times since 10:01:50",
        "now: Running, not ready (",
        "history: kubectl apply created Deployment shop/web 1m50s earlier",
    ),
    "The Deployment of that Pod": (
        "Available=False: Deployment does not have minimum availability. \u00d76 until 10:06:10",
        "because of Unhealthy: Readiness probe failed: ~ on Pod shop/web-66c9d8f7b-p8s2d",
        "now: 0 of 1 replicas available (",
    ),
    "A crash loop": (
        "10:27:48 UTC: container crash ended with Error (exit 1) in run 5",
        "because its program exited with 1 in each of 5 runs since 10:26:25, after about 1s each",
        "now: container crash ended: Error, 4 restarts, phase Running",
        "history: kubectl apply created Deployment crashloop/crash 1m23s earlier",
        "outcome: failing: Pod crash-56547dc677-vd7fn: CrashLoopBackOff",
    ),
    "A Pod that a drain evicted": (
        "10:01:04.360 UTC: evicted (Eviction API)",
        "probably because of a drain: kubectl cordoned Node node-a 1.0s earlier",
        "now: gone since 2026-11-22 10:01:06 UTC ~; replacement web-7d5f8c9b6-9hv5t: Running, ready",
    ),
    "A preempted Pod": (
        "07:33:08.189 UTC: preempted",
        (
            "because Pod preemption/high-6b569d8564-bzkvz (priority 100000, this one 10) did not fit: "
            "2 Insufficient example.com/slot, after kubectl apply created Deployment preemption/high"
        ),
        "now: gone since 2026-11-27 07:33:08 UTC",
    ),
    "A Job past its deadline": (
        "Failed: Job was active longer than specified deadline",
        "because activeDeadlineSeconds is 60 (it started at 10:00:07)",
        "now: failed: DeadlineExceeded (",
        "history: kubectl create created it 1m02s earlier",
    ),
    "A rollout whose image cannot be pulled": (
        f'10:01:04.330 UTC: failing: Pod web-5b8d7c6f4-tq7xn: Failed to pull image "{IMAGE}:v2-typo": not found',
        f"because kubectl set changed it 1.0s earlier: app.image: {IMAGE}: v1 \u2192 v2-typo",
        (
            "now: 1 of 1 replicas available; 1 Pod of the new revision, 1 of an older one; "
            "1 old Pod of revision 1 still serves ("
        ),
        "outcome: failing: Pod web-5b8d7c6f4-tq7xn: ImagePullBackOff",
    ),
    "A Pod of that rollout": (
        f'10:01:04.330 UTC: Failed to pull image "{IMAGE}:v2-typo": not found',
        f"because kubectl set changed Deployment shop/web 1.0s earlier: app.image: {IMAGE}: v1 \u2192 v2-typo",
        "now: container app waits: ImagePullBackOff, phase Pending; 1 old Pod of revision 1 still serves",
    ),
    "A Pod that waits for a claim": (
        'FailedScheduling: ~persistentvolumeclaim "b" not found',
        "because PersistentVolumeClaim volumes/b does not exist",
        "then: Pending, not scheduled",
        "history: kubectl apply created it 7ms earlier",
    ),
    "The same Pod when it has the claim": (
        "Ready, after errors from 07:46:56 to 07:47:33: FailedScheduling: ~ unbound immediate PersistentVolumeClaims",
        "because PersistentVolumeClaim b was bound 1.0s earlier, after 51.1s of waiting",
        "then: Running, ready",
        "history: kubectl apply created it 52.1s earlier",
    ),
    "That Pod after somebody deleted it": (
        "07:47:56.629 UTC: deleted",
        "because someone deleted it",
        "now: gone since 2026-11-27 07:47:58 UTC",
    ),
    "A bad Flux commit: the Deployment": (
        f'10:10:04.380 UTC: failing: Pod web-5b8d7c6f4-tq7xn: Failed to pull image "{IMAGE}:v2-typo": not found',
        (
            f"because kustomize-controller changed it 1.0s earlier: app.image: {IMAGE}: v1 \u2192 v2-typo, after "
            "NewArtifact on GitRepository flux-system/fleet by source-controller 30ms before that: "
            "stored artifact for commit 'web: use the new image'"
        ),
        "now: 1 of 1 replicas available; 1 Pod of the new revision, 1 of an older one",
    ),
    "A bad Flux commit: the Kustomization": (
        "10:10:42.510 UTC: Ready=False: health check failed after 39.2s: timeout waiting for",
        (
            f'probably because Pod shop/web-5b8d7c6f4-tq7xn: Failed to pull image "{IMAGE}:v2-typo": not found, after '
            "NewArtifact ~ 39.2s earlier: stored artifact for commit 'web: use the new image'"
        ),
        "now: not ready: HealthCheckFailed (",
    ),
}


def test_the_document_is_what_the_situations_print() -> None:
    assert DOCUMENT.read_text() == document(), "run `make docs`"


@pytest.mark.parametrize("asked", SITUATIONS, ids=lambda asked: asked.title)
def test_the_first_three_lines_say_what_failed_and_why_and_what_the_state_is(asked: Situation) -> None:
    lines = first_lines(answer(asked))
    for line, facts in zip(lines, FACTS[asked.title], strict=False):
        rest = line
        for fact in facts.split("~"):
            assert fact.strip() in rest, line
            rest = rest.partition(fact.strip())[2]


@pytest.mark.parametrize("asked", SITUATIONS, ids=lambda asked: asked.title)
def test_the_first_lines_fit_a_terminal_of_80_columns(asked: Situation) -> None:
    for line in answer(asked).partition("\n\n")[0].splitlines():
        assert len(line) <= 80


def first_lines(text: str) -> list[str]:
    """The lines before the chain, as they are when nothing is folded."""
    return text.partition("\n\n")[0].replace("\n  ", " ").splitlines()
