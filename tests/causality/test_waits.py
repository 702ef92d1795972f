"""What waited for another object goes back to whoever made or changed it. One row for each message."""

from typing import NamedTuple

import pytest

from tests.causality.actors import done, new_pod, new_replicas, run, running
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

POD = 'pods "web-1-a" is forbidden: '


class Wait(NamedTuple):
    """An Event, and the change that ends what it complains about."""

    component: str
    reason: str
    message: str
    change: str
    """Verb, kind and name."""


OF_PODS = [
    Wait(
        "default-scheduler",
        "FailedScheduling",
        'persistentvolumeclaim "data" not found',
        "Create PersistentVolumeClaim/data",
    ),
    Wait(
        "default-scheduler",
        "FailedScheduling",
        '0/1 nodes are available: persistentvolumeclaim "data" not found. preemption: 0/1 nodes are available',
        "Create PersistentVolumeClaim/data",
    ),
    Wait(
        "kubelet",
        "FailedMount",
        'MountVolume.SetUp failed for volume "cfg" : configmap "web" not found',
        "Create ConfigMap/web",
    ),
    Wait(
        "kubelet",
        "FailedMount",
        'MountVolume.SetUp failed for volume "tls" : secret "web" not found',
        "Create Secret/web",
    ),
    Wait("kubelet", "Failed", 'Error: configmap "web" not found', "Create ConfigMap/web"),
    Wait("kubelet", "Failed", 'Error: secret "web" not found', "Create Secret/web"),
    Wait("kubelet", "Failed", "Error: couldn't find key mode in ConfigMap shop/web", "Update ConfigMap/web"),
    Wait("kubelet", "Failed", "Error: couldn't find key token in Secret shop/web", "Update Secret/web"),
    Wait(
        "kubelet",
        "FailedMount",
        'MountVolume.SetUp failed for volume "cfg" : configmap references non-existent config key: app.conf',
        "Update ConfigMap/web",
    ),
    Wait(
        "kubelet",
        "FailedMount",
        'MountVolume.SetUp failed for volume "tls" : references non-existent secret key: ca.crt',
        "Update Secret/web",
    ),
]

OF_WORKLOADS = [
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f"Error creating: {POD}exceeded quota: small, requested: pods=1",
        "Update ResourceQuota/small",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f"Error creating: {POD}maximum memory usage per Container is 1Gi",
        "Delete LimitRange/limits",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f'Error creating: {POD}error looking up service account shop/web: serviceaccount "web" not found',
        "Create ServiceAccount/web",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f"Error creating: {POD}no PriorityClass with name high was found",
        "Create PriorityClass/high",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        'Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: no',
        "Delete ValidatingWebhookConfiguration/kyverno",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        'Error creating: Internal error occurred: failed calling webhook "check.example.com": connection refused',
        "Update ValidatingWebhookConfiguration/check",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        'Error creating: Internal error occurred: failed calling webhook "inject.example.com": connection refused',
        "Delete MutatingWebhookConfiguration/inject",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f"Error creating: {POD}ValidatingAdmissionPolicy 'labels' with binding 'labels-shop' denied request: no",
        "Update ValidatingAdmissionPolicy/labels",
    ),
    Wait(
        "replicaset-controller",
        "FailedCreate",
        f"Error creating: {POD}ValidatingAdmissionPolicy 'labels' with binding 'labels-shop' denied request: no",
        "Delete ValidatingAdmissionPolicyBinding/labels-shop",
    ),
]


@pytest.mark.parametrize("wait", OF_PODS, ids=lambda wait: wait.message)
def test_what_a_pod_does_after_it_waited_goes_back_to_what_ended_the_wait(wait: Wait) -> None:
    c = Cluster()
    obstacle = _obstacle(c, wait)
    c.first_list()
    pod = c.apply("Pod", "web")
    c.event(pod, wait.reason, wait.message, by=wait.component, warning=True)
    c.wait(40)
    _end(c, wait, obstacle)
    c.wait(3)
    c.event(pod, "Scheduled", "Successfully assigned shop/web to node-a", by="default-scheduler", new=True)
    c.event(pod, "Started", "Started container app", by="kubelet", seen=pod.version)
    c.wait(5)
    _touch(c, wait)  # It waits no longer: later changes are of no concern.
    c.event(pod, "Unhealthy", "Readiness probe failed", by="kubelet", seen=pod.version, warning=True)
    causes = _causes(c)
    assert {causes[name] for name in ("Pod.Scheduled", "Pod.Started", "Pod.Unhealthy")} == {wait.change}


