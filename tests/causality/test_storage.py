"""Volumes and claims: why they are bound and released."""

from typing import Any

import pytest

from tests.causality.actors import done, new_pod, run
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import shows

BINDER = "persistentvolume-controller"
STS = "statefulset-controller"


def refer(claim: Thing) -> dict[str, Any]:
    meta = claim.meta
    return {"kind": claim.kind, "namespace": meta["namespace"], "name": claim.name, "uid": meta["uid"]}


def bound(c: Cluster, reclaim: str) -> tuple[Thing, Thing]:
    """An existing volume and the claim that it is bound to: (volume, claim)."""
    disk = c.create("PersistentVolume", "disk", by="kubectl-create", persistentVolumeReclaimPolicy=reclaim)
    c.status(disk, phase="Available")
    c.first_list()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="")
    c.status(claim, phase="Pending")
    c.update(disk, by=MANAGER, claimRef=refer(claim))
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    c.wait(60)
    return disk, claim


def test_a_volume_is_bound_released_and_deleted_because_of_its_claim() -> None:
    c = Cluster()
    disk, claim = bound(c, "Delete")
    c.delete(claim, finalizers=("kubernetes.io/pvc-protection",))
    c.gone(claim)
    c.status(disk, phase="Released")
    c.gone(disk)
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolume.Update disk  by persistentvolume-controller  [owner]
            PersistentVolume.Bound disk  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]

        PersistentVolumeClaim.Delete data  by unknown  [root]
          PersistentVolume.Released disk  by persistentvolume-controller  [owner]
          PersistentVolume.Delete disk  by persistentvolume-controller  [owner]
        """,
    )


def test_the_deletion_of_a_retained_volume_is_a_root() -> None:
    c = Cluster()
    disk, claim = bound(c, "Retain")
    c.gone(claim)
    c.status(disk, phase="Released")
    c.wait(60)
    c.gone(disk)
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolume.Update disk  by persistentvolume-controller  [owner]
            PersistentVolume.Bound disk  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]

        PersistentVolumeClaim.Delete data  by unknown  [root]
          PersistentVolume.Released disk  by persistentvolume-controller  [owner]

        PersistentVolume.Delete disk  by unknown  [root]
        """,
    )


def test_a_volume_provisioned_without_an_event_is_caused_by_its_claim() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="fast")
    c.wait(1)
    disk = c.create("PersistentVolume", "pvc-1", by="csi-provisioner", claimRef=refer(claim))
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="pvc-1")
    c.status(claim, phase="Bound")
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolume.Create pvc-1  by csi-provisioner  [owner]
            PersistentVolume.Bound pvc-1  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Update data  by persistentvolume-controller  [subject]
              PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
        """,
    )


WAITING = "waiting for first consumer to be created before binding"
DRIVER = "ebs.csi.aws.com_x"


def mounting(c: Cluster, claim: str, name: str = "lone", **volume: Any) -> Thing:
    volumes = [{"name": "files", **(volume or {"persistentVolumeClaim": {"claimName": claim}})}]
    return c.create("Pod", name, by="kubectl-run", containers=[], volumes=volumes)


def waiting_claim(c: Cluster, name: str = "data", *, owner: Thing | None = None) -> Thing:
    """A claim that has waited for a Pod for so long that its trace is closed."""
    by = MANAGER if owner is not None else "kubectl-client-side-apply"
    claim = c.create("PersistentVolumeClaim", name, by=by, owner=owner, storageClassName="late")
    c.status(claim, phase="Pending")
    c.event(claim, "WaitForFirstConsumer", WAITING, by=BINDER)
    c.wait(100)
    return claim


def test_a_volume_is_provisioned_and_bound_because_of_the_pod_for_which_the_claim_waited() -> None:
    c = Cluster()
    claim = waiting_claim(c)
    pod = mounting(c, "data")
    other = mounting(c, "other", "other")
    c.event(claim, "WaitForPodScheduled", "waiting for pod lone to be scheduled", by=BINDER)
    c.event(claim, "Provisioning", "External provisioner is provisioning volume", by=DRIVER)
    disk = c.create("PersistentVolume", "pvc-1", by="csi-provisioner", claimRef=refer(claim))
    c.event(claim, "ProvisioningSucceeded", "Successfully provisioned volume pvc-1", by=DRIVER)
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="pvc-1")
    c.status(claim, phase="Bound")
    run(c, pod)
    run(c, other)
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]

        Pod.Create lone  by kubectl  [root]
          PersistentVolumeClaim.WaitForPodScheduled data  by persistentvolume-controller  [subject]
          PersistentVolumeClaim.Provisioning data  by ebs.csi.aws.com_x  [subject]
          PersistentVolumeClaim.ProvisioningSucceeded data  by ebs.csi.aws.com_x  [subject]
            PersistentVolume.Create pvc-1  by ebs.csi.aws.com_x  [subject]
              PersistentVolume.Bound pvc-1  by persistentvolume-controller  [own]
              PersistentVolumeClaim.Update data  by persistentvolume-controller  [subject]
                PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        Pod.Create other  by kubectl  [root]
          Pod.Scheduled other  by default-scheduler  [own]
          Pod.Started other  by kubelet  [own]
          Pod.Ready other  by kubelet  [own]
        """,
    )


