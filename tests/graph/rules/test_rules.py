# ruff: noqa: E501 (messages are copied as they are)
"""The built-in rules, each with messages as their components really write them, including old forms."""

import msgspec
import pytest

from kspan.graph import built_in_rules
from kspan.graph.rules.patterns import COMBINED
from kspan.graph.rules.rules import Subject
from tests.causality.test_field_rules import ROWS

UID = "0b7f7a9a-8f0a-4f5b-9c61-5f1b7c3d2e10"

# (rule, component, kind, reason, message, subject)
Case = tuple[str, str, str, str, str, Subject]


def subject(means: str, kind: str = "", name: str = "", namespace: str = "shop", **more: object) -> Subject:
    return Subject(means, kind, namespace, name, **more)  # type: ignore[arg-type]


CASES: list[Case] = [
    (
        "deployment-scales-replicaset", "deployment-controller", "Deployment", "ScalingReplicaSet",
        "Scaled up replica set web-854b7f4f to 1", subject("scales", "ReplicaSet", "web-854b7f4f", replicas_to=1),
    ),
    (
        "deployment-scales-replicaset", "deployment-controller", "Deployment", "ScalingReplicaSet",
        "Scaled down replica set web-854b7f4f from 3 to 2",
        subject("scales", "ReplicaSet", "web-854b7f4f", replicas_from=3, replicas_to=2),
    ),
    (
        "deployment-scales-replicaset", "deployment-controller", "Deployment", "ScalingReplicaSet",
        "Scaled up replica set web-854b7f4f to 5 from 3", subject("scales", "ReplicaSet", "web-854b7f4f", replicas_to=5),
    ),
    (
        "controller-creates-pod", "replicaset-controller", "ReplicaSet", "SuccessfulCreate",
        "Created pod: web-854b7f4f-x2x8p", subject("creates", "Pod", "web-854b7f4f-x2x8p"),
    ),
    (
        "controller-creates-pod", "job-controller", "Job", "SuccessfulCreate",
        f"{COMBINED}Created pod: pi-8xk2m", subject("creates", "Pod", "pi-8xk2m"),
    ),
    (
        "controller-deletes-pod", "daemonset-controller", "DaemonSet", "SuccessfulDelete",
        "Deleted pod: agent-4jx9k", subject("deletes", "Pod", "agent-4jx9k"),
    ),
    (
        "daemonset-sees-failed-pod", "daemonset-controller", "DaemonSet", "FailedDaemonPod",
        "Found failed daemon pod logging/agent-4jx9k on node node-1, will try to kill it",
        subject("observes", "Pod", "agent-4jx9k", "logging"),
    ),
    (
        "statefulset-creates-pod", "statefulset-controller", "StatefulSet", "SuccessfulCreate",
        "create Pod db-0 in StatefulSet db successful", subject("creates", "Pod", "db-0"),
    ),
    (
        "statefulset-creates-pod", "statefulset-controller", "StatefulSet", "SuccessfulCreate",
        "Create Pod db-0 in StatefulSet db successful", subject("creates", "Pod", "db-0"),
    ),
    (
        "statefulset-deletes-pod", "statefulset-controller", "StatefulSet", "SuccessfulDelete",
        "delete Pod db-2 in StatefulSet db successful", subject("deletes", "Pod", "db-2"),
    ),
    (
        "statefulset-creates-claim", "statefulset-controller", "StatefulSet", "SuccessfulCreate",
        "create Claim data-db-0 Pod db-0 in StatefulSet db success", subject("creates", "PersistentVolumeClaim", "data-db-0"),
    ),
    (
        "statefulset-deletes-claim", "statefulset-controller", "StatefulSet", "SuccessfulDelete",
        "delete Claim data-db-0 Pod db-0 in StatefulSet db success", subject("deletes", "PersistentVolumeClaim", "data-db-0"),
    ),
    (
        "statefulset-sees-failed-pod", "statefulset-controller", "StatefulSet", "RecreatingFailedPod",
        "StatefulSet kafka/zookeeper is recreating failed Pod zookeeper-0", subject("observes", "Pod", "zookeeper-0"),
    ),
    (
        "cronjob-creates-job", "cronjob-controller", "CronJob", "SuccessfulCreate",
        "Created job report-29372345", subject("creates", "Job", "report-29372345", starts=True),
    ),
    (
        "cronjob-deletes-job", "cronjob-controller", "CronJob", "SuccessfulDelete",
        "Deleted job report-29372345", subject("deletes", "Job", "report-29372345", after="SawCompletedJob"),
    ),
    (
        "cronjob-sees-completed-job", "cronjob-controller", "CronJob", "SawCompletedJob",
        "Saw completed job: report-29372345, condition: Complete", subject("observes", "Job", "report-29372345"),
    ),
    (
        "cronjob-sees-completed-job", "cronjob-controller", "CronJob", "SawCompletedJob",
        "Saw completed job: report-1603110300, status: Complete", subject("observes", "Job", "report-1603110300"),
    ),
    (
        "cronjob-misses-job", "cronjob-controller", "CronJob", "MissingJob",
        "Active job went missing: report-29372345", subject("observes", "Job", "report-29372345", after="Delete"),
    ),
    (
        "cronjob-finds-job", "cronjob-controller", "CronJob", "UnexpectedJob",
        "Saw a job that the controller did not create or forgot: by-hand", subject("observes", "Job", "by-hand", after="Create"),
    ),
    (
        "quota-refuses-pod", "replicaset-controller", "ReplicaSet", "FailedCreate",
        'Error creating: pods "web-854b7f4f-x2x8p" is forbidden: exceeded quota: small, requested: pods=1, used: pods=2, limited: pods=2',
        subject("waits", "ResourceQuota", "small"),
    ),
    (
        "priority-class-lacks", "replicaset-controller", "ReplicaSet", "FailedCreate",
        'Error creating: pods "web-57ff5ffd59-" is forbidden: no PriorityClass with name high-priority was found',
        subject("waits", "PriorityClass", "high-priority", ""),
    ),
    (
        "service-account-lacks", "replicaset-controller", "ReplicaSet", "FailedCreate",
        'Error creating: pods "web-57ff5ffd59-" is forbidden: error looking up service account shop/web: serviceaccount "web" not found',
        subject("waits", "ServiceAccount", "web"),
    ),
    (
        "kubelet-stops-container", "kubelet", "Pod", "Killing",
        "Stopping container web", subject("explains", after="Delete"),
    ),
    (
        "kubelet-stops-container", "kubelet", "Pod", "Killing",
        "Killing container with id docker://web:Need to kill Pod", subject("explains", after="Delete"),
    ),
    (
        "node-not-ready", "node-controller", "Node", "NodeNotReady",
        "Node node-1 status is now: NodeNotReady", subject("turns", starts=True, source="self"),
    ),
    (
        "pod-on-node-not-ready", "node-controller", "Pod", "NodeNotReady",
        "Node is not ready", subject("observes", source="nodeName"),
    ),
    (
        "node-deleted-with-its-machine", "cloud-node-lifecycle-controller", "Node", "DeletingNode",
        "Deleting node ip-10-2-241-227.ec2.internal because it does not exist in the cloud provider",
        subject("deletes", source="self"),
    ),
    (
        "taint-evicts-pod", "taint-eviction-controller", "Pod", "TaintManagerEviction",
        "Marking for deletion Pod shop/web-854b7f4f-x2x8p", subject("deletes", source="self"),
    ),
    (
        "taint-evicts-pod", "taint-controller", "Pod", "TaintManagerEviction",
        "Marking for deletion Pod shop/web-854b7f4f-x2x8p", subject("deletes", source="self"),
    ),
    (
        "node-controller-evicts-pod", "node-controller", "Pod", "NodeControllerEviction",
        "Marking for deletion Pod web-854b7f4f-x2x8p from Node node-1", subject("deletes", source="self"),
    ),
    (
        "limit-range-refuses-pod", "replicaset-controller", "ReplicaSet", "FailedCreate",
        'Error creating: pods "web-2-x" is forbidden: minimum memory usage per Container is 100Mi, but request is 50Mi',
        subject("waits", "LimitRange"),
    ),
    (
        "pod-security-refuses-pod", "replicaset-controller", "ReplicaSet", "FailedCreate",
        'Error creating: pods "web-2-x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true',
        subject("waits", source="namespace"),
    ),
    (
        "kubelet-tells-how-its-node-stands", "kubelet", "Node", "NodeNotReady",
        "Node node-1 status is now: NodeNotReady", subject("turns", source="self"),
    ),
    (
        "scheduler-preempts-pod", "default-scheduler", "Pod", "Preempted",
        f"Preempted by pod {UID} on node worker-0", subject("deletes", source="self", by=UID),
    ),
    (
        "scheduler-preempts-pod", "default-scheduler", "Pod", "Preempted",
        "Preempted by shop/urgent on node worker-0", subject("deletes", source="self", by="shop/urgent"),
    ),
    (
        "scheduler-preempts-pod", "default-scheduler", "Pod", "Preempted",
        "by shop/urgent on node worker-0", subject("deletes", source="self", by="shop/urgent"),
    ),
    (
        "scheduler-preempts-pod", "batch-scheduler", "Pod", "Preempted",
        "Preempted by a pod on node worker-0", subject("deletes", source="self", by="related"),
    ),
    (
        "hpa-scales-target", "horizontal-pod-autoscaler", "HorizontalPodAutoscaler", "SuccessfulRescale",
        "New size: 4; reason: cpu resource utilization (percentage of request) above target",
        subject("scales", replicas_to=4, starts=True, source="scaleTargetRef"),
    ),
    (
        "vpa-evicts-pod", "vpa-updater", "VerticalPodAutoscaler", "EvictedPod",
        "VPA Updater evicted Pod web-854b7f4f-x2x8p to apply resource recommendation.",
        subject("deletes", "Pod", "web-854b7f4f-x2x8p", starts=True),
    ),
    (
        "keda-scales-target", "keda-operator", "ScaledObject", "KEDAScaleTargetActivated",
        "Scaled apps/v1.Deployment gateway/worker from 0 to 1, triggered by s0-redis-inference_queue",
        subject("scales", "Deployment", "worker", "gateway", replicas_from=0, replicas_to=1, starts=True),
    ),
    (
        "cluster-autoscaler-closes-node", "cluster-autoscaler", "Node", "ScaleDown",
        "marked the node as toBeDeleted/unschedulable", subject("turns", starts=True, source="self"),
    ),
    (
        "cluster-autoscaler-removes-node", "cluster-autoscaler", "Node", "ScaleDown",
        "node removed by cluster autoscaler", subject("deletes", source="self"),
    ),
    (
        "cluster-autoscaler-evicts-pod", "cluster-autoscaler", "Pod", "ScaleDown",
        "deleting pod for node scale down", subject("deletes", source="self"),
    ),
    (
        "karpenter-creates-nodeclaim", "karpenter", "Pod", "Nominated",
        "Pod should schedule on: nodeclaim/default-rp626, node/ip-10-0-10-83.eu-west-1.compute.internal",
        subject("creates", "NodeClaim", "default-rp626", ""),
    ),
    (
        "karpenter-disrupts-node", "karpenter", "Node", "DisruptionTerminating",
        "Disrupting Node: Underutilized", subject("deletes", starts=True, source="self"),
    ),
    (
        "karpenter-disrupts-nodeclaim", "karpenter", "NodeClaim", "DisruptionTerminating",
        "Disrupting NodeClaim: Drifted", subject("deletes", starts=True, source="self"),
    ),
    (
        "karpenter-evicts-pod", "karpenter", "Pod", "Evicted",
        "Evicted pod: Underutilized", subject("deletes", source="self"),
    ),
    (
        "descheduler-evicts-pod", "sigs.k8s.io/descheduler", "Pod", "LowNodeUtilization",
        "pod eviction from node-1 node by sigs.k8s.io/descheduler", subject("deletes", starts=True, source="self"),
    ),
    (
        "claim-awaits-consumer", "persistentvolume-controller", "PersistentVolumeClaim", "WaitForFirstConsumer",
        "waiting for first consumer to be created before binding", subject("awaits", "Pod"),
    ),
    (
        "claim-awaits-consumer", "persistentvolume-controller", "PersistentVolumeClaim", "WaitForPodScheduled",
        "waiting for pod web-0 to be scheduled", subject("awaits", "Pod", "web-0"),
    ),
    (
        "claim-gets-volume", "persistentvolume-controller", "PersistentVolumeClaim", "ProvisioningSucceeded",
        f"Successfully provisioned volume pvc-{UID} using kubernetes.io/gce-pd",
        subject("creates", "PersistentVolume", f"pvc-{UID}", ""),
    ),
    (
        "claim-gets-volume", f"disk.csi.azure.com_csi-azuredisk-controller-67fc899bdc-p8lw9_{UID}",
        "PersistentVolumeClaim", "ProvisioningSucceeded",
        f"Successfully provisioned volume pvc-{UID}", subject("creates", "PersistentVolume", f"pvc-{UID}", ""),
    ),
    (
        "applicationset-creates-application", "applicationset-controller", "ApplicationSet", "created",
        'created Application "guestbook-staging"', subject("creates", "Application", "guestbook-staging"),
    ),
    (
        "applicationset-updates-application", "applicationset-controller", "ApplicationSet", "updated",
        'updated Application "guestbook-staging"', subject("applies", "Application", "guestbook-staging"),
    ),
    (
        "applicationset-deletes-application", "applicationset-controller", "ApplicationSet", "Deleted",
        'Deleted Application "guestbook-staging"', subject("deletes", "Application", "guestbook-staging"),
    ),
    (
        "rollout-creates-replicaset", "rollouts-controller", "Rollout", "NewReplicaSetCreated",
        "Created ReplicaSet webapp-579884787f (revision 1)", subject("creates", "ReplicaSet", "webapp-579884787f"),
    ),
    (
        "rollout-scales-replicaset", "rollouts-controller", "Rollout", "ScalingReplicaSet",
        "Scaled up ReplicaSet webapp-579884787f (revision 1) from 0 to 4",
        subject("scales", "ReplicaSet", "webapp-579884787f", replicas_from=0, replicas_to=4),
    ),
    (
        "rollout-creates-replicaset", "rollouts-controller", "Rollout", "NewReplicaSetCreated",
        'Created new replica set "webapp-579884787f"', subject("creates", "ReplicaSet", "webapp-579884787f"),
    ),
    (
        "rollout-scales-replicaset", "rollouts-controller", "Rollout", "ScalingReplicaSet",
        "Scaled up replica set webapp-579884787f to 4", subject("scales", "ReplicaSet", "webapp-579884787f", replicas_to=4),
    ),
    (
        "rollout-switches-service", "rollouts-controller", "Rollout", "SwitchService",
        "Switched selector for service 'webapp' from '' to '579884787f'", subject("applies", "Service", "webapp"),
    ),
    (
        "rollout-sees-analysis", "rollouts-controller", "Rollout", "AnalysisRunFailed",
        "Background Analysis Run 'webapp-579884787f-2' Status New: 'Failed' Previous: 'Running'",
        subject("observes", "AnalysisRun", "webapp-579884787f-2"),
    ),
    (
        "rollout-aborts-for-analysis", "rollouts-controller", "Rollout", "RolloutAborted",
        'Rollout aborted update to revision 2: Metric "ok" assessed Failed due to failed (1) > failureLimit (0)',
        subject("observes", "AnalysisRun", ""),
    ),
    (
        "kustomization-applies-workload", "kustomize-controller", "Kustomization", "Progressing",
        "Namespace/auth created\nService/auth/rauthy configured\nHelmRelease/auth/rauthy created\nDeployment/auth/x created",
        subject("applies", "HelmRelease", "rauthy", "auth", starts=True),
    ),
    (
        "kustomization-applies-object", "kustomize-controller", "Kustomization", "Progressing",
        "Namespace/auth created\nService/auth/rauthy configured",
        subject("applies", "Namespace", "auth", "", starts=True),
    ),
    (
        "kustomization-prunes-object", "kustomize-controller", "Kustomization", "HealthCheckFailed",
        "ConfigMap/auth/rauthy deleted", subject("deletes", "ConfigMap", "rauthy", "auth", starts=True),
    ),
    (
        "helmrelease-creates-chart", "helm-controller", "HelmRelease", "HelmChartCreated",
        "Created HelmChart/demo/demo-podinfo with SourceRef 'HelmRepository/demo/podinfo'",
        subject("creates", "HelmChart", "demo-podinfo", "demo"),
    ),
    (
        "certificate-creates-request", "cert-manager-certificates-request-manager", "Certificate", "Requested",
        'Created new CertificateRequest resource "frontend-1"', subject("creates", "CertificateRequest", "frontend-1"),
    ),
    (
        "certificate-creates-key", "cert-manager-certificates-key-manager", "Certificate", "Generated",
        'Stored new private key in temporary Secret resource "frontend-ntcbn"', subject("creates", "Secret", "frontend-ntcbn"),
    ),
    (
        "request-creates-order", "cert-manager-certificaterequests-issuer-acme", "CertificateRequest", "OrderCreated",
        "Created Order resource istio-system/gateway-certs-2862066918", subject("creates", "Order", "gateway-certs-2862066918", "istio-system"),
    ),
    (
        "request-creates-order", "cert-manager", "Certificate", "OrderCreated",
        'Created Order resource "tls-secret-3254248695"', subject("creates", "Order", "tls-secret-3254248695"),
    ),
    (
        "order-creates-challenge", "cert-manager-orders", "Order", "Created",
        'Created Challenge resource "hello-tls-4fzl2-2471308949-3172376200" for domain "example.com"',
        subject("creates", "Challenge", "hello-tls-4fzl2-2471308949-3172376200"),
    ),
    (
        "knative-creates", "configuration-controller", "Configuration", "Created",
        'Created Revision "hello-00001"', subject("creates", "Revision", "hello-00001"),
    ),
]  # fmt: skip


