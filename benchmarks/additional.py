"""Measures what an idle daemon costs with and without the additional kinds.

    python -m benchmarks.additional [--objects 2000] [--seconds 120] [--rounds 3]

The API server of the tests serves ConfigMaps of 2 kB and Services, as many of each as ``--objects``. For each round,
``kspan run`` is started with ``--no-additional-kinds`` and then with ``--additional-kinds``, in turns. Once it is ready
and has settled, its connections, memory and processor time are read from /proc.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec

from benchmarks.table import machine, say
from kspan.times import SECOND, format_time
from tests.apiserver import ApiServer

SETTLE_S: Final = 15.0
"""Seconds after the daemon is ready until it is measured."""

DATA: Final = "x" * 1000
"""The value of each of the two keys of a ConfigMap."""

FLAGS: Final = ("--no-additional-kinds", "--additional-kinds")

_TICKS: Final = os.sysconf("SC_CLK_TCK")


class Cost(msgspec.Struct, frozen=True):
    """The cost of an idle daemon: connections, resident memory (MB), and processor time per second (part of a core).

    ``start``: processor seconds until it had settled.
    """

    connections: int
    resident: float
    processor: float
    start: float


def fill(server: ApiServer, objects: int) -> None:
    """Put Namespaces, a Deployment, ConfigMaps and Services into a server."""
    server.put("v1/namespaces", {"metadata": {"name": "kube-system"}})
    server.put("apps/v1/deployments", {"metadata": {"name": "web"}, "spec": {"replicas": 0}})
    written = format_time(time.time_ns() // SECOND * SECOND)
    for number in range(objects):
        keys: dict[str, Any] = {"f:data": {".": {}, "f:app.yaml": {}, "f:mode": {}}}
        server.put(
            "v1/configmaps", _object(f"settings-{number}", keys, written) | {"data": {"app.yaml": DATA, "mode": DATA}}
        )
        keys = {"f:spec": {"f:ports": {}, "f:selector": {}, "f:type": {}}}
        spec = {"type": "ClusterIP", "clusterIP": "10.0.0.1", "selector": {"app": "web"}, "ports": [{"port": 80}]}
        server.put("v1/services", _object(f"web-{number}", keys, written) | {"spec": spec})


def _object(name: str, fields: dict[str, Any], written: str) -> dict[str, Any]:
    entry = {"manager": "helm", "operation": "Update", "time": written, "fieldsType": "FieldsV1", "fieldsV1": fields}
    return {"metadata": {"name": name, "namespace": "default", "labels": {"app": name}, "managedFields": [entry]}}


@contextmanager
def daemon(kubeconfig: Path, folder: Path, flag: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``kspan run`` within the context, and yield it once it is ready."""
    log = folder / "log"
    command = [sys.executable, "-m", "kspan", "--config", os.devnull, "run", "--kubeconfig", str(kubeconfig), flag]
    command += ["--db", str(folder / "db.sqlite"), "--export", "none", "--listen", "127.0.0.1:0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _wait_ready(process, log)
        yield process
    finally:
        process.terminate()
        process.wait()


def _wait_ready(process: subprocess.Popen[bytes], log: Path) -> None:
    while process.poll() is None:
        time.sleep(0.2)
        found = re.search(r"listening on (http://[^\s\"]+)", log.read_text())
        if found is None:
            continue
        try:
            urllib.request.urlopen(f"{found[1]}/readyz", timeout=5).close()
        except urllib.error.HTTPError as error:
            error.close()
            continue
        return
    raise SystemExit(log.read_text())


def measure(kubeconfig: Path, flag: str, seconds: float) -> Cost:
    """Start a daemon, and return what it costs while nothing happens."""
    with tempfile.TemporaryDirectory() as name, daemon(kubeconfig, Path(name), flag) as process:
        time.sleep(SETTLE_S)
        began, start = time.monotonic(), _processor(process.pid)
        time.sleep(seconds)
        used = _processor(process.pid) - start
        return Cost(_connections(process.pid), _resident(process.pid), used / (time.monotonic() - began), start)


def _processor(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _resident(pid: int) -> float:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def _connections(pid: int) -> int:
    """The established TCP connections of a process."""
    links = [str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()]
    own = {link.removeprefix("socket:[").removesuffix("]") for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text().splitlines()[1:]]
    return sum(1 for row in rows if row[3] == "01" and row[9] in own)


def main() -> None:
    options = _parse()
    machine()
    found: dict[str, list[Cost]] = {flag: [] for flag in FLAGS}
    with ApiServer() as server, tempfile.TemporaryDirectory() as folder:
        fill(server, options.objects)
        kubeconfig = server.kubeconfig(Path(folder) / "kubeconfig")
        for number in range(options.rounds):
            for flag in FLAGS:
                found[flag].append(measure(kubeconfig, flag, options.seconds))
                say(f"round {number + 1}, {flag}: {found[flag][-1]}")
    print(f"{options.objects:,} ConfigMaps and {options.objects:,} Services; median of {options.rounds}")
    for flag, costs in found.items():
        connections, resident, processor, start = (
            statistics.median(getattr(cost, name) for cost in costs) for name in Cost.__struct_fields__
        )
        print(
            f"{flag:24}{connections:4.0f} connections{resident:8.1f} MB{100 * processor:8.2f} % of a core"
            f"{start:8.2f} s to start"
        )
    print(f"load average afterwards {os.getloadavg()[0]:.1f}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.additional", description=__doc__.partition("\n")[0])
    parser.add_argument("--objects", type=int, default=2_000, help="ConfigMaps, and as many Services")
    parser.add_argument("--seconds", type=float, default=120.0, help="for which an idle daemon is measured")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
