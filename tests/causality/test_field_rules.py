# ruff: noqa: E501 (messages are copied as they are)
"""One row for each message of a controller: the change that it reports is shown below its Event.

The messages are as the controllers write them (their sources are named in rules.toml).
"""

from typing import NamedTuple

import pytest

from kspan.graph import built_in_rules
from kspan.vocabulary import EVENT_RULE
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER
from tests.recordings import fold

MISSING = "because it was missing"
CONTROLLER = "kube-controller-manager"
UID = "00000000-0000-4000-8000-000000000001"  # the first object of a cluster


class Row(NamedTuple):
    """An Event, and the change that it reports."""

    rule: str
    reporter: str
    """Kind and name."""
    component: str
    reason: str
    message: str
    change: str
    """Verb, kind and name."""
    by: str = CONTROLLER
    """The field manager."""


ROWS = [
    # OpenShift
    Row(
        "operator-restores-object", "Deployment/operator", "kube-apiserver-operator", "ConfigMapCreated",
        f"Created ConfigMap/config -n shop {MISSING}", "Create ConfigMap/config", "operator",
    ),
    Row(
        "operator-restores-object", "Deployment/operator", "authentication-operator", "ClusterRoleCreated",
        f"Created ClusterRole.rbac.authorization.k8s.io/reader {MISSING}", "Create ClusterRole/reader", "operator",
    ),
    Row(
        "operator-updates-object", "Deployment/operator", "openshift-apiserver-operator", "DeploymentUpdated",
        "Updated Deployment.apps/apiserver -n shop because it changed", "Update Deployment/apiserver", "operator",
    ),
    Row(
        "operator-updates-object", "Deployment/operator", "kube-apiserver-operator", "ConfigMapUpdated",
        "Updated ConfigMap/config -n shop:\ncause by changes in data.config.yaml", "Update ConfigMap/config", "operator",
    ),
    Row(
        "operator-deletes-object", "Deployment/operator", "cluster-monitoring-operator", "DeploymentDeleted",
        "Deleted Deployment.apps/old -n shop", "Delete Deployment/old",
    ),
    Row(
        "machine-config-targets-node", "MachineConfigPool/worker", "machineconfigcontroller-nodecontroller",
        "SetDesiredConfig", "Targeted node node-a to config rendered-worker-1", "Update Node/node-a",
        "machine-config-controller",
    ),
    Row(
        "machine-config-targets-node", "MachineConfigPool/worker", "machineconfigcontroller-nodecontroller",
        "SetDesiredConfigAndOSImage", "Targeted node node-a to MachineConfig: worker / Image: os", "Update Node/node-a",
        "machine-config-controller",
    ),
    Row(
        "deploymentconfig-creates-replicationcontroller", "DeploymentConfig/web", "deploymentconfig-controller",
        "DeploymentCreated", 'Created new replication controller "web-2" for version 2',
        "Create ReplicationController/web-2", "deploymentconfig-controller",
    ),
    Row(
        "deploymentconfig-scales-replicationcontroller", "DeploymentConfig/web", "deploymentconfig-controller",
        "ReplicationControllerScaled", 'Scaled replication controller "web-2" from 1 to 3',
        "Update ReplicationController/web-2", "deploymentconfig-controller",
    ),
    # Argo CD and Flux
    Row(
        "argocd-runs-action", "Deployment/web", "argocd-server", "ResourceActionRan", "ada ran action restart",
        "Update Deployment/web", "argocd-server",
    ),
    Row(
        "argocd-deletes-resource", "Deployment/web", "argocd-server", "ResourceDeleted", "ada deleted resource",
        "Delete Deployment/web",
    ),
    Row(
        "kustomization-prunes-workload", "Kustomization/apps", "kustomize-controller", "Progressing",
        "Service/shop/web deleted\nDeployment/shop/web deleted", "Delete Deployment/web",
    ),
    # autoscalers and evictions
    Row(
        "cluster-autoscaler-picks-node", "ConfigMap/cluster-autoscaler-status", "cluster-autoscaler", "ScaleDownEmpty",
        'Scale-down: removing empty node "node-a"', "Update Node/node-a", "cluster-autoscaler",
    ),
    Row(
        "cluster-autoscaler-picks-node", "ConfigMap/cluster-autoscaler-status", "cluster-autoscaler", "ScaleDownEmpty",
        "Scale-down: removing empty node node-a", "Update Node/node-a", "cluster-autoscaler",
    ),
    Row(
        "vpa-evicts-this-pod", "Pod/web", "vpa-updater", "EvictedByVPA",
        "Pod was evicted by VPA Updater to apply resource recommendation.", "Delete Pod/web",
    ),
    Row(
        "vpa-resizes-pod", "Pod/web", "vpa-updater", "InPlaceResizedByVPA", "Pod was resized in place by VPA Updater.",
        "Update Pod/web", "vpa-updater",
    ),
    Row(
        "karpenter-evicts-pod", "Pod/web", "karpenter", "Evicted", "Evicted pod: Underutilized", "Delete Pod/web",
    ),
    Row(
        "descheduler-evicts-pod", "Pod/web", "sigs.k8s.io.descheduler", "LowNodeUtilization",
        "pod eviction from node-a node by sigs.k8s.io/descheduler", "Delete Pod/web",
    ),
    Row(
        "descheduler-evicts-pod", "Pod/web", "sigs.k8s.io.descheduler", "Descheduled",
        "pod evicted by sigs.k8s.io/descheduler (PodLifeTime)", "Delete Pod/web",
    ),
    Row(
        "interruption-closes-node", "Node/node-a", "aws-node-termination-handler", "SpotInterruption",
        "Spot ITN received. Instance will be interrupted at 2026-11-22T10:02:00Z", "Update Node/node-a",
        "node-termination-handler",
    ),
    Row(
        "node-has-problem", "Node/node-a", "docker-monitor", "DockerHung",
        "task docker:20744 blocked for more than 120 seconds.", "Update Node/node-a", "kube-controller-manager",
    ),
    # clusters and machines
    Row(
        "machinedeployment-creates-machineset", "MachineDeployment/md", "machinedeployment-controller",
        "SuccessfulCreate", "Created MachineSet shop/md-1", "Create MachineSet/md-1", "manager",
    ),
    Row(
        "machinedeployment-creates-machineset", "MachineDeployment/md", "machinedeployment-controller",
        "SuccessfulCreate", 'Created MachineSet "md-1"', "Create MachineSet/md-1", "manager",
    ),
    Row(
        "machineset-creates-machine", "MachineSet/md-1", "machineset-controller", "SuccessfulCreate",
        'Created machine "md-1-x"', "Create Machine/md-1-x", "manager",
    ),
    # databases, brokers, virtual machines, batch
    Row(
        "postgresql-cluster-creates-instance", "Cluster/pg", "cloudnative-pg", "CreatingInstance",
        "Creating instance pg-2", "Create Pod/pg-2",
    ),
    Row(
        "kafka-operator-restarts-pod", "Pod/kafka-0", "strimzi.io/cluster-operator", "ManualRollingUpdate",
        "Pod was manually annotated to be rolled", "Delete Pod/kafka-0",
    ),
    Row(
        "virtualmachine-creates-instance", "VirtualMachine/vm", "virtualmachine-controller", "SuccessfulCreate",
        "Started the virtual machine by creating the new virtual machine instance vm", "Create VirtualMachineInstance/vm",
        "virt-controller",
    ),
    Row(
        "virtualmachineinstance-creates-pod", "VirtualMachineInstance/vm", "disruptionbudget-controller",
        "SuccessfulCreate", "Created virtual machine pod virt-launcher-vm-x", "Create Pod/virt-launcher-vm-x",
        "virt-controller",
    ),
    Row(
        "virtualmachineinstance-creates-pod", "VirtualMachineInstance/vm", "virtualmachine-controller",
        "SuccessfulCreate", "Created migration target pod virt-launcher-vm-y", "Create Pod/virt-launcher-vm-y",
        "virt-controller",
    ),
    Row(
        "job-gets-workload", "Job/train", "batch/job-kueue-controller", "CreatedWorkload",
        "Created Workload: shop/job-train-1", "Create Workload/job-train-1", "kueue",
    ),
    Row(
        "workload-preempts-workload", "Workload/low", "kueue-admission", "Preempted",
        f"Preempted to accommodate a workload (UID: {UID}, JobUID: {UID}) due to prioritization in the ClusterQueue",
        "Update Workload/low", "kueue",
    ),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.rule}: {row.message[:40]}")
