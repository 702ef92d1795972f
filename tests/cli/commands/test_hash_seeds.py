"""Processes with different hash seeds send the same bytes, and accept each other's databases."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kspan.model import RecordType
from kspan.times import format_time
from tests.causality.cluster import Cluster
from tests.graph.fold_process import CLUSTER

SEEDS = range(10)
MANY = 6
"""Fields that a change adds and removes; the patch of many more would be too large for a span."""


def write_recording(path: Path) -> Path:
    """A recording in which several objects change many fields in one write."""
    c = Cluster()
    home = c.create("Namespace", "kube-system")
    home.meta["uid"] = CLUSTER
    things = [c.create("Deployment", f"web-{number}") for number in range(3)]
    c.first_list()
    for version in range(4):
        for thing in things:
            fields = {f"field-{version * number}": {f"x{i}": version for i in range(number)} for number in range(MANY)}
            env = [{"name": f"V{number}", "value": "x"} for number in range(version * 3)]
            thing.raw["spec"] = {"replicas": version, **fields}
            thing.meta["labels"] = {f"label-{version * number}": str(version) for number in range(MANY)}
            thing.meta["annotations"] = {f"note-{version * number}": str(version) for number in range(MANY)}
            containers = [{"name": f"c{number}", "env": env} for number in range(version)]
            c.update(thing, template={"metadata": {}, "spec": {"containers": containers}})
        c.wait(60)
    lines, listed = [], set()
    for record in c.records:
        if record.type is RecordType.LISTED and record.resource not in listed:
            listed.add(record.resource)
            head = b'{"metadata": {"resourceVersion": "104"}}'
            lines.append(line_of("LIST", record.recorded_at, record.resource, head))
        lines.append(line_of(record.type.value, record.recorded_at, record.resource, record.payload))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def line_of(kind: str, received: int, resource: str, payload: bytes) -> dict[str, object]:
    return {"received": format_time(received), "resource": resource, "type": kind, "object": json.loads(payload)}


def in_each(command: Callable[[int], list[str]]) -> None:
    """Runs a command in a process for each seed, all at once; each must succeed."""
    processes = {
        seed: subprocess.Popen(
            [sys.executable, "-m", "kspan", *command(seed)],
            env=os.environ | {"PYTHONHASHSEED": str(seed)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        for seed in SEEDS
    }
    printed = {seed: process.communicate()[0].decode() for seed, process in processes.items()}
    assert {seed: printed[seed] for seed, process in processes.items() if process.returncode} == {}


def test_ten_processes_send_the_same_bytes_and_verify_each_others_databases(tmp_path: Path) -> None:
    recording = str(write_recording(tmp_path / "recording.jsonl"))
    database, file = "{}/{}.sqlite".format, "file:{}/{}.jsonl".format
    in_each(lambda seed: ["replay", recording, "--db", database(tmp_path, seed), "--export", file(tmp_path, seed)])
    sent = {(tmp_path / f"{seed}.jsonl").read_bytes() for seed in SEEDS}
    assert len(sent) == 1
    assert sent.pop().count(b'"kspan.change"') == 12
    in_each(lambda seed: ["db", "verify", "--db", database(tmp_path, (seed + 1) % len(SEEDS))])
