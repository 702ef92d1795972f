"""The Helm chart renders what its golden files show, and refuses values that mean nothing."""

import json
import re
import shlex
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from prometheus_client.parser import text_string_to_metric_families

from kspan import __version__
from kspan.cli.app import app
from kspan.cli.config_file import load
from kspan.daemon.metrics import Metrics
from kspan.k8s.events_api import EVENTS
from tests.deploy import chart
from tests.deploy.chart import CHART, GOLDEN, MANIFEST, README, VALUES, described, helm, manifest, readme, render
from tests.quiet_server import QuietServer

KUBELETS = {"kubelet_volume_stats_available_bytes", "kubelet_volume_stats_capacity_bytes"}


def objects(name: str) -> list[dict[str, Any]]:
    return [o for o in yaml.safe_load_all(render(name)) if o]


def test_a_missing_helm_is_an_error_that_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(chart, "TOOLS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(chart.HelmMissingError, match="`make helm` builds it"):
        chart.find_helm.__wrapped__()


def test_another_helm_than_4_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "helm").write_text("#!/bin/sh\necho v3.22.0\n", encoding="utf-8")
    (tmp_path / "helm").chmod(0o755)
    monkeypatch.setattr(chart, "TOOLS", tmp_path)
    with pytest.raises(chart.HelmMissingError, match=r"v3\.22\.0, not 4"):
        chart.find_helm.__wrapped__()


@pytest.mark.parametrize("name", VALUES)
def test_helm_finds_nothing_to_complain_about(name: str) -> None:
    done = helm("lint", "--strict", str(CHART), values=VALUES[name])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", VALUES)
def test_the_rendering_is_the_golden_file(name: str) -> None:
    golden = (GOLDEN / f"{name}.yaml").read_text(encoding="utf-8")
    assert render(name) == golden, "after a change of the chart: `make manifest`, and look at the difference"


def test_each_golden_file_has_a_rendering() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(VALUES)


def test_the_manifest_and_the_readme_are_those_of_the_chart() -> None:
    assert MANIFEST.read_text(encoding="utf-8") == manifest(), "`make manifest` writes it"
    assert README.read_text(encoding="utf-8") == readme(), "`make manifest` writes it"


def test_the_chart_has_the_version_of_kspan() -> None:
    described_as = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (described_as["version"], described_as["appVersion"]) == (__version__, __version__)


