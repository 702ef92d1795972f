"""The databases that the pages are shown with."""

import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from kspan.times import format_time
from tests.causality.actors import done, new_pod, new_replicas, rolled_out, run, running, stuck
from tests.causality.cluster import Cluster
from tests.recordings import recording

RECORDINGS: Final = ("02-rolling-update", "03-crashloop", "07-job-cronjob", "11-delete-cascade")

NAME: Final = "<img src=x onerror=alert(1)>"
MESSAGE: Final = "</script><script>alert(2)</script><!-- {{ 7 * 7 }} ' \" &lt;"
BIDI: Final = "user\u202e\u2066gnp.exe\u2069\u202c \u200f\u061c end"
LONG: Final = "a message without an end ".ljust(76 * 1024, "x")

FLEET_NAME: Final = "staging & the lab of the team in Frankfurt"

SPANS_OF_A_POD: Final = 5
"""Pod.Create, Scheduled, Started and Ready, and the ReplicaSet's SuccessfulCreate."""


def build(name: str, folder: Path) -> Path:
    """Return the database of this name in ``folder``. The first process that asks makes it, others wait for it."""
    path = folder / f"{name}.sqlite"
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            part = folder / f"{name}-part.sqlite"
            DATABASES[name](part)
            part.rename(path)
    return path


def _demo(db: Path) -> None:
    _kspan("demo", "--db", str(db))


def _recordings(db: Path) -> None:
    _replay(db, *(recording(scenario) for scenario in RECORDINGS))


def _fleet(db: Path) -> None:
    """Three clusters: one has a long name, and one none."""
    for scenario, *more in (
        ("02-rolling-update", "--cluster-name", "prod"),
        ("03-crashloop", "--cluster", "uid-of-staging", "--cluster-name", FLEET_NAME),
        ("07-job-cronjob", "--cluster", "a36e62c6-4d4c-4ed2-b8cf-37e9d0a10f4d"),
    ):
        _replay(db, recording(scenario), *more)


def _hostile(db: Path) -> None:
    """Names, messages and annotations that are mark-up, and texts that are far too long."""
    c = Cluster()
    web, rs, _ = rolled_out(c, "web", 1)
    c.first_list()
    c.annotate(web, "example.com/note", BIDI)
    c.update(web, image=f"registry.example.com/{NAME}", replicas=2)
    rs = new_replicas(c, web, NAME, 2)
    bad, good = new_pod(c, rs, NAME), new_pod(c, rs, f"{NAME}-{'long-' * 40}end")
    run(c, bad, started=False)
    run(c, good, NAME)
    for message in (MESSAGE, BIDI, LONG):
        c.event(bad, "Failed", message, by="kubelet", host=NAME, warning=True)
    stuck(c, bad, NAME)
    c.event(bad, "BackOff", MESSAGE, by=NAME, warning=True)
    running(c, bad)
    done(c, rs, web)
    settings = c.create("ConfigMap", NAME, by=NAME, data={NAME: MESSAGE})
    c.update(settings, by="kubectl-edit", data={NAME: f"{BIDI}\n{LONG}"})
    c.receive_all()
    lines = db.with_suffix(".jsonl")
    with lines.open("w") as file:
        for record in c.records:
            line = {"received": format_time(record.recorded_at), "resource": record.resource}
            print(json.dumps(line | {"type": record.type.name, "object": json.loads(record.payload)}), file=file)
    _replay(db, lines, "--cluster", "hostile")


def _rollout(pods: int) -> Callable[[Path], None]:
    """One rollout of a Deployment as one trace: five spans for each Pod, and three."""

    def fill(db: Path) -> None:
        c = Cluster()
        web = c.apply("Deployment", "web", replicas=pods)
        c.first_list()
        c.update(web, by="kubectl-edit", image="registry.example.com/web:v2", replicas=pods)
        rs = new_replicas(c, web, "web-7d4b9c6f58", pods)
        for number in range(pods):
            run(c, new_pod(c, rs, f"web-7d4b9c6f58-{number:05}"), f"node-{number % 50:02}")
        done(c, rs, web)
        c.receive_all()
        with open_store(str(db)) as store:
            projector = Projector(store, "storm", built_in_rules(), batch=2_000)
            projector.add(JournalBatch([record]) for record in c.records)
            projector.flush()
            projector.run_out()

    return fill


DATABASES: Final[Mapping[str, Callable[[Path], None]]] = {
    "demo": _demo,
    "recordings": _recordings,
    "hostile": _hostile,
    "fleet": _fleet,
    "spans-2000": _rollout(2_000 // SPANS_OF_A_POD),
    "spans-20000": _rollout(20_000 // SPANS_OF_A_POD),
    "spans-100000": _rollout(100_000 // SPANS_OF_A_POD),
}
"""Name -> what fills an empty database."""


def _replay(db: Path, *args: object) -> None:
    _kspan("replay", *map(str, args), "--db", str(db), "--export", "none", "--no-progress")


def _kspan(*args: str) -> None:
    env = os.environ | {"KSPAN_CONFIG": os.devnull}
    done = subprocess.run([sys.executable, "-m", "kspan", *args], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
