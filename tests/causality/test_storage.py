"""Volumes and claims: why they are bound and released."""

from typing import Any

from tests.causality.actors import run
from tests.causality.cluster import MANAGER, Cluster, Thing
from tests.causality.drawing import shows

BINDER = "persistentvolume-controller"


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
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
        """,
    )


def test_a_claim_that_waits_for_its_first_consumer_continues_as_an_episode() -> None:
    c = Cluster()
    claim = c.apply("PersistentVolumeClaim", "data", storageClassName="fast")
    waiting = c.event(
        claim, "WaitForFirstConsumer", "waiting for first consumer to be created before binding", by=BINDER
    )
    c.wait(100)
    pod = c.create("Pod", "lone", by="kubectl-run", containers=[])
    c.repeat(waiting)
    c.event(claim, "Provisioning", "External provisioner is provisioning volume", by="ebs.csi.aws.com_x")
    disk = c.create("PersistentVolume", "pvc-1", by="csi-provisioner", claimRef=refer(claim))
    c.event(claim, "ProvisioningSucceeded", "Successfully provisioned volume pvc-1", by="ebs.csi.aws.com_x")
    c.status(disk, phase="Bound")
    c.update(claim, by=MANAGER, volumeName="pvc-1")
    c.status(claim, phase="Bound")
    run(c, pod)
    shows(
        c,
        """
        PersistentVolumeClaim.Create data  by kubectl  [root]
          PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]

        Pod.Create lone  by kubectl  [root]
          Pod.Scheduled lone  by default-scheduler  [own]
          Pod.Started lone  by kubelet  [own]
          Pod.Ready lone  by kubelet  [own]

        (continues PersistentVolumeClaim.Create data trace)
        PersistentVolumeClaim.WaitForFirstConsumer data  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Provisioning data  by ebs.csi.aws.com_x  [own]
          PersistentVolumeClaim.ProvisioningSucceeded data  by ebs.csi.aws.com_x  [owner]
            PersistentVolume.Create pvc-1  by ebs.csi.aws.com_x  [subject]
              PersistentVolume.Bound pvc-1  by persistentvolume-controller  [own]
          PersistentVolumeClaim.Update data  by persistentvolume-controller  [own]
            PersistentVolumeClaim.Bound data  by persistentvolume-controller  [own]
        """,
    )