@pytest.mark.parametrize("watched", [True, False], ids=["volumes watched", "volumes not watched"])
def test_a_volume_of_an_administrator_is_bound_because_of_the_pod_for_which_the_claim_waited(watched: bool) -> None:
    """The scheduler reserves the volume, then the persistentvolume-controller binds it."""
    c = Cluster()
    disk = c.create("PersistentVolume", "disk", by="kubectl-create")
    c.status(disk, phase="Available")
    claim = waiting_claim(c)
    pod = mounting(c, "data")
    c.update(disk, by="kube-scheduler", claimRef=refer(claim))
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    run(c, pod)
    if not watched:
        c.records = [record for record in c.records if record.kind != "PersistentVolume"]
    created = """
        PersistentVolume.Create disk  by kubectl  [root]
"""
    volume = """
          PersistentVolume.Update disk  by kube-scheduler  [subject]
            PersistentVolume.Bound disk  by persistentvolume-controller  [own]"""
    shows(
        c,
        f"""{created if watched else ""}
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]

        Pod.Create lone  by kubectl  [root]{volume if watched else ""}
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [subject]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )


def test_a_claim_is_bound_because_a_volume_for_it_was_created() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="")
    c.status(claim, phase="Pending")
    c.event(claim, "FailedBinding", "no persistent volumes available for this claim", by=BINDER)
    pod = mounting(c, "data")
    c.wait(100)
    disk = c.create("PersistentVolume", "disk", by="kubectl-create")
    c.status(disk, phase="Available")
    c.update(disk, by=MANAGER, claimRef=refer(claim))
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    run(c, pod)
    shows(
        c,
        """
        (failing)
        PersistentVolumeClaim.Create data  by kubectl  [root] error
          PersistentVolumeClaim.FailedBinding data  by persistentvolume-controller  [own]

        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        PersistentVolume.Create disk  by kubectl  [root]
          PersistentVolume.Update disk  by persistentvolume-controller  [own]
            PersistentVolume.Bound disk  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [subject]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
        """,
    )


def test_the_claims_of_a_stateful_set_are_bound_by_another_controller_than_their_owners() -> None:
    """With persistentVolumeClaimRetentionPolicy the StatefulSet owns its claims."""
    c = Cluster()
    c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    db = c.apply("StatefulSet", "db")
    claim = c.create("PersistentVolumeClaim", "data-db-0", owner=db, storageClassName="")
    c.event(db, "SuccessfulCreate", "Create Claim data-db-0 Pod db-0 in StatefulSet db success", by=STS)
    new_pod(c, db, "db-0", message="Create Pod db-0 in StatefulSet db successful")
    c.wait(3)
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    done(c, db)
    shows(
        c,
        """
        (incomplete)
        StatefulSet.Create db  by kubectl  [root]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            PersistentVolumeClaim.Create data-db-0  by statefulset-controller  [subject]
              PersistentVolumeClaim.Update data-db-0  by persistentvolume-controller  [own]
                PersistentVolumeClaim.Bound data-db-0  by persistentvolume-controller  [own]
          StatefulSet.SuccessfulCreate db  by statefulset-controller  [owner]
            Pod.Create db-0  by statefulset-controller  [subject]
        """,
    )


def test_the_claim_of_an_ephemeral_volume_is_bound_because_of_its_pod() -> None:
    c = Cluster()
    c.create("Namespace", "shop", by="kubectl-create")
    c.first_list()
    pod = mounting(c, "", ephemeral={"volumeClaimTemplate": {"spec": {}}})
    claim = c.create("PersistentVolumeClaim", "lone-files", owner=pod, storageClassName="late")
    c.event(claim, "WaitForFirstConsumer", WAITING, by=BINDER)
    c.update(claim, by=MANAGER, volumeName="disk")
    c.status(claim, phase="Bound")
    run(c, pod)
    shows(
        c,
        """
        Pod.Create lone  by kubectl  [root]
          PersistentVolumeClaim.Create lone-files  by kube-controller-manager  [owner]
            PersistentVolumeClaim.WaitForFirstConsumer lone-files  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Update lone-files  by persistentvolume-controller  [own]
              PersistentVolumeClaim.Bound lone-files  by persistentvolume-controller  [own]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]
        """,
    )
