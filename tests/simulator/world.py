"""A cluster of two nodes with everything that runs in it, what people do there, and the recording of it."""

import copy
import gzip
import json
from pathlib import Path

from tests.simulator.cluster import Cluster
from tests.simulator.daemonsets import DaemonSets
from tests.simulator.deployments import Deployments
from tests.simulator.fields import Fields, of_labels, of_spec
from tests.simulator.garbage import Garbage
from tests.simulator.jobs import Jobs
from tests.simulator.kubelets import IMAGE, Kubelets
from tests.simulator.manager import Manager
from tests.simulator.nodes import Nodes, set_taints
from tests.simulator.objects import (
    RESOURCES,
    Obj,
    labels_of,
    micros,
    name_of,
    owner_of,
    set_condition,
    taints_of,
    uid_of,
)
from tests.simulator.people import Action, People
from tests.simulator.replicasets import ReplicaSets
from tests.simulator.reporters import Reporters
from tests.simulator.scheduler import Scheduler
from tests.simulator.statefulsets import StatefulSets
from tests.simulator.truth import Truth

LABEL = {"kubernetes.io/hostname": "", "pool": "real"}


class World:
    """``main`` is the object that the scenario is about, once it is made."""

    main: Obj

    def __init__(self, seed: int, namespace: str, late: float | None = None, dropped: float = 0.0) -> None:
        self.cluster = Cluster(seed, namespace, late)
        self.truth = Truth()
        self.people = People(self.cluster, self.truth)
        self.reporters = Reporters(self.cluster, self.truth, dropped)
        self.manager = Manager(self.cluster, self.reporters)
        self.reasons = self.manager.reasons
        for controller in (Deployments, ReplicaSets, StatefulSets, DaemonSets, Jobs):
            controller(self.manager)
        scheduler, self.kubelets = Scheduler(self.manager), Kubelets(self.manager)
        self.nodes = Nodes(self.manager, scheduler, self.kubelets, self.people)
        garbage = Garbage(self.manager)
        self.cluster.watchers += [self.manager.seen, scheduler.seen, self.kubelets.seen, self.nodes.seen, garbage.seen]
        self.add_node("node-a")
        self.add_node("node-b")
        self.cluster.create(
            "Namespace", namespace, {"finalizers": ["kubernetes"]}, by="kubectl-create", status={"phase": "Active"}
        )
        self.cluster.run(2)

    def wait(self, least: float, most: float | None = None) -> None:
        self.cluster.run(self.cluster.between(least, most or least * 1.2))

    def get(self, kind: str, name: str) -> Obj:
        found = self.cluster.get(kind, name)
        assert found is not None
        return found

    def pods(self, app: str) -> list[Obj]:
        return sorted((p for p in self.cluster.of_kind("Pod") if labels_of(p).get("app") == app), key=name_of)

    # what is made

    def add_node(self, name: str) -> None:
        node = self.cluster.create("Node", name, {}, by="kubelet", labels=LABEL | {"kubernetes.io/hostname": name})

        def change(o: Obj) -> None:
            set_condition(o, "Ready", "True", "KubeletReady", now=self.cluster.now)

        self.cluster.update(node, change, by="kubelet", subresource="status")

    def template(self, name: str, image: str, pod: Obj) -> Obj:
        container = {"name": name, "image": image, "resources": {"requests": {"cpu": "5m"}}}
        spec = {
            "containers": [container],
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 5,
            "schedulerName": "default-scheduler",
        }
        return {"metadata": {"labels": {"app": name}}, "spec": spec | pod}

    def deployment(
        self,
        name: str = "web",
        replicas: int = 2,
        image: str = "v1",
        *,
        by: str = "kubectl-client-side-apply",
        operation: str = "Update",
        pod: Obj | None = None,
    ) -> Obj:
        spec = {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": self.template(name, IMAGE + image, pod or {}),
            "strategy": {"type": "RollingUpdate"},
            "revisionHistoryLimit": 10,
        }
        annotations = {"kubectl.kubernetes.io/last-applied-configuration": "{}"}
        return self.people.create(
            "Deployment", name, spec, by=by, operation=operation, labels={"app": name}, annotations=annotations
        )

    def statefulset(self, name: str = "db", replicas: int = 3, strategy: Obj | None = None) -> Obj:
        spec = {
            "replicas": replicas,
            "serviceName": name,
            "podManagementPolicy": "OrderedReady",
            "selector": {"matchLabels": {"app": name}},
            "template": self.template(name, f"{IMAGE}v1", {}),
            "updateStrategy": strategy or {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
            "revisionHistoryLimit": 10,
        }
        return self.people.create("StatefulSet", name, spec, labels={"app": name})

    def daemonset(self, name: str = "agent", strategy: Obj | None = None, pod: Obj | None = None) -> Obj:
        rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
        spec = {
            "selector": {"matchLabels": {"app": name}},
            "template": self.template(name, f"{IMAGE}v1", pod or {}),
            "updateStrategy": strategy or rolling,
            "revisionHistoryLimit": 10,
        }
        return self.people.create("DaemonSet", name, spec, labels={"app": name})

    def job(self, name: str, image: str = "ok", **spec: int) -> Obj:
        template = self.template(name, f"registry.example.com/batch/{image}:v1", {"restartPolicy": "Never"})
        defaults = {"parallelism": 1, "completions": 1, "backoffLimit": 6, "template": template}
        return self.people.create("Job", name, defaults | spec, labels={"job-name": name})

    # what is changed

    def delete_pod(self, app: str, which: int) -> None:
        self.people.delete(self.pods(app)[which])

    def break_image(self, tag: str) -> None:
        """The registry does not know it."""
        self.kubelets.bad_images.add(IMAGE + tag)

    def set_image(self, o: Obj, image: str, by: str = "kubectl-set", operation: str = "Update") -> None:
        def change(new: Obj) -> None:
            new["spec"]["template"]["spec"]["containers"][0]["image"] = IMAGE + image

        container: Fields = {f'k:{{"name":"{name_of(o)}"}}': {"f:image": {}}}
        fields: Fields = {"f:spec": {"f:template": {"f:spec": {"f:containers": container}}}}
        self.people.update(o, change, fields, by=by, operation=operation)

    def scale(self, o: Obj, replicas: int) -> None:
        def change(new: Obj) -> None:
            new["spec"]["replicas"] = replicas

        self.people.update(o, change, of_spec("replicas"), by="kubectl", subresource="scale")

    def set_spec(self, o: Obj, by: str, **spec: object) -> None:
        self.people.update(o, lambda new: new["spec"].update(spec), of_spec(*spec), by=by)

    def pause(self, paused: bool) -> None:
        self.set_spec(self.main, "kubectl-rollout", paused=paused)

    def label(self, o: Obj, **labels: str | None) -> Action:
        def change(new: Obj) -> None:
            for key, value in labels.items():
                if value is None:
                    new["metadata"]["labels"].pop(key, None)
                else:
                    new["metadata"]["labels"][key] = value

        fields = of_labels(*labels)
        return self.people.update(o, change, fields, by="kubectl-label", generation=False, starts=False)

    def relabel_pod(self, pod: Obj, app: str) -> None:
        action = self.label(pod, app=app)
        self.reasons.relabelled[uid_of(pod)] = action["id"]

    def label_node(self, node: str, **labels: str | None) -> None:
        self.reasons.node_fits[node] = self.label(self.cluster.node(node), **labels)["id"]

    def annotate(self, o: Obj) -> None:
        value = f"x{self.cluster.version}"
        fields: Fields = {"f:metadata": {"f:annotations": {"f:note": {}}}}
        self.people.update(
            o,
            lambda new: new["metadata"].setdefault("annotations", {}).update(note=value),
            fields,
            by="kubectl-annotate",
            generation=False,
            starts=False,
        )

    def raise_quota(self, pods: int) -> None:
        def change(new: Obj) -> None:
            new["spec"]["hard"]["pods"] = str(pods)

        fields: Fields = {"f:spec": {"f:hard": {"f:pods": {}}}}
        action = self.people.update(self.get("ResourceQuota", "few"), change, fields)
        self.reasons.quota_raised = (self.cluster.now - 0.01, action["id"])

    # nodes

    def taint(self, name: str, taints: list[Obj]) -> None:
        def change(new: Obj) -> None:
            set_taints(new, [t for t in taints_of(new) if t["key"] != "dedicated"] + taints)

        action = self.people.update(self.cluster.node(name), change, of_spec("taints"), by="kubectl-taint")
        self.reasons.nodes[name] = self.reasons.node_fits[name] = action["id"]

    def cordon(self, name: str, on: bool = True) -> Action:
        def change(new: Obj) -> None:
            if on:
                new["spec"]["unschedulable"] = True
            else:
                new["spec"].pop("unschedulable", None)

        action = self.people.update(self.cluster.node(name), change, of_spec("unschedulable"), by="kubectl")
        self.reasons.nodes[name] = action["id"]
        return action

    def drain(self, name: str, *, every: float = 0.0, ahead: float = 0.0) -> None:
        """kubectl drain --ignore-daemonsets; ``ahead``: seconds between the cordon and the first eviction."""
        action = self.cordon(name)
        self.cluster.run(self.cluster.between(0.1, 0.3) + ahead)
        for pod in self.cluster.pods_on(name):
            if (owner_of(pod) or {}).get("kind") != "DaemonSet":
                self.nodes.evict(pod, action["id"])
                self.cluster.run(self.cluster.between(0.01, 0.05) + every)

    # recording

    def start_recording(self) -> float:
        """Lists everything, then the watches run. Returns when the lists were done."""
        cluster = self.cluster
        cluster.run(0.3)
        cluster.recording = True
        events = [series.written for series in self.reporters.series.values() if series.written]
        for kind, resource in RESOURCES.items():
            cluster.now += 0.01
            head = {"kind": f"{kind}List", "apiVersion": "v1", "metadata": {"resourceVersion": str(cluster.version)}}
            cluster.frames.append((cluster.now, resource, "LIST", head))
            for o in events if kind == "Event" else cluster.of_kind(kind):
                cluster.frames.append((cluster.now, resource, "LISTED", copy.deepcopy(o)))
            cluster.last_received[resource] = cluster.now
        return cluster.now

    def save(self, folder: Path, scenario: str, start: float) -> None:
        """Writes recording.jsonl.gz and truth.json, in the form of the real recordings."""
        folder.mkdir(parents=True, exist_ok=True)
        with gzip.open(folder / "recording.jsonl.gz", "wt") as out:
            for received, resource, type_, o in sorted(self.cluster.frames, key=lambda frame: frame[0]):
                frame = {"received": micros(received), "resource": resource, "type": type_, "object": o}
                out.write(json.dumps(frame) + "\n")
        document = self.truth.document(scenario, self.cluster.namespace, start)
        (folder / "truth.json").write_text(json.dumps(document, indent=1))