@pytest.mark.parametrize(
    "values, named",
    [
        ({"replica": 2}, "replica"),
        ({"image": {"tga": "1"}}, "tga"),
        ({"replicas": 0}, "replicas"),
        ({"retention": "a week"}, "retention"),
        ({"export": ["jaeger"]}, "export"),
        ({"auth": {"mode": "oidc"}}, "mode"),
        ({"auth": {"authorize": "nodes"}}, "authorize"),
        ({"image": {"digest": "latest"}}, "digest"),
        ({"rbac": {"extraRules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["delete"]}]}}, "verbs"),
        ({"service": {"port": 0}}, "port"),
        ({"serveSql": "yes"}, "serveSql"),
        ({"persistence": {"size": "big"}}, "size"),
        ({"extraArgs": ["run"]}, "extraArgs"),
    ],
)
def test_values_that_mean_nothing_are_refused(values: dict[str, Any], named: str) -> None:
    done = helm("template", "kspan", str(CHART), values=values)
    assert done.returncode != 0
    assert named in done.stderr


def test_a_token_needs_its_secret_and_an_ingress_its_host() -> None:
    for values, named in (
        ({"auth": {"mode": "token"}}, "auth.existingSecret"),
        ({"ingress": {"enabled": True}}, "ingress.host"),
    ):
        done = helm("template", "kspan", str(CHART), values=values)
        assert done.returncode != 0
        assert named in done.stderr


def test_every_value_is_described_and_in_the_schema() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
    defaults = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    paths = {path for path, _, _ in described()}

    def check(values: dict[str, Any], allowed: dict[str, Any], above: str) -> None:
        for key, value in values.items():
            path = f"{above}{key}"
            assert key in allowed["properties"], path
            if path in paths:
                continue
            assert isinstance(value, dict), f"{path} has no comment"
            check(value, allowed["properties"][key], f"{path}.")

    check(defaults, schema, "")


def test_the_settings_file_is_one_that_kspan_reads(tmp_path: Path) -> None:
    (found,) = [o for o in objects("configured") if "config.toml" in o.get("data", {})]
    assert tomllib.loads(found["data"]["config.toml"]) == VALUES["configured"]["config"]
    file = tmp_path / "config.toml"
    file.write_text(found["data"]["config.toml"], encoding="utf-8")
    load(file, typer.main.get_command(app))


def test_alerts_and_dashboard_use_metrics_that_kspan_has() -> None:
    metrics = Metrics()
    metrics.watch_connected(EVENTS)
    families = text_string_to_metric_families(metrics.text()[0].decode())
    has = {family.name for family in families} | KUBELETS
    for path in (GOLDEN / "monitored.yaml", CHART / "dashboards" / "kspan.json"):
        used = set(re.findall(r"\b(?:kspan|kubelet)_[a-z_]+", path.read_text(encoding="utf-8")))
        assert used
        assert {re.sub(r"_(total|bucket)$", "", name) for name in used} - {"kspan_token"} <= has
    assert f'resource="{EVENTS}"' in (GOLDEN / "monitored.yaml").read_text(encoding="utf-8")


def test_the_alerts_are_about_watching_gaps_exports_and_the_disk() -> None:
    (rule,) = [o for o in objects("monitored") if o["kind"] == "PrometheusRule"]
    assert [r["alert"] for group in rule["spec"]["groups"] for r in group["rules"]] == [
        "KspanNotWatching",
        "KspanGap",
        "KspanExportFailing",
        "KspanDiskNearlyFull",
    ]


def test_the_test_of_helm_asks_whether_kspan_is_ready() -> None:
    for name, url in (("default", "http://kspan"), ("token-tls", "https://history")):
        (pod,) = [o for o in objects(name) if o["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"]
        (container,) = pod["spec"]["containers"]
        assert container["args"][-1] == f"{url}.kspan.svc:8474/readyz"
        compile(container["args"][0], "test", "exec")


def test_the_test_of_helm_succeeds_once_kspan_is_ready() -> None:
    answers = [503, 200]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(answers.pop(0) if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    (pod,) = [o for o in objects("default") if o["kind"] == "Pod"]
    script = pod["spec"]["containers"][0]["args"][0]
    with QuietServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/readyz"
        done = subprocess.run(
            [sys.executable, "-c", script, url], capture_output=True, text=True, timeout=120, check=False
        )
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["HTTP Error 503: Service Unavailable", "200"]
    assert answers == []


@pytest.mark.parametrize("name", VALUES)
def test_the_notes_show_commands_that_reach_it(name: str) -> None:
    commands = list(notes(name))
    service = "history" if name == "token-tls" else "kspan"
    remote = "kspan/https:history" if name == "token-tls" else "kspan/kspan"
    assert f"kubectl -n kspan port-forward svc/{service} 8474:8474" in commands
    asked = [parsed(shlex.split(line)[1:]) for line in commands if line.startswith("kspan ")]
    questions = ["traces", "timeline", *(["sql"] if name == "token-tls" else [])]
    assert [path for path, _ in asked] == [*questions, "ui"]
    for path, given in asked:
        assert given["remote"] == remote
        assert given.get("remote_token_file") == (None if name == "small" or path == "ui" else "token")


def parsed(words: list[str]) -> tuple[str, dict[str, Any]]:
    """A command and its parameters, as kspan reads them."""
    group = typer.main.get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    return words[0], group.commands[words[0]].make_context(words[0], words[1:]).params


def notes(name: str) -> Iterator[str]:
    """The commands in what ``helm install`` says."""
    done = helm("install", "kspan", str(CHART), "--namespace", "kspan", "--dry-run=client", values=VALUES[name])
    assert done.returncode == 0, done.stderr
    text = done.stdout.partition("NOTES:")[2]
    assert "<no value>" not in text
    return (line.strip() for line in text.splitlines() if line.startswith("  "))


def test_the_notes_give_the_token_of_the_secret() -> None:
    (line,) = (line for line in notes("token-tls") if "get secret" in line)
    template = shlex.split(line)[-3].removeprefix("go-template=")
    assert template == '{{index .data "token" | base64decode}}'
