"""The kubelets: pkg/kubelet (images/image_manager.go with its back-off, kuberuntime, the status manager).

One container a Pod. A Pod's Events carry the version that the kubelet saw first, as its own Pod cache does.
"""

import copy

from tests.simulator.manager import Manager
from tests.simulator.objects import Obj, deleting, seconds, set_condition, uid_of

IMAGE = "registry.example.com/shop/web:"
BAD_JOB = "registry.example.com/batch/bad:v1"


class Kubelets:
    def __init__(self, manager: Manager) -> None:
        self.manager, self.cluster = manager, manager.cluster
        self.images: dict[str, set[str]] = {}
        self.bad_images: set[str] = set()
        self.dead: set[str] = set()
        self.first_seen: dict[str, str] = {}

    def seen(self, _type: str, old: Obj | None, pod: Obj) -> None:
        node = pod["spec"].get("nodeName") if pod["kind"] == "Pod" else None
        if not node or node in self.dead:
            return
        uid, version = uid_of(pod), pod["metadata"]["resourceVersion"]
        if old is None or not old["spec"].get("nodeName"):
            self.cluster.after(self.cluster.between(0.02, 0.06), lambda: self.start(uid, node, version))
        elif deleting(pod) and not deleting(old):
            self.cluster.after(self.cluster.between(0.01, 0.04), lambda: self.kill(uid, node))

    def start(self, uid: str, node: str, version: str) -> None:
        if uid in self.cluster.stored and node not in self.dead:
            self.first_seen[uid] = version
            Start(self, uid, node).begin()

    def complete(self, uid: str) -> None:
        """The container of a Job's Pod ends."""
        pod = self.cluster.stored.get(uid)
        if pod is None or deleting(pod):
            return
        good = pod["spec"]["containers"][0]["image"] != BAD_JOB

        def change(o: Obj) -> None:
            o["status"]["phase"] = "Succeeded" if good else "Failed"
            set_condition(o, "Ready", "False", "PodCompleted" if good else "PodFailed", now=self.cluster.now)

        self.cluster.update(pod, change, by="kubelet", subresource="status")

    def kill(self, uid: str, node: str) -> None:
        """SyncTerminatingPod: Killing is reported, the container ends, the status is written, the Pod is removed."""
        pod, cluster = self.cluster.stored.get(uid), self.cluster
        if pod is None or node in self.dead:
            return
        running = pod["status"].get("phase") == "Running"
        if running:
            cause, above = cluster.deleted_by.get(uid, (None, None))
            container = pod["spec"]["containers"][0]["name"]
            self.manager.reporters.event(
                "kubelet",
                pod,
                "Killing",
                f"Stopping container {container}",
                host=node,
                field_path=f"spec.containers{{{container}}}",
                cause=cause,
                above=above,
                version=self.first_seen.get(uid),
            )
        grace = pod["metadata"].get("deletionGracePeriodSeconds", 5)
        delay = min(grace, cluster.between(0.2, 1.5)) if running else 0.02
        cluster.after(delay, lambda: self._killed(uid, node, running))

    def _killed(self, uid: str, node: str, running: bool) -> None:
        if uid not in self.cluster.stored or node in self.dead:
            return

        def change(o: Obj) -> None:
            o["status"]["phase"] = "Succeeded"
            set_condition(o, "Ready", "False", "PodCompleted", now=self.cluster.now)

        if running:
            self.cluster.update(self.cluster.stored[uid], change, by="kubelet", subresource="status")
        self.cluster.after(self.cluster.between(0.2, 0.9), lambda: self._remove(uid))

    def _remove(self, uid: str) -> None:
        if uid in self.cluster.stored:
            self.cluster.delete(self.cluster.stored[uid], grace=0, kubelet=True)


