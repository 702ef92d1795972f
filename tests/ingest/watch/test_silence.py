"""Watches that are open and silent, through real reflectors. The monitor's time is passed in."""

import time
from pathlib import Path

import msgspec
import pytest

from kspan.ingest.watch import Timing, connect
from kspan.ingest.watch.silence import SilenceMonitor
from tests.apiserver import ApiServer, Refuse, Stall
from tests.ingest.watch.client.proxy import Proxy
from tests.ingest.watch.client.test_proxies import to
from tests.ingest.watch.scripted import (
    Script,
    ScriptedServer,
    bookmark,
    change,
    listed,
    lists,
    pod,
    sends,
    stay_silent,
    versions,
)
from tests.ingest.watch.test_stateful import manifest
from tests.ingest.watch.watching import EVENTS, QUICK, Collector, connection_to, reflecting, until
from tests.ingest.watch.watching import PODS as PODS_TARGET

PODS = PODS_TARGET.resource

# Nothing but the monitor ends a watch.
ENDLESS: Timing = msgspec.structs.replace(
    QUICK, watch_min=600, watch_max=600, short_min=300, short_max=300, silent=90, grace=10
)


def later(seconds: float) -> float:
    return time.monotonic() + seconds


def event(name: str) -> dict[str, object]:
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Event", "metadata": metadata, "involvedObject": {"kind": "Pod", "name": "a"}}


def delivered(got: Collector, name: str, resource: str = PODS) -> bool:
    return any(f" {name}@" in word for word in got.words(resource))


def wait_for(got: Collector, name: str, resource: str = PODS) -> None:
    until(lambda: delivered(got, name, resource), name)


def wait_for_doubts(monitor: SilenceMonitor, got: Collector, count: int = 1) -> None:
    """Let the monitor check as if 91 s had passed. It skips a stream that is delivering a line at this moment."""

    def found() -> bool:
        if len(got.doubts()) < count:
            monitor.check(later(91))
        return len(got.doubts()) >= count

    until(found, f"{count} doubts")


def wait_until_idle(monitor: SilenceMonitor) -> None:
    """Wait until all streams wait for a line."""
    until(lambda: all(activity._heard is not None for activity in monitor._activities), "idle streams")


def marked(got: Collector) -> bool:
    """True if a watch has received a bookmark: the first one ends the list."""
    return sum(word.startswith("BOOKMARK") for word in got.words()) > 1


@pytest.mark.parametrize("https", [False, True])
def test_a_watch_behind_a_proxy_that_forwards_nothing_is_reopened(tmp_path: Path, https: bool) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with ApiServer(token="secret-token", https=https, bookmark_interval=0.05) as server, Proxy() as proxy:
        connection = to(server, tmp_path, proxy.url, ENDLESS)
        with reflecting(connection, monitor=monitor) as got:
            until(lambda: marked(got), "a bookmark")
            proxy.go_silent()
            server.put(PODS, manifest("missed"))
            wait_until_idle(monitor)
            monitor.check(later(60))
            assert got.doubts() == []
            wait_for_doubts(monitor, got)
            wait_for(got, "missed")
            assert got.doubts() == ["bookmark-overdue"]


def test_reopening_is_not_a_failure_and_writes_nothing_to_the_journal(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    script = Script(listed(10), sends(change("ADDED", pod("a", 11)), bookmark(12), then=stay_silent))
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path, ENDLESS), monitor=monitor) as got,
    ):
        got.wait("BOOKMARK @12")
        script.lists = [listed(12)]
        wait_for_doubts(monitor, got)
        until(lambda: versions(server) == ["10", "12"], "a second watch")
        until(lambda: got.events[-1][0] == "connected", "the confirmation")
        assert got.events == [
            ("connected", PODS, ""),
            ("doubted", PODS, "bookmark-overdue"),
            ("connected", PODS, ""),
        ]
        assert got.words() == ["LIST @10", "BOOKMARK @10", "ADDED a@11", "BOOKMARK @12"]
        # The second list has one object, and shows whether resourceVersions started over.
        assert lists(server) == 2


