"""Two daemons watch one cluster in real time, one of them is killed and cut off: both tell the same story.

A compressed recording cannot show this: a daemon that is away for seconds misses minutes of it. So recordings are
played at the speed at which they were made, and the connections of the disturbed daemon need seconds each, as on a busy
machine.

``make torture`` (``KSPAN_TORTURE=1``) plays three recordings with ten kills and two cuts, the second across a
compaction. ``make test`` plays one, with three kills and a cut. ``KSPAN_TORTURE_SEED`` draws other moments.
"""

import json
import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from kspan.times import SECOND, format_time, parse_time
from tests.acceptance.harness import INEXACT, Cluster, records_and_unsent, serving_file, start, wait_for
from tests.acceptance.tcp_proxy import TcpProxy, proxying
from tests.apiserver.kubeconfig import write_kubeconfig
from tests.apiserver.replaying import read_lines
from tests.limits import HANG_S
from tests.recordings import recording

LONG = "KSPAN_TORTURE" in os.environ
SCENARIOS = ["02-rolling-update", "07-job-cronjob", "11-delete-cascade"] if LONG else ["02-rolling-update"]
KILLS, CUTS = (10, 2) if LONG else (3, 1)
SEED = int(os.environ.get("KSPAN_TORTURE_SEED", "20261127"))

STARTING = 15 * SECOND
"""From the start of the test to the first change (ns)."""

PAUSE = 5 * SECOND
"""Between two recordings (ns)."""

CONNECTING = (0.0, 8.0)
"""Seconds that a connection of the disturbed daemon needs."""

DOWN = (0.2, 6.0)
"""Seconds from a kill to the next start."""

CUT_OFF = 12.0
"""Seconds for which the disturbed daemon reaches no API server."""

CLOSE = 5.0
"""Seconds by which an exact time may differ: one daemon took the time of receipt, the other a time in whole seconds,
and a busy machine serves changes seconds after the times that they state. More is added if the recording began late."""

FLAGS = ("--hold", "5s", "--settle", "10s", "--max-trace-age", "2m")


class Span(NamedTuple):
    """A span as it was exported; times in Unix ns."""

    trace_id: str
    parent_id: str
    name: str
    attributes: dict[str, Any]
    start: int
    end: int


_TIME = re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?=[.Z])")
_NAME_TIME = re.compile(rb'(?<=\.)[0-9a-f]{16}(?=")')  # client-go names an Event after its time in ns.


def joined(scenarios: Sequence[str], file: Path, begin: int) -> int:
    """Write one recording of several, each ``PAUSE`` after the one before; return its last time.

    The first change is at ``begin`` (Unix ns, whole seconds). All times in the objects are moved as well.
    """
    last = begin - PAUSE
    with file.open("wb") as out:
        for scenario in scenarios:
            lines = list(read_lines(recording(scenario)))
            received = [parse_time(json.loads(line)["received"]) for line in lines if b'"type":"LIST' not in line]
            shift = (last + PAUSE - min(received)) // SECOND * SECOND
            out.writelines(_moved(line, shift) + b"\n" for line in lines)
            last = max(received) + shift
    return last


def _moved(line: bytes, shift: int) -> bytes:
    def moved(match: re.Match[bytes]) -> bytes:
        return format_time(parse_time(match[0].decode() + "Z") + shift)[:19].encode()

    named = _NAME_TIME.sub(lambda match: b"%016x" % (int(match[0], 16) + shift), line)
    return _TIME.sub(moved, named.rstrip())


def exported(file: Path) -> dict[str, Span]:
    """The spans of an OTLP/JSON file by id. One that was sent twice must be the same both times."""
    found: dict[str, Span] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    read = Span(
                        span["traceId"],
                        span.get("parentSpanId", ""),
                        span["name"],
                        {each["key"]: each["value"] for each in span.get("attributes", [])},
                        int(span["startTimeUnixNano"]),
                        int(span["endTimeUnixNano"]),
                    )
                    assert found.setdefault(span["spanId"], read) == read
    return found


def differences(expected: dict[str, Span], found: dict[str, Span], late: float = 0.0) -> Iterator[str]:
    """What is not equal, a line each: everything but times, and times that do not say that they are inexact.

    ``late``: by how many seconds the recording was served later than the times in it.
    """
    for span_id in sorted(expected.keys() | found.keys(), key=lambda each: (expected.get(each) or found[each]).start):
        a, b = expected.get(span_id), found.get(span_id)
        if a is None or b is None:
            yield f"{'missing' if b is None else 'added'}: {_words(a or b)}"
            continue
        if (a.trace_id, a.parent_id, a.name) != (b.trace_id, b.parent_id, b.name):
            yield f"elsewhere: {_words(a)}: {a.trace_id} below {a.parent_id}, not {b.trace_id} below {b.parent_id}"
        for key in sorted((a.attributes.keys() | b.attributes.keys()) - {INEXACT}):
            if a.attributes.get(key) != b.attributes.get(key):
                yield f"{key}: {_words(a)}: {a.attributes.get(key)}, not {b.attributes.get(key)}"
        allowed = CLOSE + late + sum(_uncertainty(span) for span in (a, b))
        for what, apart in (("start", b.start - a.start), ("end", b.end - a.end)):
            if abs(apart) > allowed * SECOND:
                yield f"{what}: {_words(a)}: {apart / SECOND:+.1f} s"