def _name(case: Case) -> str:
    return f"{case[0]}: {case[4].splitlines()[0]}"


@pytest.mark.parametrize("case", CASES, ids=_name)
def test_a_real_message_matches_its_rule(case: Case) -> None:
    rule, component, kind, reason, message, expected = case
    found = built_in_rules().subject(component, kind, reason, "shop", message)
    assert found == msgspec.structs.replace(expected, rule=rule)


def test_an_event_of_flux_is_about_each_object_that_it_lists() -> None:
    rules = built_in_rules()
    message = (
        "Namespace/auth created\nService/auth/rauthy unchanged\nDeployment/auth/x created\nSecret/auth/x configured"
    )
    first = rules.subject("kustomize-controller", "Kustomization", "Progressing", "flux-system", message)
    assert first is not None
    assert (first.kind, first.namespace, first.name) == ("Deployment", "auth", "x")
    assert rules.others(first, "flux-system", message) == (("Namespace", "", "auth"), ("Secret", "auth", "x"))


def test_every_built_in_rule_has_a_message_here_or_in_a_table_of_changes() -> None:
    read = {case[0] for case in CASES} | {rule for rule, *_ in ABOUT_ITSELF} | {row.rule for row in ROWS}
    assert read == {rule.name for rule in built_in_rules().rules}


