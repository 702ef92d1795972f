"""What is deployed has the rights that watching needs, and no others, whatever the values of the chart are."""

import re
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from kspan.cli.app import app
from kspan.cli.commands.serve import Asking
from kspan.cli.options import Auth, Authorize, parse_duration
from kspan.cli.sources.services import _service
from kspan.emit.targets import parse_target
from kspan.ingest.watch.resources.selection import Selection
from kspan.k8s.resources import ADDITIONAL, CRDS, DEFAULT, WatchTarget
from kspan.store.location import locate
from kspan.web.server import parse_listen
from tests.deploy.chart import GOLDEN, MANIFEST, ROOT, VALUES

DOCKERFILE = ROOT / "Dockerfile"
THE_MANIFEST = "deploy/kubernetes.yaml"


class Deployed:
    """The objects of a rendering of the chart, or of deploy/kubernetes.yaml."""

    def __init__(self, name: str) -> None:
        text = (MANIFEST if name == THE_MANIFEST else GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
        self.values = VALUES["default" if name == THE_MANIFEST else name]
        self.all = [o for o in yaml.safe_load_all(text) if o]
        self.objects = [o for o in self.all if "helm.sh/hook" not in o["metadata"].get("annotations", {})]

    def the(self, kind: str, name: str | None = None) -> dict[str, Any]:
        (found,) = [o for o in self.objects if o["kind"] == kind and name in (None, o["metadata"]["name"])]
        return found  # type: ignore[no-any-return]

    @property
    def prefix(self) -> str:
        """What the names of the cluster-wide objects start with."""
        (found,) = [o for o in self.objects if o["kind"] == "ClusterRole" and "aggregationRule" in o]
        return str(found["metadata"]["name"])

    def workload(self) -> dict[str, Any]:
        return self.the("Deployment" if "existingSecret" in self.values else "StatefulSet")

    def pod(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.workload()["spec"]["template"]["spec"]
        return spec

    def container(self) -> dict[str, Any]:
        (found,) = self.pod()["containers"]
        return found  # type: ignore[no-any-return]

    def arguments(self) -> dict[str, Any]:
        """What ``kspan run`` makes of the arguments: the parser of the command, without running it."""
        command, *options = self.container()["args"]
        group = typer.main.get_command(app)
        assert isinstance(group, typer.core.TyperGroup)
        return group.commands[command].make_context(command, [o for o in options if "--config" not in o]).params

    def watched(self) -> list[dict[str, Any]]:
        """The ClusterRoles that add to what kspan may watch."""
        label = {"kspan/watch": "true"}
        return [
            o
            for o in self.objects
            if o["kind"] == "ClusterRole" and label.items() <= o["metadata"].get("labels", {}).items()
        ]

    def granted(self, *roles: str) -> set[tuple[str, str]]:
        """Group and resource of everything that these ClusterRoles allow; without names, that all of them allow."""
        found = [
            rule
            for role in self.watched()
            if not roles or role["metadata"]["name"].removeprefix(self.prefix + "-") in roles
            for rule in role["rules"]
        ]
        return {(group, resource) for rule in found for group in rule["apiGroups"] for resource in rule["resources"]}

    def extra(self) -> set[tuple[str, str]]:
        """What rbac.extraRules add."""
        rules = self.values.get("rbac", {}).get("extraRules", [])
        return {(group, resource) for rule in rules for group in rule["apiGroups"] for resource in rule["resources"]}


@pytest.fixture(params=[THE_MANIFEST, *VALUES])
def deployed(request: pytest.FixtureRequest) -> Deployed:
    return Deployed(request.param)


def names(targets: tuple[WatchTarget, ...]) -> set[tuple[str, str]]:
    return {(target.group, target.plural) for target in targets}


def test_all_namespaced_objects_are_in_the_namespace(deployed: Deployed) -> None:
    namespaced = {
        o["metadata"].get("namespace") for o in deployed.all if not o["kind"].startswith(("Cluster", "Namesp"))
    }
    assert namespaced == {"kspan"}


def test_the_manifest_creates_its_namespace_first() -> None:
    assert Deployed(THE_MANIFEST).objects[0]["kind"] == "Namespace"


def test_all_rights_to_watch_are_read_only_and_without_wildcards(deployed: Deployed) -> None:
    for rule in (rule for role in deployed.watched() for rule in role["rules"]):
        assert rule["verbs"] == ["get", "list", "watch"]
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in rule["apiGroups"] + rule["resources"]
    assert "secrets" not in {resource for _, resource in deployed.granted()}


def test_the_rights_are_those_of_the_default_resources_and_of_what_owns_pods(deployed: Deployed) -> None:
    assert deployed.granted("default") == names((*DEFAULT, CRDS)) | {("", "replicationcontrollers")}


def test_what_is_asked_for_is_allowed_and_nothing_else(deployed: Deployed) -> None:
    given = deployed.arguments()
    selection = Selection(additional_kinds=given["additional_kinds"], secrets=given["watch_secrets"])
    additional = names(tuple(selection.additional()))
    assert additional in (names(ADDITIONAL), set())
    assert deployed.granted("additional") == additional
    asked = names((*selection.defaults(), CRDS)) | additional
    assert deployed.granted() == asked | {("", "replicationcontrollers")} | deployed.extra()


def test_the_pod_uses_the_service_account_with_the_rights(deployed: Deployed) -> None:
    selector = deployed.the("ClusterRole", deployed.prefix)["aggregationRule"]["clusterRoleSelectors"][0]["matchLabels"]
    assert selector == {"kspan/watch": "true"}
    account = {"kind": "ServiceAccount", "name": deployed.pod()["serviceAccountName"], "namespace": "kspan"}
    assert deployed.the("ServiceAccount")["metadata"]["name"] == account["name"]
    bound = {o["roleRef"]["name"]: o["subjects"] for o in deployed.objects if o["kind"] == "ClusterRoleBinding"}
    delegates = deployed.arguments()["auth"] is Auth.KUBERNETES
    assert bound == {deployed.prefix: [account]} | ({"system:auth-delegator": [account]} if delegates else {})
    assert deployed.pod()["automountServiceAccountToken"] is True


def test_people_who_ask_get_the_proxy_of_this_service_and_no_more(deployed: Deployed) -> None:
    found = [o for o in deployed.objects if o["metadata"]["name"] == f"{deployed.prefix}-reader"]
    if not deployed.values.get("rbac", {}).get("reader", True):
        assert not found
        return
    proxy, *others = found[0]["rules"]
    assert (proxy["apiGroups"], proxy["resources"]) == ([""], ["services/proxy"])
    # A statement is sent with POST, which the API server calls create.
    assert proxy["verbs"] == (["get", "create"] if deployed.arguments()["serve_sql"] else ["get"])
    service = deployed.the("Service")["metadata"]["name"]
    assert all(service in name.split(":") for name in proxy["resourceNames"])
    delegates = deployed.arguments()["auth"] is Auth.KUBERNETES
    assert others == ([{"nonResourceURLs": ["/kspan/*"], "verbs": ["get"]}] if delegates else [])


def test_kspan_finds_the_service_and_how_to_speak_with_it(deployed: Deployed) -> None:
    found = _service(deployed.the("Service"))
    assert found is not None
    assert found.scheme == ("https" if deployed.arguments()["tls_cert"] else "http")
    reader = [o for o in deployed.objects if o["metadata"]["name"] == f"{deployed.prefix}-reader"]
    for role in reader:
        assert f"{found.scheme}:{found.name}:{found.port}" in role["rules"][0]["resourceNames"]


def test_sqlite_has_one_replica_with_a_volume_and_nothing_that_blocks_drains(deployed: Deployed) -> None:
    if "existingSecret" in deployed.values:
        return
    spec = deployed.workload()["spec"]
    assert spec["replicas"] == 1
    assert not [o for o in deployed.objects if o["kind"] == "PodDisruptionBudget"]
    mounts = {mount["name"]: mount["mountPath"] for mount in deployed.container()["volumeMounts"]}
    path = locate(deployed.arguments()["db"]).path
    assert path is not None
    assert path.parent == Path(mounts["data"])
    volumes = spec.get("volumeClaimTemplates", []) + deployed.pod()["volumes"]
    assert [v for v in volumes if "data" in (v.get("name"), v.get("metadata", {}).get("name"))]


def test_postgresql_has_two_replicas_of_which_one_may_be_evicted() -> None:
    deployed = Deployed("postgresql")
    assert deployed.workload()["spec"]["replicas"] == 2
    budget = deployed.the("PodDisruptionBudget")["spec"]
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == deployed.workload()["spec"]["selector"]
    # The URL has a password: it is no argument, which everybody who may read Pods sees.
    assert deployed.arguments()["db"] is None
    (url,) = [e for e in deployed.container()["env"] if e["name"] == "KSPAN_DB"]
    assert url["valueFrom"]["secretKeyRef"] == {"name": "kspan-database", "key": "url"}


def test_the_pods_have_no_privileges(deployed: Deployed) -> None:
    for pod in (deployed.pod(), *(o["spec"] for o in deployed.all if o["kind"] == "Pod")):
        (container,) = pod["containers"]
        security, own = pod["securityContext"], container["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert own["allowPrivilegeEscalation"] is False
        assert own["readOnlyRootFilesystem"] is True
        assert own["capabilities"] == {"drop": ["ALL"]}
        assert {"cpu", "memory"} <= set(container["resources"]["limits"])
        assert {"cpu", "memory"} <= set(container["resources"]["requests"])
        # Of a Service called kspan the kubelet would make KSPAN_PORT, KSPAN_SERVICE_HOST ...
        assert pod["enableServiceLinks"] is False


def test_the_probes_use_the_address_of_the_daemon(deployed: Deployed) -> None:
    container = deployed.container()
    (port,) = container["ports"]
    assert parse_listen(deployed.arguments()["listen"]) == ("0.0.0.0", port["containerPort"])  # noqa: S104
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    # With PostgreSQL, a replica that waits is available, or the writer could never be evicted.
    ready = "/healthz" if "existingSecret" in deployed.values else "/readyz"
    paths = {name: probe["path"] for name, probe in probes.items()}
    assert paths == {"startupProbe": "/healthz", "livenessProbe": "/healthz", "readinessProbe": ready}
    scheme = "HTTPS" if deployed.arguments()["tls_cert"] else "HTTP"
    assert all((p["port"], p.get("scheme", "HTTP")) == (port["name"], scheme) for p in probes.values())
    assert deployed.pod()["terminationGracePeriodSeconds"] > 10


def test_the_arguments_are_valid(deployed: Deployed) -> None:
    given = deployed.arguments()
    for target in given["export"]:
        parse_target(target)
    parse_duration(given["retention"], "--retention")
    asking = Asking(
        given["auth"],
        given["auth_token_file"],
        given["insecure_no_auth"],
        Authorize(given["authorize"]),
        given["tls_cert"],
        given["tls_key"],
    )
    asking.check()
    asking.check_reach(given["listen"])


def test_an_argument_that_the_command_does_not_have_is_refused() -> None:
    deployed = Deployed("default")
    deployed.container()["args"].append("--no-such-flag")
    with pytest.raises(Exception, match="No such option: --no-such-flag"):
        deployed.arguments()


def test_files_in_arguments_are_mounted(deployed: Deployed) -> None:
    mounts = [mount["mountPath"] for mount in deployed.container()["volumeMounts"]]
    assert {mount["name"] for mount in deployed.container()["volumeMounts"]} <= {
        volume.get("name") or volume["metadata"]["name"]
        for volume in deployed.pod()["volumes"] + deployed.workload()["spec"].get("volumeClaimTemplates", [])
    }
    for argument in deployed.container()["args"]:
        if "=/etc/" in argument:
            assert str(Path(argument.partition("=")[2]).parent) in mounts


# The image ------------------------------------------------------------------------------------------------------------


def lines() -> list[str]:
    return re.sub(r"\\\n\s*", "", DOCKERFILE.read_text(encoding="utf-8")).splitlines()


def test_the_image_and_the_manifest_use_the_same_user() -> None:
    (user,) = [line.removeprefix("USER ") for line in lines() if line.startswith("USER ")]
    security = Deployed(THE_MANIFEST).pod()["securityContext"]
    assert user == f"{security['runAsUser']}:{security['runAsGroup']}"
    assert security["fsGroup"] == security["runAsGroup"]


def test_the_image_is_built_in_a_stage_of_its_own_and_pins_its_dependencies() -> None:
    found = [line.split(maxsplit=1)[1] for line in lines() if line.startswith("FROM ")]
    assert found == ["${BUILD_BASE} AS build", "${BASE}"]
    bases = {line.partition("=")[2] for line in lines() if line.startswith(("ARG BASE=", "ARG BUILD_BASE="))}
    assert len(bases) == 1
    installs = [line for line in lines() if " install " in line]
    assert installs
    assert all("--constraint constraints.txt" in line for line in installs)
    assert any("PIP_NO_CACHE_DIR=1" in line for line in lines())


def test_nothing_runs_in_the_stage_that_becomes_the_image() -> None:
    last = lines()[max(number for number, line in enumerate(lines()) if line.startswith("FROM ")) :]
    assert [line for line in last if line.startswith("RUN ")] == []
    assert [line for line in last if line.startswith("COPY ") and "--from=build" not in line] == []


@pytest.mark.parametrize(
    "name",
    [
        "pyproject.toml",
        "constraints.txt",
        "LICENSE",
        "README.md",
        "hatch_build.py",
        "alembic.ini",
        "migrations",
        "kspan",
        "deploy/image",
    ],
)
def test_the_files_that_the_image_copies_exist_and_are_not_ignored(name: str) -> None:
    assert (ROOT / name).exists()
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert ignored[0] == "*"
    assert f"!{name}" in ignored
    assert any(line.startswith("COPY ") and name in line.split() for line in lines())
