"""The patch and the summary of a change."""

import json
from typing import Any

from kspan.vocabulary import CHANGE, CHANGE_SUMMARY
from tests.causality.actors import done, kill, new_pod, only, run
from tests.causality.cluster import Cluster, Thing
from tests.causality.drawing import CLUSTER
from tests.recordings import fold


def reported(c: Cluster) -> tuple[list[dict[str, Any]], str]:
    """The patch and the summary of the only change."""
    (row,) = [row for row in fold(CLUSTER, c.records)["spans"] if row["reason"] == "Update"]
    return json.loads(row["attributes"].get(CHANGE, "[]")), row["attributes"].get(CHANGE_SUMMARY, "")


def containers(**more: Any) -> dict[str, Any]:
    return {"template": {"metadata": {"labels": {}}, "spec": {"containers": [{"name": "app", **more}]}}}


def deployment(**spec: Any) -> tuple[Cluster, Thing]:
    c = Cluster()
    web = c.apply("Deployment", "web", **spec)
    web.raw["spec"] |= spec
    c.first_list()
    return c, web


def test_a_change_has_a_patch_and_a_readable_summary() -> None:
    c, web = deployment(replicas=2, **containers(image="web:v1"))
    c.update(web, replicas=4, **containers(image="web:v2"))
    image = "/spec/template/spec/containers/0/image"
    patch, summary = reported(c)
    assert sorted(patch, key=lambda op: str(op["path"])) == [
        {"op": "replace", "path": "/spec/replicas", "value": 4},
        {"op": "replace", "path": image, "value": "web:v2"},
    ]
    assert sorted(summary.split(", ")) == ["app.image: web:v1 → web:v2", "replicas: 2 → 4"]


def test_labels_and_annotations_that_change_with_the_spec_are_in_the_patch_except_copies_of_the_spec() -> None:
    c, web = deployment(replicas=1)
    web.meta["labels"] = {"app": "web", "team": "blue"}
    web.meta["annotations"] = {"deployment.kubernetes.io/revision": "2", "example.com/ticket": "OPS-7"}
    web.meta["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] = '{"spec":{"replicas":2}}'
    c.update(web, replicas=2)
    patch, summary = reported(c)
    assert {op["path"] for op in patch} == {
        "/spec/replicas",
        "/metadata/labels/team",
        "/metadata/annotations/example.com~1ticket",
    }
    assert sorted(summary.split(", ")) == [
        "annotations.example.com/ticket: OPS-7",
        "labels.team: blue",
        "replicas: 1 → 2",
    ]


def test_a_label_change_that_had_an_effect_is_a_span() -> None:
    c = Cluster()
    host = c.create("Node", "node-a", by="kubelet", labels={"disk": "ssd"})
    agent = c.apply("DaemonSet", "agent")
    pod = new_pod(c, agent, "agent-a", affinity=only("node-a"))
    run(c, pod)
    done(c, agent)
    c.first_list()
    c.label(host, disk="hdd")
    kill(c, pod, by=agent)
    c.gone(pod)
    patch, summary = reported(c)
    assert patch == [{"op": "replace", "path": "/metadata/labels/disk", "value": "hdd"}]
    assert summary == "labels.disk: ssd → hdd"


def test_values_of_environment_variables_and_data_are_redacted() -> None:
    c, web = deployment(**containers(env=[{"name": "PASSWORD", "value": "hunter2"}], image="web:v1"))
    c.update(web, **containers(env=[{"name": "PASSWORD", "value": "hunter3"}, {"name": "B", "value": "x"}], image="v2"))
    patch, summary = reported(c)
    assert "hunter" not in json.dumps(patch) + summary
    assert "image" in summary
    widget = c.apply("Widget", "a", data={"key": "secret one"}, size=1)
    c.first_list()
    c.update(widget, data={"key": "secret two"}, size=2)
    patch, summary = reported(c)
    assert patch == [{"op": "replace", "path": "/spec/size", "value": 2}]
    assert summary == "size: 1 → 2"


def test_a_patch_that_is_too_large_is_omitted_but_its_summary_is_kept() -> None:
    c, web = deployment(**containers(args=["x"]))
    c.update(web, **containers(args=["y" * 5000]))
    patch, summary = reported(c)
    assert patch == []
    assert summary.startswith("app.args: x → yyy")
    assert len(summary) <= 160


def running_pod() -> tuple[Cluster, Thing]:
    c = Cluster()
    requests = {"requests": {"cpu": "100m"}}
    pod = c.create(
        "Pod", "lone", by="kubectl-run", containers=[{"name": "app", "image": "app:v1", "resources": requests}]
    )
    c.bind(pod, "node-a")
    c.first_list()
    return c, pod


def test_a_resize_says_of_which_container() -> None:
    c, pod = running_pod()
    resources = {"requests": {"cpu": "200m"}, "limits": {"memory": "64Mi"}}
    app = {"name": "app", "image": "app:v1", "resources": resources}
    c.update(pod, by="kubectl-patch", subresource="resize", containers=[app])
    patch, summary = reported(c)
    assert summary == "app.resources.limits.memory: 64Mi, app.resources.requests.cpu: 100m → 200m"
    assert patch[0]["path"] == "/spec/containers/0/resources/limits"


def test_an_ephemeral_container_has_its_name_and_image() -> None:
    c, pod = running_pod()
    look = {"name": "look", "image": "busybox:1", "targetContainerName": "app"}
    c.update(pod, by="kubectl-debug", subresource="ephemeralcontainers", ephemeralContainers=[look])
    assert reported(c)[1] == "ephemeralContainers.look added: busybox:1"


def test_a_new_image_of_a_running_pod_is_described_also_after_its_status_changed() -> None:
    c, pod = running_pod()
    c.status(pod, by="kubelet", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    c.update(pod, by="kubectl-set", containers=[{"name": "app", "image": "app:v2"}])
    assert "app.image: app:v1 → app:v2" in reported(c)[1]


def test_bookkeeping_of_controllers_is_no_part_of_a_change() -> None:
    c = Cluster()
    agent = c.apply("DaemonSet", "agent")
    agent.raw["spec"] |= containers(image="agent:v1")
    agent.meta["annotations"] = {"deprecated.daemonset.template.generation": "1"}
    c.first_list()
    agent.meta["annotations"] = {"deprecated.daemonset.template.generation": "2"}
    c.update(agent, **containers(image="agent:v2"))
    patch, summary = reported(c)
    assert summary == "app.image: agent:v1 → agent:v2"
    assert len(patch) == 1
