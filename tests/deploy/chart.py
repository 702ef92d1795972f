"""The Helm chart: its renderings, and the files that are generated from it.

``python -m tests.deploy.chart`` (``make manifest``) writes deploy/kubernetes.yaml, the README of the chart and the
golden files.
"""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

import yaml

ROOT: Final = Path(__file__).parents[2]
CHART: Final = ROOT / "deploy" / "helm" / "kspan"
MANIFEST: Final = ROOT / "deploy" / "kubernetes.yaml"
README: Final = CHART / "README.md"
GOLDEN: Final = Path(__file__).parent / "golden"
TOOLS: Final = ROOT / ".tools"

VALUES: Final[Mapping[str, dict[str, Any]]] = {
    "default": {},
    "postgresql": {"existingSecret": "kspan-database", "clusterName": "staging", "auth": {"authorize": "namespaces"}},
    "token-tls": {
        "fullnameOverride": "history",
        "auth": {"mode": "token", "existingSecret": "kspan-token"},
        "tls": {"existingSecret": "kspan-tls"},
        "serveSql": True,
        "ingress": {"enabled": True, "host": "kspan.example.com", "className": "nginx", "tlsSecret": "kspan-web"},
        "persistence": {"existingClaim": "kspan-data"},
        "serviceMonitor": {"enabled": True},
    },
    "monitored": {
        "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True},
        "grafana": {"datasources": {"enabled": True}, "dashboards": {"enabled": True}},
        "networkPolicy": {"enabled": True, "from": [{"namespaceSelector": {}}]},
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "gateway"}], "hostnames": ["kspan.example.com"]},
    },
    "small": {
        "auth": {"mode": "none"},
        "rbac": {"additionalKinds": False, "reader": False},
        "persistence": {"enabled": False},
        "export": ["none"],
    },
    "configured": {
        "config": {"run": {"hold": "10s", "max-trace-spans": 20_000, "redact-env": True, "namespace": ["shop", 'a"b']}},
        "image": {"registry": "registry.example.com", "digest": "sha256:" + "0" * 64},
        "rbac": {
            "extraRules": [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["get", "list", "watch"]}]
        },
        "extraArgs": ["--log-level=debug", "--span-label=app.kubernetes.io/name"],
        "extraEnv": [{"name": "OTEL_EXPORTER_OTLP_COMPRESSION", "value": "gzip"}],
        "extraObjects": [
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "{{ .Release.Name }}-more", "namespace": "kspan"},
            }
        ],
    },
}
"""Values of each rendering, by the name of its golden file."""


class HelmMissingError(Exception):
    """Helm 4 is not installed."""


def helm(*arguments: str, values: Mapping[str, Any] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run helm; ``values`` are passed as a file on standard input. Raises HelmMissingError."""
    given = ["--values", "-"] if values is not None else []
    text = json.dumps(values) if values is not None else ""
    return subprocess.run(
        [find_helm(), *arguments, *given], input=text, capture_output=True, text=True, timeout=120, check=False
    )


@cache
def find_helm() -> str:
    """The path of helm 4: the one in .tools, else that of the PATH. Raises HelmMissingError."""
    found = shutil.which("helm", path=str(TOOLS)) or shutil.which("helm")
    if found is None:
        raise HelmMissingError("helm 4 is missing: `make helm` builds it into .tools (needs Go, or pip to get it)")
    version = subprocess.run([found, "version", "--short"], capture_output=True, text=True, check=True).stdout
    if not version.startswith("v4."):
        raise HelmMissingError(f"{found} is helm {version.strip()}, not 4: `make helm` builds it into .tools")
    return found


@cache
def render(name: str) -> str:
    """What ``helm template`` prints with the values of this name, in the namespace kspan."""
    done = helm("template", "kspan", str(CHART), "--namespace", "kspan", values=VALUES[name])
    if done.returncode:
        raise AssertionError(done.stderr)
    return done.stdout


_HEAD: Final = """\
# Runs kspan in a cluster: kubectl apply -f deploy/kubernetes.yaml
#
# Generated from deploy/helm/kspan by `make manifest`. The chart has more: PostgreSQL, alerts, Grafana, TLS.
# Before that, set the image, and OTEL_EXPORTER_OTLP_ENDPOINT (the receiver of the traces) in the StatefulSet.
# kspan watches a custom resource when an owner reference or an Event names its kind. To allow that, create a
# ClusterRole with the label kspan/watch: "true" and the verbs get, list and watch. For the metadata of Secrets, do the
# same with the resource secrets, and add the argument --watch-secrets.
apiVersion: v1
kind: Namespace
metadata:
  name: kspan
  labels:
    pod-security.kubernetes.io/enforce: restricted
"""


def manifest() -> str:
    """deploy/kubernetes.yaml: the default rendering without what only Helm needs."""
    documents = re.split(r"^---\n", render("default"), flags=re.MULTILINE)
    kept = [document for document in documents if document.strip() and "helm.sh/hook" not in document]
    lines = "---\n".join(kept).splitlines()
    helms = re.compile(r"# Source: |\s+helm\.sh/chart: |\s+app\.kubernetes\.io/managed-by: Helm")
    return _HEAD + "---\n" + "".join(f"{line.rstrip()}\n" for line in lines if not helms.match(line) and line.strip())


def described() -> Iterator[tuple[str, str, str]]:
    """Path, default and description of each value with a comment, in the order of values.yaml."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    defaults = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    comment = ""
    for line in text.splitlines():
        if match := re.match(r"( *)# (.*)", line):
            comment = match[2]
        elif match := re.match(r"( *)([A-Za-z]\S*?):(?: |$)", line):
            path = [(indent, key) for indent, key in path if indent < len(match[1])] + [(len(match[1]), match[2])]
            if comment:
                keys = [key for _, key in path]
                value = defaults
                for key in keys:
                    value = value[key]
                yield ".".join(keys), json.dumps(value), comment
            comment = ""
        elif not line:
            comment = ""


def readme() -> str:
    """The README of the chart: its introduction, and a table of the values."""
    rows = [f"| `{path}` | `{default}` | {text} |" for path, default, text in described()]
    introduction = (CHART / "README.md.in").read_text(encoding="utf-8")
    return "\n".join([introduction, "| value | default | description |", "|---|---|---|", *rows, ""])


def main() -> None:
    """Write all generated files."""
    MANIFEST.write_text(manifest(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    GOLDEN.mkdir(exist_ok=True)
    for name in VALUES:
        (GOLDEN / f"{name}.yaml").write_text(render(name), encoding="utf-8")


if __name__ == "__main__":
    main()