def test_events_that_are_silent_while_others_advance_are_reopened(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with ApiServer() as server:
        stall = server.faults.add(Stall(), "v1/events", times=1)
        config = str(server.kubeconfig(tmp_path / "config"))
        with (
            reflecting(connect(config, timing=ENDLESS), EVENTS, monitor=monitor) as events,
            reflecting(connect(config, timing=ENDLESS), monitor=monitor) as pods,
        ):
            until(lambda: stall.hits and server.open_watches(PODS), "two watches")
            server.put("v1/events", event("missed"))
            wait_until_idle(monitor)
            monitor.check(later(91))
            assert events.doubts() == []
            server.put(PODS, manifest("a"))
            wait_for(pods, "a")
            wait_for_doubts(monitor, events)
            wait_for(events, "missed", "v1/events")
            assert events.doubts() == ["siblings-advanced"]
            assert pods.doubts() == []


def test_a_quiet_resource_without_bookmarks_is_reopened_once_until_it_has_news(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "kspan.watch")
    monitor = SilenceMonitor(ENDLESS)
    with ApiServer() as server:
        config = str(server.kubeconfig(tmp_path / "config"))
        with (
            reflecting(connect(config, timing=ENDLESS), EVENTS, monitor=monitor) as events,
            reflecting(connect(config, timing=ENDLESS), monitor=monitor) as pods,
        ):
            until(lambda: server.open_watches("v1/events") and server.open_watches(PODS), "two watches")
            server.put(PODS, manifest("first"))
            wait_for(pods, "first")
            wait_for_doubts(monitor, events)
            server.put(PODS, manifest("second"))
            wait_for(pods, "second")
            until(lambda: events.events[-1][0] == "connected", "the confirmation")
            wait_until_idle(monitor)
            monitor.check(later(299))
            assert events.doubts() == ["siblings-advanced"]
            server.put("v1/events", event("news"))
            wait_for(events, "news", "v1/events")
            server.put(PODS, manifest("third"))
            wait_for(pods, "third")
            wait_for_doubts(monitor, events, 2)
            until(lambda: events.events[-1][0] == "connected", "the confirmation")
            assert events.doubts() == ["siblings-advanced"] * 2
            assert events.reasons() == []
    assert [record.message for record in caplog.records if "silent" in record.message] == [
        "v1/events: the watch was silent and is opened again (siblings-advanced)"
    ]
    assert not [record.message for record in caplog.records if record.message.startswith("watching")]


def test_a_server_without_bookmarks_and_news_is_left_alone_until_the_end_is_overdue(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with (
        ScriptedServer(Script(listed(10))) as server,
        reflecting(connection_to(server.url, tmp_path, ENDLESS), monitor=monitor) as got,
    ):
        until(lambda: ("connected", PODS, "") in got.events, "a watch")
        wait_until_idle(monitor)
        monitor.check(later(305))
        assert got.doubts() == []
        monitor.check(later(311))
        until(lambda: len(versions(server)) == 2, "a second watch")
        assert got.doubts() == ["end-overdue"]


def test_watches_are_short_until_a_bookmark_arrives(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    script = Script(listed(10), sends(change("ADDED", pod("a", 11))), sends(bookmark(12)), sends(bookmark(13)))
    script.watches.append(sends(bookmark(14), then=stay_silent))
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path, ENDLESS), monitor=monitor) as got,
    ):
        got.wait("BOOKMARK @14")
        script.lists = [listed(14)]
        wait_for_doubts(monitor, got)
        until(lambda: len(versions(server)) == 5, "a fifth watch")
    timeouts = [request.query["timeoutSeconds"] for request in server.requests if request.watch]
    # The last one was opened in doubt: bookmarks have to arrive again first.
    assert timeouts == ["300", "300", "600", "600", "300"]