def test_the_change_that_a_message_reports_is_below_its_event(row: Row) -> None:
    spans = {span["span_id"]: span for span in fold(CLUSTER, _happens(row).records)["spans"]}
    verb, _, named = row.change.partition(" ")
    kind, _, name = named.partition("/")
    (change,) = [s for s in spans.values() if (s["reason"], s["object_kind"], s["object_name"]) == (verb, kind, name)]
    parent = spans[change["parent_span_id"]]
    assert (parent["reason"], parent["attributes"][EVENT_RULE]) == (row.reason, row.rule)
    assert change["rule"] == "subject"


def _happens(row: Row) -> Cluster:
    """The cluster in which the Event and the change of a row happen, and whose objects existed before."""
    c = Cluster()
    reporter = _thing(c, row.reporter)
    verb, _, named = row.change.partition(" ")
    subject = reporter if named == row.reporter else None if verb == "Create" else _thing(c, named)
    c.first_list()
    seen = reporter.version
    means = next(rule.means for rule in built_in_rules().rules if rule.name == row.rule)
    if means != "turns":  # What the Event reports has happened.
        _change(c, row, subject)
    c.event(reporter, row.reason, row.message, by=row.component, seen=seen)
    if means == "turns":
        c.wait(1)
        _change(c, row, subject)
    return c


def _thing(c: Cluster, named: str) -> Thing:
    kind, _, name = named.partition("/")
    return c.create(kind, name, replicas=1) if kind == "ReplicationController" else c.create(kind, name)


def _change(c: Cluster, row: Row, subject: Thing | None) -> None:
    if subject is None:
        kind, _, name = row.change.removeprefix("Create ").partition("/")
        c.create(kind, name, by=row.by)
    elif row.change.startswith("Delete"):
        c.gone(subject)
    elif subject.kind == "Node":
        c.update(subject, by=row.by, unschedulable=True)
    else:
        c.update(subject, by=row.by, replicas=3)
