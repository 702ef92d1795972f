"""``docs/why.md`` is up to date, and its first three lines say what failed, why, and what the state is now."""

import pytest

from tests.cli.render.why_document import DOCUMENT, SITUATIONS, Situation, answer, document

IMAGE = "registry.example.com/shop/web:v2-typo"

# What has to be in the first line (what failed), in the second (why) and in the third (the state).
FACTS: dict[str, tuple[str, ...]] = {
    "A bare Pod that was OOMKilled": (
        "Pod shop/cache, ~ container cache was OOMKilled (exit 137) in run 2",
        "kubectl~ created it",
        "now: ~CrashLoopBackOff, 1 restart",
    ),
    "A container that a liveness probe killed": (
        "container web was killed by the kubelet (exit 0)",
        "failed liveness probe~ Liveness probe failed \u00d73~ created Deployment probe-failure/web",
        "now: Running, ready, 1 restart",
    ),
    "A crash loop": (
        "container crash ended with Error (exit 1) in run 5",
        "kubectl~ created Deployment crashloop/crash",
        "now: Running, container crash ended: Error, 4 restarts",
    ),
    "A Pod that a drain evicted": (
        "deleted: EvictionByEvictionAPI",
        "kubectl~ changed Node node-a ~ unschedulable: true",
        "now: deleted at",
    ),
    "A preempted Pod": (
        "deleted: PreemptionByScheduler",
        "Preempted by pod preemption/high-6b569d8564-bzkvz on node node-b~ created Deployment preemption/high",
        "now: deleted at",
    ),
    "A Job past its deadline": (
        "Job was active longer than specified deadline",
        "kubectl~ created it",
        "now: failed: DeadlineExceeded",
    ),
    "A rollout whose image cannot be pulled": (
        f'Pod web-5b8d7c6f4-tq7xn: Failed to pull image "{IMAGE}"~ not found',
        f"kubectl~ changed it~ v1 → {IMAGE}",
        "now: 1 of 1 replicas available, 1 of an older revision",
    ),
    "A Pod of that rollout": (
        f'Failed to pull image "{IMAGE}"~ not found',
        f"kubectl~ changed Deployment shop/web~ v1 → {IMAGE}",
        "now: Pending, container app waits: ImagePullBackOff",
    ),
    "A Pod that waits for a claim": (
        'FailedScheduling: ~persistentvolumeclaim "b" not found',
        "kubectl~ created it",
        "then: Pending, not scheduled",
    ),
    "The same Pod when it has the claim": (
        "Ready, after (from 07:46:56 until 07:47:33) FailedScheduling: ~ unbound immediate PersistentVolumeClaims",
        "because ",
        "then: Running, ready",
    ),
    "A bad Flux commit: the Deployment": (
        f'Pod web-5b8d7c6f4-tq7xn: Failed to pull image "{IMAGE}"~ not found',
        f"kustomize-controller changed it~ {IMAGE}~ stored artifact for commit 'web: use the new image'",
        "now: 1 of 1 replicas available, 1 of an older revision",
    ),
    "A bad Flux commit: the Kustomization": (
        "Ready=False: health check failed after 39.2s",
        "because ",
        "now: not ready: HealthCheckFailed",
    ),
}


def test_the_document_is_what_the_situations_print() -> None:
    assert DOCUMENT.read_text() == document(), "run `make docs`"


@pytest.mark.parametrize("asked", SITUATIONS, ids=lambda asked: asked.title)
def test_the_first_three_lines_say_what_failed_and_why_and_what_the_state_is(asked: Situation) -> None:
    lines = answer(asked).splitlines()
    for line, facts in zip(lines, FACTS[asked.title], strict=False):
        rest = line
        for fact in facts.split("~"):
            assert fact.strip() in rest, line
            rest = rest.partition(fact.strip())[2]
