"""What is deployed has the rights that watching needs, and no others."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from kspan.cli.commands.run import run_daemon
from kspan.cli.options import parse_duration
from kspan.cli.syntax.ingest import run
from kspan.emit.targets import parse_target
from kspan.ingest.watch.resources.selection import Selection
from kspan.k8s.resources import ADDITIONAL, CRDS, DEFAULT, WatchTarget
from kspan.store.location import locate
from kspan.web.server import parse_listen

ROOT = Path(__file__).parents[2]
MANIFEST = ROOT / "deploy" / "kubernetes.yaml"
DOCKERFILE = ROOT / "Dockerfile"

OBJECTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text(encoding="utf-8")))


def the(kind: str, name: str = "kspan") -> dict[str, Any]:
    (found,) = [o for o in OBJECTS if o["kind"] == kind and o["metadata"]["name"] == name]
    return found


def pod() -> dict[str, Any]:
    spec: dict[str, Any] = the("StatefulSet")["spec"]["template"]["spec"]
    return spec


def container() -> dict[str, Any]:
    (found,) = pod()["containers"]
    return found  # type: ignore[no-any-return]


def rules() -> list[dict[str, Any]]:
    return [rule for o in OBJECTS if o["kind"] == "ClusterRole" for rule in o["rules"]]


def granted(*roles: str) -> set[tuple[str, str]]:
    """Group and resource of everything that these ClusterRoles allow; without names, that all of them allow."""
    found = [rule for name in roles for rule in the("ClusterRole", name)["rules"]] if roles else rules()
    return {(group, resource) for rule in found for group in rule["apiGroups"] for resource in rule["resources"]}


def names(targets: tuple[WatchTarget, ...]) -> set[tuple[str, str]]:
    return {(target.group, target.plural) for target in targets}


def test_all_namespaced_objects_are_in_the_namespace() -> None:
    assert OBJECTS[0]["kind"] == "Namespace"
    namespaced = {o["metadata"].get("namespace") for o in OBJECTS if not o["kind"].startswith(("Cluster", "Namesp"))}
    assert namespaced == {"kspan"}


def test_all_rights_are_read_only_and_without_wildcards() -> None:
    for rule in rules():
        assert rule["verbs"] == ["get", "list", "watch"]
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in rule["apiGroups"] + rule["resources"]
    assert "secrets" not in {resource for _, resource in granted()}


def test_the_rights_are_those_of_the_default_resources_and_of_what_owns_pods() -> None:
    assert granted("kspan-default") == names((*DEFAULT, CRDS)) | {("", "replicationcontrollers")}


def test_the_rights_for_additional_kinds_are_a_role_of_their_own() -> None:
    assert granted("kspan-additional") == names(ADDITIONAL)
    assert granted() == granted("kspan-default", "kspan-additional")


def test_what_is_asked_for_by_default_is_allowed_and_nothing_else() -> None:
    default = inspect.signature(run).parameters
    selection = Selection(
        additional_kinds=default["additional_kinds"].default, secrets=default["watch_secrets"].default
    )
    asked = names((*selection.defaults(), *selection.additional(), CRDS))
    assert granted() == asked | {("", "replicationcontrollers")}


def test_the_pod_uses_the_service_account_with_the_rights() -> None:
    selector = the("ClusterRole")["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]
    for name in ("kspan-default", "kspan-additional"):
        assert selector.items() <= the("ClusterRole", name)["metadata"]["labels"].items()
    binding = the("ClusterRoleBinding")
    assert binding["roleRef"] == {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kspan"}
    assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "kspan", "namespace": "kspan"}]
    assert pod()["serviceAccountName"] == the("ServiceAccount")["metadata"]["name"]
    assert pod()["automountServiceAccountToken"] is True


def test_there_is_one_replica_with_its_own_volume() -> None:
    spec = the("StatefulSet")["spec"]
    assert spec["replicas"] == 1
    (claim,) = spec["volumeClaimTemplates"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    database = next(a for a in container()["args"] if a.startswith("--db=")).removeprefix("--db=")
    path = locate(database).path
    assert path is not None
    assert path.parent == Path(mounts[claim["metadata"]["name"]])


def test_the_pod_has_no_privileges() -> None:
    security, own = pod()["securityContext"], container()["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert own["allowPrivilegeEscalation"] is False
    assert own["readOnlyRootFilesystem"] is True
    assert own["capabilities"] == {"drop": ["ALL"]}
    assert {"cpu", "memory"} <= set(container()["resources"]["limits"])
    assert {"cpu", "memory"} <= set(container()["resources"]["requests"])


def test_the_probes_use_the_address_of_the_daemon() -> None:
    (port,) = container()["ports"]
    listen = next(a for a in container()["args"] if a.startswith("--listen=")).removeprefix("--listen=")
    assert parse_listen(listen) == ("0.0.0.0", port["containerPort"])  # noqa: S104
    paths = {name: container()[name]["httpGet"]["path"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": "/readyz"}
    assert all(container()[name]["httpGet"]["port"] == port["name"] for name in paths)
    assert pod()["terminationGracePeriodSeconds"] > 10


def test_the_arguments_are_valid() -> None:
    command, *options = container()["args"]
    assert command == "run"
    given = dict(option.removeprefix("--").split("=", 1) for option in options)
    assert set(given) <= set(inspect.signature(run_daemon).parameters)
    parse_target(given["export"])
    parse_duration(given["retention"], "--retention")


# The image ------------------------------------------------------------------------------------------------------------


def lines() -> list[str]:
    return re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8")).splitlines()


def test_the_image_and_the_manifest_use_the_same_user() -> None:
    (user,) = [line.removeprefix("USER ") for line in lines() if line.startswith("USER ")]
    security = pod()["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert security["fsGroup"] == security["runAsGroup"]


def test_the_image_contains_no_build_caches() -> None:
    assert [line for line in lines() if line.startswith("FROM ")] == [
        "FROM python:3.12-slim AS build",
        "FROM python:3.12-slim",
    ]
    installs = [line for line in lines() if "pip install" in line]
    assert installs
    assert all("--no-cache-dir" in line and "--constraint constraints.txt" in line for line in installs)


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt", "LICENSE", "alembic.ini", "migrations", "kspan"])
def test_the_files_that_the_image_copies_exist_and_are_not_ignored(name: str) -> None:
    assert (ROOT / name).exists()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert f"!{name}" in ignored
    assert any(line.startswith("COPY ") and name in line.split() for line in lines())


def test_services_of_the_namespace_set_no_settings() -> None:
    # Of a Service called kspan the kubelet would make KSPAN_PORT, KSPAN_SERVICE_HOST ...
    assert pod()["enableServiceLinks"] is False
