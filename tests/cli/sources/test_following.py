"""`timeline --follow --remote` shows what the local command shows, also if connections are lost."""

import contextlib
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan.cli.sources import database, proxied
from kspan.cli.sources.daemon import Daemon
from kspan.cli.sources.database import Database
from kspan.cli.sources.following import LATE_NS, Following, Shown
from kspan.cli.sources.proxied import open_asker
from kspan.cli.sources.source import HistoryOptions
from kspan.errors import KspanError
from kspan.query.answers.occurrence import LineAnswer
from kspan.query.objects.names import parse_kind
from kspan.query.timeline import TimelineFilter
from kspan.store import Store, open_store
from kspan.times import SECOND
from kspan.web.v1 import news
from tests.apiserver import Break, Refuse
from tests.apiserver.forwarding import PROXY
from tests.apiserver.port_forward import PORT_FORWARD
from tests.cli.sources.another_program import answering
from tests.cli.sources.commands import NAMESPACE, SERVICE, Remote, Terminal, remote
from tests.emit.rows import START
from tests.limits import HANG_S
from tests.query.made import CLUSTER, commit, make_object, make_pending
from tests.web.pages.site import site

WAYS = ("proxy", "forwarded port")
ALL = TimelineFilter()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "live.sqlite")) as opened:
        happen(opened, "first")
        yield opened


@pytest.fixture
def live(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Remote]:
    """A daemon whose history grows. Nobody waits for its polls."""
    monkeypatch.setattr(news, "POLL_S", 0.02)
    monkeypatch.setattr(news, "LINGER_S", 0.0)
    with remote(store, str(tmp_path / "live.sqlite"), CLUSTER, tmp_path) as found:
        yield found


NUMBERS = itertools.count()


def happen(store: Store, name: str, kind: str = "Pod", reason: str = "Failed", **columns: Any) -> None:
    """Something happens to an object, a second after what happened before."""
    number = next(NUMBERS)
    start = START + number * SECOND
    span = make_pending(f"{kind}.{reason}", key=str(number), subject=name, start=start, **columns)
    commit(store, spans=[span])


def options(live: Remote) -> HistoryOptions:
    return HistoryOptions(remote=f"{NAMESPACE}/{SERVICE}", kubeconfig=str(live.kubeconfig))


Batches = Iterator[Iterable[LineAnswer]]


@contextlib.contextmanager
def followed(live: Remote, sleep: Callable[[float], object], wanted: TimelineFilter = ALL) -> Iterator[Batches]:
    with open_asker(options(live)) as asker:
        batches = Following(asker, Daemon(asker).timeline, wanted, sleep).batches()
        with contextlib.closing(batches):
            yield batches


def names(batch: Iterable[LineAnswer]) -> list[str]:
    return [line.name for line in batch]


def never(_seconds: float) -> None:
    raise AssertionError("a connection was lost")


@contextlib.contextmanager
def command(home: Path, *args: object) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", "kspan", "timeline", "--follow", "--since", "1h", *map(str, args)]
    env = os.environ | {"KSPAN_CONFIG": os.devnull, "HOME": str(home)}
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("way, output", [("proxy", "table"), ("forwarded port", "json")])
def test_it_prints_the_same_as_locally_until_ctrl_c(
    live: Remote, store: Store, tmp_path: Path, way: str, output: str
) -> None:
    if way != "proxy":
        live.api.forbid(PROXY)
    now = time.time_ns()
    commit(store, spans=[make_pending("Pod.Create", start=now)])
    with (
        command(tmp_path, *live.local, "-o", output) as local,
        command(tmp_path, *live.flags, "-o", output) as distant,
    ):
        both = [(process, process.stdout, process.stderr) for process in (local, distant)]
        for number, name in enumerate(("Pod.Create", "Pod.Failed", "Pod.Killing")):
            if number:
                commit(store, spans=[make_pending(name, start=now + number, error=True)])
            lines = [out.readline() for _, out, _ in both if out is not None]
            assert lines[0] == lines[1]
            assert name.partition(".")[2] in lines[0]
        for process, out, err in both:
            assert out is not None
            assert err is not None
            process.send_signal(signal.SIGINT)
            assert process.wait(HANG_S) == 130
            assert (out.read(), err.read()) == ("", "")
    assert bool(live.api.backends.received) is (way == "proxy")