def _uncertainty(span: Span) -> float:
    return float(span.attributes.get(INEXACT, {}).get("doubleValue", 0.0))


def _words(span: Span | None) -> str:
    assert span is not None
    name = span.attributes.get("k8s.object.name", {}).get("stringValue", "")
    return f"{format_time(span.start)} {span.name} {name}"


class _Daemon:
    """``kspan run`` with an OTLP/JSON file as its target, again and again on one database."""

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        folder.mkdir()
        self.database, self.log, self.file = folder / "kspan.sqlite", folder / "kspan.log", folder / "spans.jsonl"
        self._kubeconfig = kubeconfig
        self.process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        flags = (*FLAGS, "--export", f"file:{self.file}")
        return start(self._kubeconfig, self.database, None, self.log, *flags)

    def kill(self, seconds_down: float) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        time.sleep(seconds_down)
        self.process = self._start()

    def all_sent(self) -> bool:
        assert self.process.poll() is None, self.log.read_text(encoding="utf-8")
        records, unsent = records_and_unsent(self.database, f"file:{self.file}")
        return records > 0 and not unsent

    def end(self) -> None:
        self.process.terminate()
        assert self.process.wait(HANG_S) == 0, self.log.read_text(encoding="utf-8")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


def disturb(daemon: _Daemon, proxy: TcpProxy, cluster: Cluster, seconds: float) -> None:
    """Kill the daemon and cut its connections at random moments of the next ``seconds``."""
    chance = random.Random(SEED)
    began = time.monotonic()
    actions = ["kill"] * KILLS + ["cut"] * CUTS
    chance.shuffle(actions)
    cuts = 0
    for number, action in enumerate(actions):
        at = (number + chance.uniform(0.2, 0.8)) * seconds / len(actions)
        time.sleep(max(0.0, began + at - time.monotonic()))
        if action == "kill":
            daemon.kill(chance.uniform(*DOWN))
            continue
        cuts += 1
        proxy.cut()
        time.sleep(CUT_OFF)
        if cuts == 2:
            cluster.control("compact")
        proxy.restore()


@pytest.mark.timeout(7200)
def test_a_daemon_that_is_killed_and_cut_off_exports_what_an_undisturbed_one_exports(tmp_path: Path) -> None:
    file = tmp_path / "recording.jsonl"
    begin = (time.time_ns() + STARTING) // SECOND * SECOND
    last = joined(SCENARIOS, file, begin)
    with ExitStack() as stack:
        cluster = stack.enter_context(serving_file(file, tmp_path, 1.0, held=True))
        address = urlsplit(cluster.url)
        assert address.port is not None
        proxy = stack.enter_context(proxying(address.port, CONNECTING, SEED))
        detour = tmp_path / "kubeconfig-of-b"
        write_kubeconfig(detour, {"server": f"http://127.0.0.1:{proxy.port}"}, {"token": "t0ken"})
        undisturbed = _Daemon(cluster.kubeconfig, tmp_path / "a")
        stack.callback(undisturbed.stop)
        disturbed = _Daemon(detour, tmp_path / "b")
        stack.callback(disturbed.stop)
        wait_for(lambda: all(_is_ready(each) for each in (undisturbed, disturbed)), "both daemons are ready")
        # The clock of the cluster may be behind (if the daemons were slow to start), but not ahead.
        time.sleep(max(0.0, (begin - time.time_ns()) / SECOND))
        cluster.begin()
        late = (time.time_ns() - begin) / SECOND
        disturb(disturbed, proxy, cluster, (last - begin) / SECOND)
        wait_for(cluster.finished, "the recordings are over")
        wait_for(lambda: undisturbed.all_sent() and disturbed.all_sent(), "all traces are sent")
        undisturbed.end()
        disturbed.end()
    expected, found = exported(undisturbed.file), exported(disturbed.file)
    assert len(expected) > 40 * len(SCENARIOS)
    assert list(differences(expected, found, late)) == []


def _is_ready(daemon: _Daemon) -> bool:
    """True once the first lists are in the database: earlier changes cannot be known."""
    return "all resources are listed and watched" in daemon.log.read_text(encoding="utf-8")