def test_bookmarks_only_before_the_end_of_a_watch_are_not_expected(tmp_path: Path) -> None:
    timing = msgspec.structs.replace(ENDLESS, grace=300)
    monitor = SilenceMonitor(timing)
    script = Script(listed(10), sends(bookmark(11)), sends(bookmark(12), then=stay_silent))
    with (
        ScriptedServer(script) as server,
        reflecting(connection_to(server.url, tmp_path, timing), monitor=monitor) as got,
    ):
        got.wait("BOOKMARK @12")
        wait_until_idle(monitor)
        monitor.check(later(299))
        assert got.doubts() == []
        assert [request.query["timeoutSeconds"] for request in server.requests if request.watch] == ["300", "300"]


def test_a_watch_that_ended_by_itself_is_not_connected_until_the_next_one_is_open(tmp_path: Path) -> None:
    timing = msgspec.structs.replace(ENDLESS, open=0.2)
    script = Script(listed(11), sends(change("ADDED", pod("a", 11))), stay_silent)
    with ScriptedServer(script) as server, reflecting(connection_to(server.url, tmp_path, timing)) as got:
        until(lambda: got.events and len(versions(server)) == 3 and got.events[-1][0] == "connected", "a third watch")
        assert [(what, reason) for what, _, reason in got.events] == [
            ("connected", ""),
            ("restarted", "timeout"),
            ("restarted", "stalled"),
            ("connected", ""),
        ]


def test_a_doubt_about_a_watch_that_a_list_replaced_is_forgotten(tmp_path: Path) -> None:
    activity = SilenceMonitor(ENDLESS).add_stream()
    with ScriptedServer(Script(listed(10))) as server:
        connection = connection_to(server.url, tmp_path, ENDLESS)
        streams = [connection.watch(PODS_TARGET, "", "10", 300) for _ in range(2)]
        with activity.watching(streams[0], 300):
            activity.interrupt_if_doubtful(float("-inf"), later(311))
        with activity.watching(streams[1], 300):
            pass
        assert activity.take_doubt() is None
        for stream in streams:
            stream.close()
        connection.close()


def test_a_stream_whose_frames_are_not_taken_is_not_silent(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with (
        ApiServer(bookmark_interval=0.05) as server,
        reflecting(to(server, tmp_path, None, ENDLESS), monitor=monitor) as got,
    ):
        until(lambda: marked(got), "a bookmark")
        got.gate.clear()
        server.put(PODS, manifest("a"))
        until(lambda: got.blocked, "a frame that waits")
        monitor.check(later(10_000))
        got.gate.set()
        wait_for(got, "a")
        assert got.doubts() == []
        assert server.requests_seen(PODS, "watch") == 1


def test_a_silent_watch_that_cannot_be_reopened_is_a_failure(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with (
        ApiServer(bookmark_interval=0.05) as server,
        reflecting(to(server, tmp_path, None, ENDLESS), monitor=monitor) as got,
    ):
        until(lambda: marked(got), "a bookmark")
        with server.faults.add(Stall(), PODS), server.faults.add(Refuse(503), PODS):
            wait_for_doubts(monitor, got)
            until(lambda: "server-error" in got.reasons(), "a failure")
        server.put(PODS, manifest("a"))
        wait_for(got, "a")
        assert [what for what, _, _ in got.events][:3] == ["connected", "doubted", "restarted"]
        assert got.events[-1][0] == "connected"


def test_an_etcd_that_was_restored_below_a_silent_watch_is_noticed(tmp_path: Path) -> None:
    monitor = SilenceMonitor(ENDLESS)
    with (
        ApiServer(bookmark_interval=0.05) as server,
        reflecting(to(server, tmp_path, None, ENDLESS), monitor=monitor) as got,
    ):
        backup = server.storage.backup()
        for name in ("a", "b"):
            server.put(PODS, manifest(name))
        until(lambda: marked(got) and delivered(got, "b"), "both Pods and a bookmark")
        with server.faults.add(Stall(), PODS, times=1) as stall:
            until(lambda: stall.hits, "a silent watch")
            server.storage.restore(backup)
            wait_for_doubts(monitor, got)
            until(lambda: "gone" in got.reasons(), "a new epoch")
        server.put(PODS, manifest("c"))
        wait_for(got, "c")
        assert any("was etcd restored?" in frame.object.decode() for frame in got.frames)
