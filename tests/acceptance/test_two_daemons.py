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
import sqlite3
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import msgspec
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

STARTING = (15, 60, 240)
"""Seconds from the start of the test to the first change: more at each attempt."""

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
and a busy machine serves changes seconds after the times that they state."""

EVENT = "k8s.event.uid"
VERSION = "k8s.object.resource_version"

CHOICE = ("kspan.rule", "kspan.confidence")
"""Attributes that depend on the cause of a span."""

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


class _Line(msgspec.Struct):
    """A line of a recording."""

    received: str
    resource: str
    type: str
    object: msgspec.Raw


class _Joiner:
    """Joins recordings of one cluster.

    What happened between two of them is not known: the lists of the second show what is new or changed. Objects that
    they do not contain stay: nothing shows how they were deleted. Events of the time between are left out, with their
    repeats: no daemon that watches receives Events minutes late.
    """

    def __init__(self) -> None:
        self.between: set[str] = set()
        """The uids of the objects that were created or changed between two recordings."""
        self._versions: dict[tuple[str, str], int] = {}
        self._named: dict[str, int] = {}
        self._left_out: set[str] = set()

    def lines(self, recorded: Sequence[_Line], shift: int) -> Iterator[bytes]:
        """The lines of the next recording, with all times later by ``shift`` (ns)."""
        is_first = not self._versions
        listed = [line for line in recorded if line.type.startswith("LIST")]
        if not is_first:
            listed.sort(key=lambda line: int(_metadata(line).get("resourceVersion", 0)))
        for line in [*listed, *(line for line in recorded if not line.type.startswith("LIST"))]:
            metadata = _metadata(line)
            uid, version = metadata.get("uid", ""), int(metadata.get("resourceVersion") or 0)
            known = self._versions.get((line.resource, uid), 0)
            if uid in self._left_out:
                continue
            if line.type.startswith("LIST") and not is_first:
                if not uid or version <= known:
                    continue
                if line.resource.endswith("/events"):
                    self._left_out.add(uid)
                    continue
                self.between.add(uid)
                line.type = "MODIFIED" if known else "ADDED"
            if uid:
                self._versions[line.resource, uid] = version
            # An Event keeps its name.
            yield msgspec.json.encode(_moved(line, shift, self._named.setdefault(uid, shift) if uid else shift))


def _metadata(line: _Line) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(line.object)).get("metadata", {})
    return found


def _moved(line: _Line, shift: int, named: int) -> _Line:
    received = _TIME.sub(_later(shift), line.received.encode()).decode()
    renamed = _NAME_TIME.sub(lambda match: b"%016x" % (int(match[0], 16) + named), bytes(line.object))
    return _Line(received, line.resource, line.type, msgspec.Raw(_TIME.sub(_later(shift), renamed)))


def _later(shift: int) -> Callable[[re.Match[bytes]], bytes]:
    return lambda match: format_time(parse_time(match[0].decode() + "Z") + shift)[:19].encode()


class Recording(NamedTuple):
    """A recording that was made of several."""

    file: Path
    last: int
    """The time of its last line (Unix ns)."""
    between: set[str]
    """The uids of the objects that were created or changed between two of them: no line shows how."""


def joined(scenarios: Sequence[str], file: Path, begin: int) -> Recording:
    """Write one recording of several, each ``PAUSE`` after the one before.

    The first change is at ``begin`` (Unix ns, whole seconds). All times in the objects are moved as well.
    """
    last, joiner = begin - PAUSE, _Joiner()
    with file.open("wb") as out:
        for scenario in scenarios:
            lines = [msgspec.json.decode(line, type=_Line) for line in read_lines(recording(scenario))]
            received = [parse_time(line.received) for line in lines if not line.type.startswith("LIST")]
            shift = (last + PAUSE - min(received)) // SECOND * SECOND
            out.writelines(line + b"\n" for line in joiner.lines(lines, shift))
            last = max(received) + shift
    return Recording(file, last, joiner.between)


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


class Interval(NamedTuple):
    """A gap of a stream: the resourceVersions of its last change before and of the list after it."""

    resource: str
    start: int
    end: int


def gaps(database: Path) -> list[Interval]:
    """The gaps of a daemon's streams."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        found = connection.execute("SELECT resource, from_version, to_version FROM gaps").fetchall()
    return [Interval(resource, int(start), int(end)) for resource, start, end in found]


def partly_unseen(recorded: Recording, within: Sequence[Interval]) -> set[str]:
    """The uids of the objects that had several versions in one gap.

    The list after it shows the newest, or none if the object was deleted. What only the others show cannot be known.
    """
    versions: dict[tuple[str, str], set[int]] = defaultdict(set)
    for text in read_lines(recorded.file):
        line = msgspec.json.decode(text, type=_Line)
        metadata = _metadata(line)
        if metadata.get("uid"):
            versions[line.resource, metadata["uid"]].add(int(metadata["resourceVersion"]))
    return {
        uid
        for (resource, uid), known in versions.items()
        for gap in within
        if gap.resource == resource
        and sum(gap.start < version <= gap.end for version in known) > (0 if uid in recorded.between else 1)
    }