@pytest.mark.parametrize(
    "wanted",
    [
        ALL,
        TimelineFilter(namespace="shop"),
        TimelineFilter(kind=parse_kind("widgets")),
        TimelineFilter(name="b"),
        TimelineFilter(errors=True),
        TimelineFilter(since=START + 10**6 * SECOND),
    ],
    ids=str,
)
def test_it_selects_the_same_as_locally(
    live: Remote, store: Store, monkeypatch: pytest.MonkeyPatch, wanted: TimelineFilter
) -> None:
    monkeypatch.setattr(database, "POLL_S", 0)
    commit(store, [make_object("Widget", "b")])
    with followed(live, never, wanted) as distant, contextlib.closing(Database(store, CLUSTER).follow(wanted)) as local:
        assert names(next(distant)) == names(next(local))
        happen(store, "a")
        happen(store, "b", error=True)
        happen(store, "b", object_namespace="other")
        happen(store, "shop", "Namespace", object_namespace="")
        happen(store, "other", "Namespace", object_namespace="")
        happen(store, "b", "Widget")
        last = make_pending(
            "Widget.Last", subject="b", error=True, start=START + 10**7 * SECOND, object_namespace="shop"
        )
        commit(store, spans=[last])
        assert until_last(distant) == until_last(local)


def until_last(batches: Batches) -> list[dict[str, Any]]:
    """All occurrences up to the one whose reason is Last."""
    found: list[dict[str, Any]] = []
    for batch in batches:
        found += [msgspec.to_builtins(line) for line in batch]
        if found and found[-1]["reason"] == "Last":
            break
    return found


def test_a_proxy_that_breaks_in_the_middle_of_an_event_loses_nothing(live: Remote, store: Store) -> None:
    waited: list[float] = []
    with followed(live, waited.append) as batches:
        assert names(next(batches)) == ["first"]
        happen(store, "second")
        assert names(next(batches)) == ["second"]
        with live.api.faults.add(Break(), PROXY, "get", times=1):
            happen(store, "third")
            assert names(next(batches)) == ["third"]
        happen(store, "fourth")
        assert names(next(batches)) == ["fourth"]
    assert len(waited) == 1
    first, last = (r for r in live.api.backends.received if r.path.endswith("/v1/stream"))
    assert "last-event-id" not in first.headers
    assert last.headers["last-event-id"]
    assert len(live.api.backends.received) == 3, "the timeline is read once"


@pytest.mark.parametrize("way", WAYS)
def test_what_happens_while_a_pod_is_replaced_comes_once(live: Remote, store: Store, way: str) -> None:
    if way != "proxy":
        live.api.forbid(PROXY)
    here = (NAMESPACE, SERVICE)

    def replace(_seconds: float) -> None:
        happen(store, "between")
        live.api.backends.addresses[here] = live.address

    with contextlib.ExitStack() as old:
        live.api.backends.addresses[here] = old.enter_context(site(store, CLUSTER))
        with followed(live, replace) as batches:
            assert names(next(batches)) == ["first"]
            happen(store, "before")
            assert names(next(batches)) == ["before"]
            old.close()
            assert names(next(batches)) == ["between"]
            happen(store, "after")
            assert names(next(batches)) == ["after"]
    # One for questions and one for the stream, of each Pod.
    assert live.api.requests_seen(PORT_FORWARD) == (0 if way == "proxy" else 4)