CLAIM, CONFIG, SECRET = "PersistentVolumeClaim", "ConfigMap", "Secret"
WEBHOOK = 'Error creating: admission webhook "validate.kyverno.svc-fail" denied the request: no'
POLICY = "Error creating: ValidatingAdmissionPolicy 'labels' with binding 'labels-shop' denied request: no"

# (rule, component, kind, reason, message, kind and name of what is waited for)
OBSTACLES = [
    ("webhook-refuses-pod", "job-controller", "Job", "FailedCreate", WEBHOOK, "ValidatingWebhookConfiguration", ""),
    ("mutating-webhook-refuses-pod", "job-controller", "Job", "FailedCreate", WEBHOOK, "MutatingWebhookConfiguration", ""),
    ("policy-refuses-pod", "job-controller", "Job", "FailedCreate", POLICY, "ValidatingAdmissionPolicy", "labels"),
    ("policy-binding-refuses-pod", "job-controller", "Job", "FailedCreate", POLICY, "ValidatingAdmissionPolicyBinding", "labels-shop"),
    ("claim-lacks", "my-scheduler", "Pod", "FailedScheduling", 'persistentvolumeclaim "data" not found', CLAIM, "data"),
    ("claim-lacks", "my-scheduler", "Pod", "FailedScheduling", '0/3 nodes are available: persistentvolumeclaim "data" not found.', CLAIM, "data"),
    ("no-node-fits", "default-scheduler", "Pod", "FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", "Node", ""),
    ("no-node-fits", "default-scheduler", "Pod", "FailedScheduling", "no nodes available to schedule pods", "Node", ""),
    ("configmap-lacks", "kubelet", "Pod", "Failed", 'Error: configmap "web" not found', CONFIG, "web"),
    ("secret-lacks", "kubelet", "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "tls" : secret "web" not found', SECRET, "web"),
    ("key-lacks", "kubelet", "Pod", "Failed", "Error: couldn't find key mode in ConfigMap shop/web", CONFIG, "web"),
    ("key-lacks", "kubelet", "Pod", "Failed", "Error: Couldn't find key mode in Secret shop/web", SECRET, "web"),
    ("configmap-lacks-key", "kubelet", "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "cfg" : configmap references non-existent config key: a', CONFIG, ""),
    ("secret-lacks-key", "kubelet", "Pod", "FailedMount", 'MountVolume.SetUp failed for volume "tls" : references non-existent secret key: a', SECRET, ""),
    ("storage-class-lacks", "persistentvolume-controller", CLAIM, "ProvisioningFailed", 'storageclass.storage.k8s.io "fast" not found', "StorageClass", "fast"),
]  # fmt: skip


@pytest.mark.parametrize("case", OBSTACLES, ids=str)
def test_everything_that_a_controller_waits_for_is_read(case: tuple[str, ...]) -> None:
    rule, component, kind, reason, message, obstacle, name = case
    found = built_in_rules().obstacles(component, kind, reason, "shop", message)
    assert (rule, obstacle, name) in [(subject.rule, subject.kind, subject.name) for subject in found]


# (rule, component, kind, reason, message)
ABOUT_ITSELF = [
    *(case[:5] for case in OBSTACLES),
    ("cluster-autoscaler-requests-node", "cluster-autoscaler", "Pod", "TriggeredScaleUp", "pod triggered scale-up: [{pool-1 1->2 (max: 5)}]"),
    ("cluster-autoscaler-grows-group", "cluster-autoscaler", "ConfigMap", "ScaledUpGroup", "Scale-up: setting group pool-1 size to 3"),
    ("cluster-autoscaler-grows-group", "cluster-autoscaler", "ConfigMap", "ScaledUpGroup", "Scale-up: group pool-1 size set to 2 instead of 1 (max: 4)"),
    ("application-operation-starts", "argocd-server", "Application", "OperationStarted", "ada initiated sync to main (abc)"),
    ("application-operation-starts", "argocd-application-controller", "Application", "OperationStarted", "Initiated automated sync to 'abc'"),
    ("application-operation-completes", "argocd-application-controller", "Application", "OperationCompleted", "Partial sync operation to abc succeeded"),
    ("application-status-flaps", "argocd-application-controller", "Application", "ResourceUpdated", "Updated health status: Healthy -> Progressing"),
    ("flux-source-changes", "source-controller", "GitRepository", "NewArtifact", "stored artifact for commit 'change image'"),
    ("flux-source-changes", "source-controller", "HelmChart", "ChartPullSucceeded", "pulled 'web' chart with version '1.2.3'"),
    ("flux-reconciles", "kustomize-controller", "Kustomization", "ReconciliationSucceeded", f"{COMBINED}Reconciliation finished in 1.7s, next run in 1m0s"),
    ("flux-reconciles", "source-controller", "GitRepository", "GitOperationSucceeded", "no changes since last reconcilation: observed revision 'main'"),
    ("flux-reconciles", "source-controller", "HelmChart", "ArtifactUpToDate", "artifact up-to-date with remote revision: '1.2.3'"),
    ("node-problem-occurs", "kernel-monitor", "Node", "OOMKilling", "Memory cgroup out of memory: Killed process 4711 (java)"),
    ("cronjob-skips-tick", "cronjob-controller", "CronJob", "JobAlreadyActive", "Not starting job because prior execution is running and concurrency policy is Forbid"),
    ("leader-changes", "default-scheduler", "Lease", "LeaderElection", "a_5f1e became leader"),
    ("leader-changes", "nginx", "ConfigMap", "LeaderElection", "a_5f1e became leader"),
    ("node-is-registered-again", "node-controller", "Node", "RegisteredNode", "Node a event: Registered Node a in Controller"),
    ("kubelet-complains-about-dns", "kubelet", "Pod", "DNSConfigForming", "Nameserver limits were exceeded, some nameservers have been omitted"),
    ("ingress-is-synchronized", "nginx-ingress-controller", "Ingress", "Sync", "Scheduled for sync"),
    ("policy-is-applied", "kyverno-scan", "ClusterPolicy", "PolicyApplied", "Pod shop/web: pass"),
    ("secret-is-refreshed", "external-secrets", "ExternalSecret", "Updated", "Updated Secret"),
    ("node-cannot-be-disrupted", "karpenter", "Node", "DisruptionBlocked", "Node isn't initialized"),
]  # fmt: skip


@pytest.mark.parametrize("case", ABOUT_ITSELF, ids=str)
def test_a_real_message_about_the_reporting_object_matches_its_rule(case: tuple[str, ...]) -> None:
    rule, component, kind, reason, message = case
    found = built_in_rules().subject(component, kind, reason, "shop", message)
    others = [subject.rule for subject in built_in_rules().obstacles(component, kind, reason, "shop", message)]
    assert found is not None
    assert rule in (found.rule, *others)


UNMATCHED = [
    ("kubelet", "Pod", "Killing", "Container web failed liveness probe, will be restarted"),
    ("kubelet", "Pod", "Pulled", 'Container image "app:v1" already present on machine'),
    ("somebody", "ReplicaSet", "SuccessfulCreate", "Created pod: web-1"),
    ("replicaset-controller", "Widget", "SuccessfulCreate", "Created pod: web-1"),
    ("replicaset-controller", "ReplicaSet", "SuccessfulCreate", "has Created pod: web-1"),
]


@pytest.mark.parametrize("event", UNMATCHED, ids=str)
def test_another_component_kind_or_message_does_not_match(event: tuple[str, str, str, str]) -> None:
    component, kind, reason, message = event
    assert built_in_rules().subject(component, kind, reason, "shop", message) is None


def test_a_number_of_replicas_that_is_too_long_for_a_column_is_ignored() -> None:
    found = built_in_rules().subject(
        "deployment-controller", "Deployment", "ScalingReplicaSet", "shop", f"Scaled up replica set a to {'9' * 40}"
    )
    assert found is not None
    assert found.replicas_to == -1


CONTROLLERS = [
    "kube-controller-manager", "kubelet", "karpenter", "cert-manager-certificates-trigger", "system:node:a",
    "cluster-version-operator", "longhorn-manager", "velero-server", "cloud-provider-aws", "machine-config-controller",
    "machine-config-daemon", "olm", "virt-controller",
]  # fmt: skip
PEOPLE = [
    "kubectl", "kubectl-edit", "kubectl-client-side-apply", "helm", "argocd-controller", "kustomize-controller",
    "helm-controller", "Terraform", "HashiCorp", "pulumi-kubernetes-7f3", "kubeadm", "Mozilla",
]  # fmt: skip
NEITHER = ["widget-operator", "manager", "karpenter2", "argocd-image-updater"]


@pytest.mark.parametrize("manager", [*CONTROLLERS, *PEOPLE, *NEITHER])
def test_field_managers_are_classified(manager: str) -> None:
    rules = built_in_rules()
    assert rules.is_controller(manager) == (manager in CONTROLLERS)
    assert rules.is_person(manager) == (manager in PEOPLE)