def differences(expected: dict[str, Span], found: dict[str, Span], unseen: Collection[str] = ()) -> Iterator[str]:
    """What is not equal, a line each: everything but times, and times that do not say that they are inexact.

    Args:
        unseen: uids of objects of which a daemon could not see all versions. Of these it must only know the Events. It
            cannot know the id of a trace that one of them began, nor that one of their changes caused something.
    """
    of_unseen = {
        span_id: span for known in (expected, found) for span_id, span in known.items() if _uid(span) in unseen
    }
    other_traces = {span.trace_id for span in of_unseen.values()}
    for span_id in sorted(expected.keys() | found.keys(), key=lambda each: (expected.get(each) or found[each]).start):
        a, b = expected.get(span_id), found.get(span_id)
        if span_id in of_unseen and (EVENT not in of_unseen[span_id].attributes or (a and b)):
            continue
        if a is not None and b is None and a.attributes.get(EVENT, {}).get("stringValue") in unseen:
            continue  # A count between two others, or an Event that was deleted with its namespace.
        if a is None or b is None:
            yield f"{'missing' if b is None else 'added'}: {_words(a or b)}"
            continue
        caused_unseen = a.parent_id in of_unseen
        same_trace = caused_unseen or a.trace_id == b.trace_id or {a.trace_id, b.trace_id} <= other_traces
        if not same_trace or a.name != b.name or (a.parent_id != b.parent_id and not caused_unseen):
            yield f"elsewhere: {_words(a)}: {a.trace_id} below {a.parent_id}, not {b.trace_id} below {b.parent_id}"
        # Nobody knows the version of a deletion that only a list shows: the span has the last version that was seen.
        inferred = {VERSION} if a.name.endswith(".Delete") and INEXACT in {*a.attributes, *b.attributes} else set()
        ignored = {INEXACT, *inferred, *(CHOICE if caused_unseen else ())}
        for key in sorted((a.attributes.keys() | b.attributes.keys()) - ignored):
            if a.attributes.get(key) != b.attributes.get(key):
                yield f"{key}: {_words(a)}: {a.attributes.get(key)}, not {b.attributes.get(key)}"
        allowed = CLOSE + sum(_uncertainty(span) for span in (a, b))
        for what, apart in (("start", b.start - a.start), ("end", b.end - a.end)):
            if abs(apart) > allowed * SECOND:
                yield f"{what}: {_words(a)}: {apart / SECOND:+.1f} s"


def _uncertainty(span: Span) -> float:
    return float(span.attributes.get(INEXACT, {}).get("doubleValue", 0.0))


def _uid(span: Span | None) -> str:
    assert span is not None
    found: str = span.attributes.get("k8s.object.uid", {}).get("stringValue", "")
    return found


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


class _Scene(NamedTuple):
    """Two daemons that watch one cluster, one of them through a proxy."""

    cluster: Cluster
    proxy: TcpProxy
    undisturbed: _Daemon
    disturbed: _Daemon


def _scene(stack: ExitStack, file: Path) -> _Scene:
    """Start the daemons on a recording that is not served yet; return once both are ready."""
    folder = file.parent
    cluster = stack.enter_context(serving_file(file, folder, 1.0, held=True))
    address = urlsplit(cluster.url)
    assert address.port is not None
    proxy = stack.enter_context(proxying(address.port, seed=SEED))
    detour = folder / "kubeconfig-of-b"
    write_kubeconfig(detour, {"server": f"http://127.0.0.1:{proxy.port}"}, {"token": "t0ken"})
    undisturbed = _Daemon(cluster.kubeconfig, folder / "a")
    stack.callback(undisturbed.stop)
    disturbed = _Daemon(detour, folder / "b")
    stack.callback(disturbed.stop)
    wait_for(lambda: all(_is_ready(each) for each in (undisturbed, disturbed)), "both daemons are ready")
    return _Scene(cluster, proxy, undisturbed, disturbed)


def _play(folder: Path, starting: int) -> Recording | None:
    """Play the recordings to both daemons; return the recording, or None if they were not ready in ``starting`` ns.

    Then objects would be received later than the times that they state, which no daemon could tell from a delay.
    """
    folder.mkdir()
    begin = (time.time_ns() + starting) // SECOND * SECOND
    recorded = joined(SCENARIOS, folder / "recording.jsonl", begin)
    with ExitStack() as stack:
        cluster, proxy, undisturbed, disturbed = _scene(stack, recorded.file)
        if time.time_ns() > begin:
            return None
        time.sleep(max(0.0, (begin - time.time_ns()) / SECOND))
        cluster.begin()
        proxy.delays = CONNECTING
        disturb(disturbed, proxy, cluster, (recorded.last - begin) / SECOND)
        wait_for(cluster.finished, "the recordings are over")
        wait_for(lambda: undisturbed.all_sent() and disturbed.all_sent(), "all traces are sent")
        undisturbed.end()
        disturbed.end()
    return recorded


@pytest.mark.timeout(7200)
def test_a_daemon_that_is_killed_and_cut_off_exports_what_an_undisturbed_one_exports(tmp_path: Path) -> None:
    plays = (_play(tmp_path / f"{seconds}s", seconds * SECOND) for seconds in STARTING)
    recorded = next((each for each in plays if each is not None), None)
    assert recorded is not None, "the daemons did not start in time"
    folder = recorded.file.parent
    expected, found = (exported(folder / name / "spans.jsonl") for name in ("a", "b"))
    assert len(expected) > 40 * len(SCENARIOS)
    unseen = partly_unseen(recorded, gaps(folder / "b" / "kspan.sqlite"))
    assert list(differences(expected, found, unseen)) == []


def _is_ready(daemon: _Daemon) -> bool:
    """True once the first lists are in the database: earlier changes cannot be known."""
    return "all resources are listed and watched" in daemon.log.read_text(encoding="utf-8")