@pytest.mark.parametrize("way", WAYS)
def test_a_stream_that_is_silent_for_too_long_is_opened_again(
    live: Remote, store: Store, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    if way != "proxy":
        live.api.forbid(PROXY)
    monkeypatch.setattr(proxied, "SILENT_S", 0.5)
    with followed(live, lambda _: happen(store, "second")) as batches:
        assert names(next(batches)) == ["first"]
        # It came while nobody listened.
        assert names(next(batches)) == ["second"]


def test_an_outage_is_reported_once_and_its_end(live: Remote, store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    waited: list[float] = []

    def wait(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            live.api.backends.addresses.clear()
        if len(waited) == 4:
            happen(store, "second")
            live.api.backends.addresses[NAMESPACE, SERVICE] = live.address

    with followed(live, wait) as batches:
        assert names(next(batches)) == ["first"]
        with live.api.faults.add(Break(), PROXY, "get", times=1):
            happen(store, "lost")
            found: list[str] = []
            while len(found) < 2:
                found += names(next(batches))
        happen(store, "third")
        assert names(next(batches)) == ["third"]
    assert found == ["lost", "second"]
    assert waited == sorted(waited), "the delays grow"
    lost, again = capsys.readouterr().err.splitlines()
    assert lost == (
        f"kspan: no news from kspan/kspan: --remote: the API server {live.api.url} answered: 503 no endpoints "
        'available for service "http:kspan:http"; trying again'
    )
    assert again == "kspan: there are news from kspan/kspan again"


def test_a_right_that_is_lost_ends_it(live: Remote, store: Store) -> None:
    def forbid(_seconds: float) -> None:
        live.api.forbid(PROXY)
        live.api.forbid(PORT_FORWARD, "create")

    with followed(live, forbid) as batches:
        assert names(next(batches)) == ["first"]
        with live.api.faults.add(Break(), PROXY, "get", times=1):
            happen(store, "lost")
            with pytest.raises(KspanError, match="you may not get services/proxy of kspan/kspan"):
                next(batches)


def test_before_anything_is_shown_an_error_ends_it(live: Remote, terminal: Terminal) -> None:
    follow = ("timeline", "--follow", *live.flags)
    local = terminal.run("timeline", "--follow", "--kind", "gizmo", *live.local)
    assert local.refused.startswith("no object of kind 'gizmo' is known")
    assert terminal.run(*follow, "--kind", "gizmo") == local
    with live.api.faults.add(Refuse(503), PROXY, "get"):
        assert terminal.run(*follow).refused == (
            f"--remote: the API server {live.api.url} answered: 503 apiserver is shutting down"
        )
    with answering(live, b"<html>\n\nwelcome</html>\n", {}):
        assert terminal.run(*follow).refused == (
            "--remote: kspan/kspan is another program, or an old version of kspan (GET /v1/stream)"
        )


@pytest.mark.parametrize("data", [b"data: {}", b"data: [1", b"data: " + b"x" * 100], ids=lambda data: data[:8])
def test_an_event_that_cannot_be_read_ends_it_with_one_line(
    live: Remote, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, data: bytes
) -> None:
    monkeypatch.setattr("kspan.cli.sources.server_events.LARGEST", 50)
    with answering(live, b"id: 1\nevent: occurrence\n" + data + b"\n\n", {"X-Kspan-Version": "99.0.0"}):
        done = terminal.run("timeline", "--follow", *live.flags)
    assert done.refused.startswith("--remote: kspan/kspan runs kspan 99.0.0, whose answer kspan ")


def test_a_time_that_cannot_be_read_ends_it_with_one_line(live: Remote, store: Store) -> None:
    with contextlib.closing(Database(store, CLUSTER).follow(ALL)) as local:
        (line,) = next(local)
    wrong = msgspec.structs.replace(line, start_time="yesterday\x1b[2J")
    with (
        open_asker(options(live)) as asker,
        contextlib.closing(Following(asker, lambda _: iter([wrong]), ALL, never).batches()) as batches,
        pytest.raises(KspanError, match="of the same version, whose answer") as refused,
    ):
        list(next(batches))
    assert "\x1b" not in str(refused.value)


def test_what_was_shown_long_ago_is_forgotten_once_there_is_much() -> None:
    shown = Shown(most=3, clock=lambda: START + 2 * LATE_NS)
    assert [shown.add(str(number), START + number * LATE_NS) for number in (0, 1, 1, 2)] == [True, True, False, True]
    assert shown.edge() == START + LATE_NS
    assert shown.add(str(9), START + 9 * LATE_NS), "a clock that is ahead"
    assert shown.edge() == START + LATE_NS
    assert [shown.add(str(number), START + number * LATE_NS) for number in (0, 1, 2, 9)] == [True, False, False, False]
