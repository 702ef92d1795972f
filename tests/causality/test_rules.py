"""Controllers of custom resources: the Events that they report are the causes of their changes."""

from tests.causality.actors import done
from tests.causality.cluster import Cluster
from tests.causality.drawing import CLUSTER, shows
from tests.recordings import fold

PROVISIONER = "ebs.csi.aws.com_ebs-csi-controller-6b7_2f1c"
VOLUME = "pvc-5c3004bd-f476-11e8-aef3-42010a840052"


def test_a_volume_is_provisioned_for_its_claim() -> None:
    """The volume is in no namespace, and its provisioner reports under the name of its Pod."""
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="fast")
    c.wait(1)
    c.create("PersistentVolume", VOLUME, by="csi-provisioner")
    c.event(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {VOLUME}", by=PROVISIONER)
    shows(
        c,
        f"""
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.ProvisioningSucceeded data  by {PROVISIONER}  [owner]
            PersistentVolume.Create {VOLUME}  by {PROVISIONER}  [subject]
        """,
    )


def test_the_span_of_an_event_has_the_name_of_its_rule() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="fast")
    c.event(claim, "ProvisioningSucceeded", f"Successfully provisioned volume {VOLUME}", by=PROVISIONER)
    c.event(claim, "Resizing", "External resizer is resizing volume", by=PROVISIONER)
    named = {row["reason"]: row["attributes"].get("kspan.event.rule") for row in fold(CLUSTER, c.records)["spans"]}
    assert named == {"Create": None, "ProvisioningSucceeded": "claim-gets-volume", "Resizing": None}


def test_a_node_claim_is_created_for_the_pod_that_needs_it() -> None:
    c = Cluster()
    pod = c.apply("Pod", "big")
    c.wait(1)
    c.create("NodeClaim", "default-rp626", by="karpenter")
    c.event(pod, "Nominated", "Pod should schedule on: nodeclaim/default-rp626", by="karpenter")
    c.status(pod, by="kubelet", phase="Succeeded")
    shows(
        c,
        """
        Pod.Create big  by kubectl  [root]
          Pod.Nominated big  by karpenter  [owner]
            NodeClaim.Create default-rp626  by karpenter  [subject]
          Pod.Succeeded big  by kubelet  [own]
        """,
    )


def test_objects_that_flux_applied_are_caused_by_its_reconciliation() -> None:
    c = Cluster()
    web = c.apply("Deployment", "web", replicas=0, by="kustomize-controller")
    done(c, web)
    apps = c.apply("Kustomization", "apps", namespace="flux-system")
    c.wait(120)
    c.update(web, by="kustomize-controller", image="app:v2")
    message = "Service/shop/web configured\nDeployment/shop/web configured"
    c.event(apps, "Progressing", message, by="kustomize-controller")
    done(c, web)
    shows(
        c,
        """
        Deployment.Create web  by kustomize-controller  [root]

        Kustomization.Create apps  by kubectl  [root]

        Kustomization.Progressing apps  by kustomize-controller  [root]
          Deployment.Update web  by kustomize-controller  [subject]
        """,
    )


def test_applications_are_caused_by_the_change_of_their_set() -> None:
    c = Cluster()
    every = c.apply("ApplicationSet", "guestbook", namespace="argocd")
    seen = every.version
    c.wait(1)
    c.create("Application", "guestbook-staging", owner=every, by="argocd-applicationset-controller")
    message = 'created Application "guestbook-staging"'
    c.event(every, "created", message, by="applicationset-controller", seen=seen)
    shows(
        c,
        """
        ApplicationSet.Create guestbook  by kubectl  [root]
          ApplicationSet.created guestbook  by applicationset-controller  [owner]
            Application.Create guestbook-staging  by applicationset-controller  [subject]
        """,
    )


def test_an_application_that_argo_cd_applies_is_a_cause_although_argo_cd_writes_its_status_too() -> None:
    c = Cluster()
    app = c.apply("Application", "web", namespace="argocd", by="argocd-controller")
    c.status(app, by="argocd-controller", sync="Synced")
    c.wait(90)
    c.update(app, by="argocd-controller", revision="v2")
    shows(
        c,
        """
        Application.Create web  by argocd-controller  [root]

        Application.Update web  by argocd-controller  [root]
        """,
    )


def test_a_certificate_leads_to_its_request() -> None:
    c = Cluster()
    cert = c.apply("Certificate", "frontend")
    c.event(cert, "Issuing", "Issuing certificate as Secret does not exist", by="cert-manager-certificates-trigger")
    c.create("CertificateRequest", "frontend-1", owner=cert, by="cert-manager-certificates-request-manager")
    message = 'Created new CertificateRequest resource "frontend-1"'
    c.event(cert, "Requested", message, by="cert-manager-certificates-request-manager")
    shows(
        c,
        """
        Certificate.Create frontend  by kubectl  [root]
          Certificate.Issuing frontend  by cert-manager-certificates-trigger  [own]
          Certificate.Requested frontend  by cert-manager-certificates-request-manager  [owner]
            CertificateRequest.Create frontend-1  by cert-manager-certificates-request-manager  [subject]
        """,
    )


def test_a_job_that_went_missing_was_deleted() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    c.wait(60)
    job = c.create("Job", "backup-1", owner=cron)
    c.event(cron, "SuccessfulCreate", "Created job backup-1", by="cronjob-controller")
    c.wait(2)
    c.gone(job)
    c.event(cron, "MissingJob", "Active job went missing: backup-1", by="cronjob-controller")
    shows(
        c,
        """
        CronJob.Create backup  by kubectl  [root]

        (superseded)
        CronJob.SuccessfulCreate backup  by cronjob-controller  [root]
          Job.Create backup-1  by cronjob-controller  [subject]

        Job.Delete backup-1  by unknown  [root]
          CronJob.MissingJob backup  by cronjob-controller  [subject]
        """,
    )


def test_a_job_created_by_hand_from_a_cron_job_is_adopted() -> None:
    c = Cluster()
    cron = c.apply("CronJob", "backup", schedule="* * * * *")
    c.wait(60)
    job = c.create("Job", "by-hand", owner=cron, by="kubectl-create")
    message = "Saw a job that the controller did not create or forgot: by-hand"
    c.event(cron, "UnexpectedJob", message, by="cronjob-controller", warning=True)
    c.condition(job, "Complete", "True")
    shows(
        c,
        """
        CronJob.Create backup  by kubectl  [root]

        Job.Create by-hand  by kubectl  [root]
          CronJob.UnexpectedJob backup  by cronjob-controller  [subject] error
          Job.Complete by-hand  by job-controller  [own]
        """,
    )