@pytest.mark.parametrize("wait", OF_WORKLOADS, ids=lambda wait: f"{wait.change}: {wait.message}")
def test_a_pod_that_was_refused_goes_back_to_what_ended_the_refusal(wait: Wait) -> None:
    c = Cluster()
    obstacle = _obstacle(c, wait)
    c.first_list()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    c.event(rs, wait.reason, wait.message, by=wait.component, warning=True)
    c.wait(20)
    _end(c, wait, obstacle)
    c.wait(3)
    pod = c.create("Pod", "web-1-a", owner=rs)
    c.event(rs, "SuccessfulCreate", "Created pod: web-1-a", by=wait.component)
    run(c, pod)
    done(c, rs, web)
    assert _causes(c)["ReplicaSet.SuccessfulCreate"] == wait.change


def test_a_claim_that_waits_for_its_storage_class_goes_back_to_that() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data")
    message = 'storageclass.storage.k8s.io "fast" not found'
    c.event(claim, "ProvisioningFailed", message, by="persistentvolume-controller", warning=True)
    c.wait(20)
    c.apply("StorageClass", "fast")
    c.wait(2)
    c.event(claim, "Provisioning", 'External provisioner is provisioning volume for claim "shop/data"', by="csi")
    assert _causes(c)["PersistentVolumeClaim.Provisioning"] == "Create StorageClass/fast"


def test_a_pod_that_complains_about_something_else_waits_no_longer_for_the_first() -> None:
    c = Cluster()
    pod = c.apply("Pod", "web")
    message = 'persistentvolumeclaim "data" not found'
    c.event(pod, "FailedScheduling", message, by="default-scheduler", warning=True, new=True)
    c.wait(10)
    c.apply("PersistentVolumeClaim", "data")
    c.wait(1)
    message = "0/2 nodes are available: pod has unbound immediate PersistentVolumeClaims."
    c.event(pod, "FailedScheduling", message, by="default-scheduler", warning=True, new=True)
    c.wait(10)
    run(c, pod)
    assert _causes(c)["Pod.Scheduled"] == "Create Pod/web"


def test_the_pod_of_a_rollout_stays_in_its_trace_when_somebody_makes_what_it_lacks() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.event(pod, "Failed", 'Error: configmap "web" not found', by="kubelet", warning=True)
    c.wait(10)
    c.apply("ConfigMap", "web")
    c.wait(2)
    c.event(pod, "Started", "Started container app", by="kubelet", seen=pod.version)
    running(c, pod)
    done(c, rs, web)
    assert _causes(c)["Pod.Started"] == "Create Pod/web-1-a"


def test_a_pod_that_no_node_fits_goes_back_to_the_node_that_admits_it() -> None:
    c = Cluster()
    node = c.create("Node", "node-a", unschedulable=True)
    other = c.create("Node", "node-b", unschedulable=True)
    c.first_list()
    pod = c.apply("Pod", "web")
    c.event(
        pod,
        "FailedScheduling",
        "0/2 nodes are available: 2 node(s) were unschedulable.",
        by="default-scheduler",
        warning=True,
        new=True,
    )
    c.wait(20)
    c.update(node, by="kubectl", unschedulable=False)
    c.update(other, by="kubectl-patch", unschedulable=False)
    c.wait(1)
    run(c, pod)
    shows(
        c,
        """
        Pod.Create web  by kubectl  [root]
          Pod.FailedScheduling web  by default-scheduler  [own] error

        Node.Update node-a  by kubectl  [root]
          Pod.Scheduled web  by default-scheduler  [place]
          Pod.Started web  by kubelet  [place]
          Pod.Ready web  by kubelet  [place]

        Node.Update node-b  by kubectl  [root]
        """,
    )


def _obstacle(c: Cluster, wait: Wait) -> Thing | None:
    verb, _, named = wait.change.partition(" ")
    kind, _, name = named.partition("/")
    return c.create(kind, name, by="kubectl-create", size=1) if verb != "Create" else None


def _end(c: Cluster, wait: Wait, obstacle: Thing | None) -> None:
    verb, _, named = wait.change.partition(" ")
    kind, _, name = named.partition("/")
    if obstacle is None:
        c.apply(kind, name)
    elif verb == "Delete":
        c.gone(obstacle)
    else:
        c.update(obstacle, by="kubectl-edit", size=2)


def _touch(c: Cluster, wait: Wait) -> None:
    _, _, name = wait.change.partition("/")
    for thing in [t for t in c.things.values() if t.name == name and t.kind != "Pod"]:
        c.update(thing, by="kubectl-edit", size=3)


def _causes(c: Cluster) -> dict[str, str]:
    """The parents of spans, by name: verb, kind and name."""
    c.receive_all()
    spans = {span["span_id"]: span for span in fold(CLUSTER, c.records)["spans"]}
    parents = [(span["name"], spans.get(span["parent_span_id"])) for span in spans.values()]
    return {name: f"{p['reason']} {p['object_kind']}/{p['object_name']}" for name, p in parents if p is not None}