class Start:
    """One Pod's way to Running: pull (or fail, back off and try again), create, start, ready."""

    def __init__(self, kubelets: Kubelets, uid: str, node: str) -> None:
        self.kubelets, self.cluster = kubelets, kubelets.cluster
        self.uid, self.node = uid, node
        self.pod: Obj = copy.deepcopy(self.cluster.stored[uid])
        self.container = self.pod["spec"]["containers"][0]["name"]
        self.image = self.pod["spec"]["containers"][0]["image"]
        self.present = kubelets.images.setdefault(node, {f"{IMAGE}v1"})

    def alive(self) -> bool:
        stored = self.cluster.stored.get(self.uid)
        return stored is not None and not deleting(stored) and self.node not in self.kubelets.dead

    def report(self, reason: str, message: str, *, warning: bool = False) -> None:
        cause, above = self.cluster.birth(self.uid)
        self.kubelets.manager.reporters.event(
            "kubelet",
            self.pod,
            reason,
            message,
            warning=warning,
            host=self.node,
            field_path=f"spec.containers{{{self.container}}}",
            cause=cause,
            above=above,
            version=self.kubelets.first_seen[self.uid],
        )

    def begin(self) -> None:
        def change(o: Obj) -> None:
            now = self.cluster.now
            first = {"phase": "Pending", "startTime": seconds(now), "hostIP": "192.0.2.2", "observedGeneration": 1}
            o["status"].update(first)
            set_condition(o, "PodReadyToStartContainers", "False", now=now)
            set_condition(o, "Initialized", "True", now=now)
            set_condition(o, "Ready", "False", "ContainersNotReady", now=now)
            set_condition(o, "ContainersReady", "False", "ContainersNotReady", now=now)

        if self.alive():
            self.cluster.update(self.pod, change, by="kubelet", subresource="status")
        self.cluster.after(self.cluster.between(0.3, 0.7), self.pull)

    def pull(self, tries: int = 0) -> None:
        if not self.alive():
            return
        if self.image in self.present:
            self._pulled(f'Container image "{self.image}" already present on machine and can be accessed by the pod')
            return
        self.report("Pulling", f'Pulling image "{self.image}"')
        self.cluster.after(self.cluster.between(0.1, 0.5), lambda: self._answered(tries))

    def _answered(self, tries: int) -> None:
        if not self.alive():
            return
        if self.image in self.kubelets.bad_images:
            self._failed(tries)
            return
        self.present.add(self.image)
        size = "Image size: 1033295 bytes."
        self._pulled(f'Successfully pulled image "{self.image}" in 210ms (210ms including waiting). {size}')

    def _failed(self, tries: int) -> None:
        """Back-off of 10 s, doubled up to 300 s, reported at each sync of the Pod."""
        image = self.image
        why = "failed to pull and unpack image"
        message = f'Failed to pull image "{image}": {why} "{image}": failed to resolve reference: not found'
        self.report("Failed", message, warning=True)
        self.report("Failed", "Error: ErrImagePull", warning=True)
        wait = min(300, 10 * 2**tries)
        ends = self.cluster.now + wait
        self.cluster.after(self.cluster.between(0.5, 2), lambda: self._back_off(ends))
        self.cluster.after(wait + self.cluster.between(0, 5), lambda: self.pull(tries + 1))

    def _back_off(self, ends: float) -> None:
        if not self.alive() or self.cluster.now >= ends:
            return
        self.report("BackOff", f'Back-off pulling image "{self.image}"')
        self.report("Failed", "Error: ImagePullBackOff", warning=True)
        self.cluster.after(self.cluster.between(11, 15), lambda: self._back_off(ends))

    def _pulled(self, message: str) -> None:
        self.report("Pulled", message)
        self.cluster.after(self.cluster.between(0.02, 0.06), self._created)

    def _created(self) -> None:
        if self.alive():
            self.report("Created", "Container created")
            self.cluster.after(self.cluster.between(0.05, 0.2), self._started)

    def _started(self) -> None:
        if self.alive():
            self.report("Started", "Container started")
            self.cluster.after(self.cluster.between(0.01, 0.08), self._running)

    def _running(self) -> None:
        if not self.alive():
            return

        def change(o: Obj) -> None:
            o["status"].update(phase="Running", podIP=f"203.0.113.{self.cluster.random.randrange(2, 250)}")
            for condition in ("PodReadyToStartContainers", "Ready", "ContainersReady"):
                set_condition(o, condition, "True", now=self.cluster.now)

        self.cluster.update(self.cluster.stored[self.uid], change, by="kubelet", subresource="status")
        if self.pod["spec"].get("restartPolicy") == "Never":
            self.cluster.after(self.cluster.between(2, 4), lambda: self.kubelets.complete(self.uid))
