"""Tools and controllers in the field: what is applied, published or requested is joined by identity, and routine Events
share a trace."""

from tests.causality.actors import done, new_pod, new_replicas, run
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import shows

APPLICATIONS, SERVER = "argocd-application-controller", "argocd-server"
SOURCES, KUSTOMIZE = "source-controller", "kustomize-controller"
TRACKED = {"argocd.argoproj.io/tracking-id": "store:apps/Deployment:shop/web"}
GROUP = "https://example.com/groups/pool-1"


def by_flux(name: str) -> dict[str, str]:
    return {"kustomize.toolkit.fluxcd.io/name": name, "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}


# Argo CD --------------------------------------------------------------------------------------------------------------


def an_application() -> tuple[Cluster, Thing, Thing]:
    c = Cluster()
    app = c.create("Application", "store", by="kubectl-create", namespace="argocd")
    web = c.create("Deployment", "web", by="argocd-controller", annotations=dict(TRACKED), replicas=0)
    done(c, web)
    c.first_list()
    return c, app, web


def test_what_argo_cd_applies_is_below_the_operation_of_its_application() -> None:
    c, app, web = an_application()
    c.event(app, "OperationStarted", "ada initiated sync to main (abc)", by=SERVER)
    c.wait(1)
    c.update(web, by="argocd-controller", image="app:v2")
    done(c, web)
    c.event(app, "OperationCompleted", "Sync operation to abc succeeded", by=APPLICATIONS)
    shows(
        c,
        """
        Application.OperationStarted store  by argocd-server  [root]
          Deployment.Update web  by argocd-controller  [subject]
          Application.OperationCompleted store  by argocd-application-controller  [own]
        """,
    )


def test_what_somebody_changes_by_hand_meanwhile_is_not_the_applications() -> None:
    c, app, web = an_application()
    c.event(app, "OperationStarted", "ada initiated sync to main (abc)", by=SERVER)
    c.wait(1)
    c.update(web, by="kubectl-edit", image="app:v2")
    done(c, web)
    shows(
        c,
        """
        Application.OperationStarted store  by argocd-server  [root]

        Deployment.Update web  by kubectl  [root]
        """,
    )


def test_an_application_that_flaps_for_hours_is_one_quiet_trace() -> None:
    c, app, _ = an_application()
    for _ in range(20):
        c.event(app, "ResourceUpdated", "Updated sync status: Synced -> OutOfSync", by=APPLICATIONS)
        c.wait(30)
        c.event(app, "ResourceUpdated", "Updated sync status: OutOfSync -> Synced", by=APPLICATIONS)
        c.wait(30)
    shows(c, "Application.ResourceUpdated store  by argocd-application-controller  [root] +39")


# Flux -----------------------------------------------------------------------------------------------------------------


def a_kustomization() -> tuple[Cluster, Thing, Thing, Thing]:
    c = Cluster()
    repo = c.create("GitRepository", "monorepo", by="kubectl-create", namespace="flux-system")
    reference = {"kind": "GitRepository", "name": "monorepo"}
    apps = c.create("Kustomization", "apps", by="kubectl-create", namespace="flux-system", sourceRef=reference)
    web = c.create("Deployment", "web", by=KUSTOMIZE, labels=by_flux("apps"), replicas=0)
    done(c, web)
    c.first_list()
    return c, repo, apps, web


def test_a_commit_is_the_root_of_all_that_is_applied_for_it() -> None:
    c, repo, apps, web = a_kustomization()
    other = c.create("Kustomization", "other", by="kubectl-create", namespace="flux-system", sourceRef={"name": "b"})
    c.wait(60)
    c.event(repo, "NewArtifact", "stored artifact for commit 'change image'", by=SOURCES)
    c.condition(apps, "Reconciling", "True", by=KUSTOMIZE)
    c.wait(1)
    c.update(web, by=KUSTOMIZE, image="app:v2")
    c.create("ConfigMap", "settings", by=KUSTOMIZE, labels=by_flux("apps"))
    c.event(apps, "Progressing", "ConfigMap/shop/settings created\nDeployment/shop/web configured", by=KUSTOMIZE)
    done(c, web)
    c.event(other, "Progressing", "Service/shop/x configured", by=KUSTOMIZE)
    c.event(apps, "ReconciliationSucceeded", "Reconciliation finished in 1.2s, next run in 5m0s", by=KUSTOMIZE)
    shows(
        c,
        """
        Kustomization.Create other  by kubectl  [root]

        GitRepository.NewArtifact monorepo  by source-controller  [root]
          Kustomization.Reconciling apps  by kustomize-controller  [subject]
          Kustomization.Progressing apps  by kustomize-controller  [subject]
            ConfigMap.Create settings  by kustomize-controller  [subject]
            Deployment.Update web  by kustomize-controller  [subject]
          Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [subject]

        (continues Kustomization.Create other trace)
        Kustomization.Progressing other  by kustomize-controller  [own]
        """,
    )


def test_reconciliations_that_change_nothing_are_one_quiet_trace() -> None:
    c, repo, apps, _ = a_kustomization()
    for number in range(30):
        message = f"Reconciliation finished in 1{number}ms, next run in 5m0s"
        c.event(apps, "ReconciliationSucceeded", message, by=KUSTOMIZE)
        c.event(repo, "GitOperationSucceeded", "no changes since last reconcilation: observed revision", by=SOURCES)
        c.wait(300)
    shows(
        c,
        """
        Kustomization.ReconciliationSucceeded apps  by kustomize-controller  [root] +29

        GitRepository.GitOperationSucceeded monorepo  by source-controller  [root] +29
        """,
    )


# nodes that are requested ---------------------------------------------------------------------------------------------


def test_a_node_is_created_for_the_pod_that_needed_it() -> None:
    c = Cluster()
    group = c.create("ConfigMap", "cluster-autoscaler-status", by="cluster-autoscaler", namespace="kube-system")
    c.first_list()
    web = c.apply("Deployment", "web", replicas=1)
    rs = new_replicas(c, web, "web-1", 1)
    pod = new_pod(c, rs, "web-1-a")
    c.event(pod, "FailedScheduling", "0/3 nodes are available: 3 Insufficient cpu.", by="default-scheduler", new=True)
    c.wait(2)
    c.event(group, "ScaledUpGroup", f"Scale-up: setting group {GROUP} size to 2", by="cluster-autoscaler")
    c.event(pod, "TriggeredScaleUp", f"pod triggered scale-up: [{{{GROUP} 1->2 (max: 5)}}]", by="cluster-autoscaler")
    c.wait(50)
    node = c.create("Node", "node-9", by="kubelet")
    c.wait(5)
    c.condition(node, "Ready", "True", by="kubelet")
    c.wait(1)
    run(c, pod, "node-9")
    done(c, rs, web)
    shows(
        c,
        """
        Deployment.Create web  by kubectl  [root]
          Deployment.ScalingReplicaSet web  by deployment-controller  [owner]
            ReplicaSet.Create web-1  by deployment-controller  [subject]
              ReplicaSet.SuccessfulCreate web-1  by replicaset-controller  [owner]
                Pod.Create web-1-a  by replicaset-controller  [subject]
                  Pod.FailedScheduling web-1-a  by default-scheduler  [own]
                  Pod.TriggeredScaleUp web-1-a  by cluster-autoscaler  [own]
                    ConfigMap.ScaledUpGroup cluster-autoscaler-status  by cluster-autoscaler  [subject]
                    Node.Create node-9  by kubelet  [subject]
                      Node.Ready node-9  by kubelet  [own]
                        Pod.Scheduled web-1-a  by default-scheduler  [place]
                        Pod.Started web-1-a  by kubelet  [place]
                        Pod.Ready web-1-a  by kubelet  [place]
        """,
    )


def test_a_node_that_nobody_requested_is_a_root() -> None:
    c = Cluster()
    c.create("Node", "node-9", by="kubelet")
    shows(c, "Node.Create node-9  by kubelet  [root]")


# operators ------------------------------------------------------------------------------------------------------------


def test_what_an_operator_restores_goes_back_to_the_deletion() -> None:
    c = Cluster()
    operator = c.create("Deployment", "operator", replicas=0)
    settings = c.create("ConfigMap", "settings", by="operator")
    done(c, operator)
    c.first_list()
    c.gone(settings)
    c.wait(1)
    c.create("ConfigMap", "settings", by="operator")
    message = "Created ConfigMap/settings -n shop because it was missing"
    c.event(operator, "ConfigMapCreated", message, by="kube-apiserver-operator")
    shows(
        c,
        """
        ConfigMap.Delete settings  by unknown  [root]
          Deployment.ConfigMapCreated operator  by kube-apiserver-operator  [own]
            ConfigMap.Create settings  by kube-apiserver-operator  [subject]
        """,
    )


# heartbeats -----------------------------------------------------------------------------------------------------------


def test_the_renewals_of_leases_and_locks_are_no_changes_and_a_new_leader_is_routine() -> None:
    c = Cluster()
    lease = c.create(
        "Lease", "scheduler", by="kube-scheduler", namespace="kube-system", holderIdentity="a", renewTime="1"
    )
    lock = c.create("ConfigMap", "ingress-leader", by="nginx", namespace="kube-system", data={})
    c.first_list()
    for number in range(4):
        c.update(lease, by="kube-scheduler", renewTime=str(number))
        c.annotate(lock, "control-plane.alpha.kubernetes.io/leader", f'{{"renewTime":"{number}"}}', by="nginx")
        c.wait(2)
    c.event(lease, "LeaderElection", "a became leader", by="default-scheduler")
    c.wait(600)
    c.event(lease, "LeaderElection", "b became leader", by="default-scheduler")
    shows(c, "Lease.LeaderElection scheduler  by default-scheduler  [root] +1")


# cert-manager ---------------------------------------------------------------------------------------------------------


def test_a_certificate_is_issued_again_because_its_secret_was_deleted() -> None:
    c = Cluster()
    web = c.create("Certificate", "web", by="kubectl-create", secretName="web-tls")
    marks = {"cert-manager.io/certificate-name": "web", "cert-manager.io/issuer-name": "ca"}
    secret = c.create("Secret", "web-tls", by="cert-manager-certificates-issuing", annotations=marks)
    c.condition(web, "Ready", "True", reason="Ready", by="cert-manager-certificates-readiness")
    c.first_list()
    c.update(web, by="kubectl-edit", dnsNames=["www.example.com"])
    c.wait(60)
    c.gone(secret)
    c.condition(web, "Issuing", "True", reason="DoesNotExist", by="cert-manager-certificates-trigger")
    seen, message = web.version, "Issuing certificate as Secret does not exist"
    c.event(web, "Issuing", message, by="cert-manager-certificates-trigger", seen=seen)
    c.condition(web, "Ready", "False", reason="DoesNotExist", by="cert-manager-certificates-readiness")
    request = c.create("CertificateRequest", "web-3", owner=web, by="cert-manager-certificates-request-manager")
    message = 'Created new CertificateRequest resource "web-3"'
    c.event(web, "Requested", message, by="cert-manager-certificates-request-manager", seen=seen)
    c.wait(30)
    c.condition(request, "Ready", "True", reason="Issued", by="cert-manager-certificaterequests-issuer-ca")
    c.create("Secret", "web-tls", by="cert-manager-certificates-issuing", annotations=marks)
    c.condition(web, "Issuing", "False", reason="Issued", by="cert-manager-certificates-issuing")
    c.condition(web, "Ready", "True", reason="Ready", by="cert-manager-certificates-readiness")
    shows(
        c,
        """
        Certificate.Update web  by kubectl  [root]

        Secret.Delete web-tls  by unknown  [root]
          Certificate.Issuing web  by cert-manager-certificates-trigger  [own]
          Certificate.Issuing web  by cert-manager-certificates-trigger  [own]
          Certificate.Ready=False web  by cert-manager-certificates-trigger  [own]
          Certificate.Requested web  by cert-manager-certificates-request-manager  [owner]
            CertificateRequest.Create web-3  by cert-manager-certificates-request-manager  [subject]
              CertificateRequest.Ready web-3  by cert-manager-certificaterequests-issuer-ca  [own]
                Certificate.Ready web  by cert-manager-certificates-readiness  [owner]
          Secret.Create web-tls  by cert-manager-certificates-issuing  [owner]
          Certificate.Issuing=False web  by cert-manager-certificates-issuing  [own]
        """,
    )
