"""The page of a trace without a browser: its head, its list, the data for its script, and its exports."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from kspan.emit.otlp_json_file import encode_trace
from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.model import SpanRow, TraceRow
from kspan.pipeline.projector import Projector
from kspan.query.traces import Status, TraceFilter, find_trace, list_traces
from kspan.query.waterfall.columns import CHANGE, ERROR, EVENT
from kspan.store import Store, open_store
from kspan.web.pages import trace as trace_page
from tests.causality.actors import new_pod, new_replicas, rolled_out, run
from tests.causality.cluster import Cluster
from tests.query.conftest import Histories, History
from tests.web.pages.site import Address, Node, read, site
from tests.web.test_server import ask

HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def history(histories: Histories) -> History:
    """A rolling update and its rollback."""
    return histories("02-rolling-update")


@pytest.fixture
def address(history: History) -> Iterator[Address]:
    """Where the page of this history is served."""
    with site(history.store, history.cluster) as served:
        yield served


def rollback(history: History) -> tuple[TraceRow, list[SpanRow]]:
    """The newest trace: ``kubectl rollout undo``."""
    with history.store.reading("look") as connection:
        newest = list_traces(connection, history.cluster, TraceFilter(namespace="rolling-update"), 1)[0].trace
        return find_trace(connection, history.cluster, newest.trace_id)


def fetched(address: Address, path: str, status: int = 200) -> Any:
    found, body, headers = ask(address, path)
    assert found == status, body[-2000:]
    assert headers["content-type"].startswith("application/json")
    return json.loads(body)


def data_of(page: Node) -> Any:
    return json.loads("".join(page.all("script", id="columns")[0].parts))


def test_the_head_says_who_did_what_to_which_object_and_how_it_turned_out(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    page = read(address, f"/traces/{trace.trace_id}")
    head = page.all("div", class_="head")[0]
    assert head.all("h1")[0].text == "Deployment rolling-update/web changed ok"
    assert head.all("span", class_="pill")[0].has("class_", "ok")
    facts = head.all("div", class_="facts")[0].text
    assert "by kubectl" in facts
    assert f"{len(spans)} spans" in facts
    assert [link.attributes["href"] for link in head.all("a", download="")] == [
        f"/traces/{trace.trace_id}/otlp.json",
        f"/traces/{trace.trace_id}/perfetto.json",
    ]


def test_without_a_script_the_page_lists_each_span_below_its_cause(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    page = read(address, f"/traces/{trace.trace_id}")
    shown = page.all("ul", class_="spans")[0].all("li")
    assert sorted(item.attributes["id"] for item in shown) == sorted(span.span_id for span in spans)
    below = {item.attributes["id"]: {each.attributes["id"] for each in item.all("li")} for item in shown}
    for span in spans:
        if span.parent_span_id:
            assert span.span_id in below[span.parent_span_id], span.name
    first = shown[0].text
    assert "Update web" in first
    assert "registry.example.com/shop/web:v2 → registry.example.com/shop/web:v1" in first
    assert "Scaled up replica set" in page.all("noscript")[0].text


@pytest.mark.parametrize("length", [8, 31])
def test_an_abbreviated_id_leads_to_the_trace(history: History, address: Address, length: int) -> None:
    trace, _ = rollback(history)
    status, _, headers = ask(address, f"/traces/{trace.trace_id[:length]}")
    assert (status, headers["location"]) == (307, f"/traces/{trace.trace_id}")
    status, _, headers = ask(address, f"/traces/{trace.trace_id.upper()}")
    assert (status, headers["location"]) == (307, f"/traces/{trace.trace_id}")


@pytest.mark.parametrize("given", ["0" * 32, "nothing", "%3Cscript%3E", "%00", "a" * 400])
@pytest.mark.parametrize("rest", ["", "/rows.json", "/otlp.json", "/perfetto.json", "/spans/0.json"])
def test_a_trace_that_does_not_exist_is_not_found(address: Address, given: str, rest: str) -> None:
    status, body, _ = ask(address, f"/traces/{given}{rest}")
    assert status == 404
    assert "<script>" not in body


def test_a_short_trace_is_in_the_page_and_its_columns_agree_with_its_spans(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    columns = data_of(read(address, f"/traces/{trace.trace_id}"))
    assert columns == fetched(address, f"/traces/{trace.trace_id}/rows.json")
    assert columns["id"] == [span.span_id for span in spans]
    texts = columns["texts"]
    for number, span in enumerate(spans):
        parent = columns["parent"][number]
        assert (columns["id"][parent] if parent >= 0 else "") == span.parent_span_id
        assert texts[columns["name"][number]] == span.object_name
        assert texts[columns["reason"][number]] == span.reason
        assert columns["begin"] + columns["start"][number] == pytest.approx(span.start_time / 1e6, abs=0.002)
        assert columns["end"][number] <= columns["length"]
        assert bool(columns["flags"][number] & EVENT) is bool(span.event_uid)
        assert bool(columns["flags"][number] & CHANGE) is (span.reason in ("Create", "Update", "Delete"))
    assert texts[columns["note"][0]].startswith("web.image: ")
    marks = [columns["marks"][i : i + 3] for i in range(0, len(columns["marks"]), 3)]
    assert len(marks) == sum(len(span.events) for span in spans)
    assert [mark[0] for mark in marks] == sorted(mark[0] for mark in marks), "the script relies on this order"
    assert len(texts) == len(set(texts)), "each text is once in the table"


def test_of_a_long_trace_only_the_first_spans_are_in_the_page(
    history: History, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trace_page, "FIRST", 10)
    trace, spans = rollback(history)
    page = read(address, f"/traces/{trace.trace_id}")
    columns = data_of(page)
    assert columns["id"] == [span.span_id for span in spans[:10]]
    assert columns["total"] == len(spans)
    assert len(page.all("ul", class_="spans")[0].all("li")) == 10
    assert "the first 10 of 61" in page.all("noscript")[0].text
    preloaded = [link.attributes["href"] for link in page.all("link", rel="preload")]
    assert preloaded == [f"/traces/{trace.trace_id}/rows.json"]


def test_rows_that_have_not_changed_are_not_sent_again(history: History, address: Address) -> None:
    trace, _ = rollback(history)
    path = f"/traces/{trace.trace_id}/rows.json"
    tag = ask(address, path)[2]["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        assert ask(address, path, headers={"If-None-Match": known})[:2] == (304, "")
    assert ask(address, path, headers={"If-None-Match": '"other"'})[0] == 200


def test_a_change_is_shown_with_the_values_before_and_after(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    found = {}
    for span in spans:
        detail = fetched(address, f"/traces/{trace.trace_id}/spans/{span.span_id}.json")
        assert "kspan.change" not in detail["attributes"]
        assert len(detail["events"]) == len(span.events)
        found[span.span_id] = detail["changes"]
    assert found[spans[0].span_id] == [
        {
            "path": "/spec/template/spec/containers/0/image",
            "before": "registry.example.com/shop/web:v2",
            "after": "registry.example.com/shop/web:v1",
        }
    ]
    scaled = [
        f"replicas: {change['before']} → {change['after']}"
        for span in spans
        for change in found[span.span_id]
        if change["path"] == "/spec/replicas"
    ]
    stated = [
        text for span in spans if (text := span.attributes.get("kspan.change.summary", "")).startswith("replicas")
    ]
    assert scaled == stated, "the values of the journal are those that the summaries state"
    assert ask(address, f"/traces/{trace.trace_id}/spans/nothing.json")[0] == 404


def test_the_export_is_what_the_command_and_the_file_exporter_write(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    _, body, headers = ask(address, f"/traces/{trace.trace_id}/otlp.json")
    assert body.encode() == encode_trace(spans, history.cluster)
    assert headers["content-disposition"] == f'attachment; filename="trace-{trace.trace_id[:12]}.otlp.json"'


def test_perfetto_gets_slices_that_nest_and_an_arrow_for_each_cause(history: History, address: Address) -> None:
    trace, spans = rollback(history)
    exported = fetched(address, f"/traces/{trace.trace_id}/perfetto.json")
    events = exported["traceEvents"]
    slices = [event for event in events if event["ph"] == "X"]
    assert sorted(event["args"]["span"] for event in slices) == sorted(span.span_id for span in spans)
    assert min(event["dur"] for event in slices) >= 1
    named = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["ph"] == "M"}
    assert {named[event["pid"], 0] for event in slices} == {span.service for span in spans}
    threads = defaultdict(list)
    for event in slices:
        assert "web" in named[event["pid"], event["tid"]]
        threads[event["tid"]].append((event["ts"], event["ts"] + event["dur"]))
    for known in threads.values():
        for first in known:
            for second in known:
                apart = first[1] <= second[0] or second[1] <= first[0]
                within = (first[0] <= second[0] and second[1] <= first[1]) or (
                    second[0] <= first[0] and first[1] <= second[1]
                )
                assert apart or within
    starts = {event["id"]: event for event in events if event["ph"] == "s"}
    ends = {event["id"]: event for event in events if event["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert len(starts) == sum(bool(span.parent_span_id) for span in spans)
    at = {(event["pid"], event["tid"], event["ts"]) for event in slices}
    assert all((event["pid"], event["tid"], event["ts"]) in at for event in ends.values())
    assert all(
        any(first <= event["ts"] <= last for first, last in threads[event["tid"]]) for event in starts.values()
    ), "an arrow starts within a slice"


def test_an_episode_and_the_trace_before_it_link_to_each_other(histories: Histories) -> None:
    known = histories("07-job-cronjob")
    with known.store.reading("look") as connection:
        traces = [each.trace for each in list_traces(connection, known.cluster, TraceFilter(), None)]
    ids = {trace.trace_id for trace in traces}
    episodes = [trace for trace in traces if trace.previous_trace_id in ids]
    assert episodes
    with site(known.store, known.cluster) as address:
        for episode in episodes:
            later, earlier = (
                [link.attributes["href"] for link in read(address, f"/traces/{each}").all("a")]
                for each in (episode.trace_id, episode.previous_trace_id)
            )
            assert f"/traces/{episode.previous_trace_id}" in later
            assert f"/traces/{episode.trace_id}" in earlier


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Store]:
    """An open trace whose names and messages are mark-up."""
    c = Cluster()
    web, _, _ = rolled_out(c, "web", 1)
    c.first_list()
    c.update(web, image=f"registry.example.com/{HOSTILE}", replicas=2)
    pod = new_pod(c, new_replicas(c, web, "web-2", 2), HOSTILE)
    run(c, pod, started=False)
    c.event(pod, "Failed", "</script><script>alert(2)</script>", by="kubelet", warning=True)
    c.wait(7)
    c.create("ConfigMap", "time-passes", by="kubectl-create")
    c.receive_all()
    with open_store(str(tmp_path / "kspan.sqlite")) as opened:
        projector = Projector(opened, "hostile", built_in_rules())
        projector.add(JournalBatch([record]) for record in c.records)
        projector.flush()
        yield opened


def open_trace(store: Store) -> str:
    with store.reading("look") as connection:
        found = list_traces(connection, "hostile", TraceFilter(status=Status.OPEN, name="web"), 1)
    return found[0].trace.trace_id


def test_texts_from_a_cluster_are_shown_as_text(hostile: Store) -> None:
    trace_id = open_trace(hostile)
    with site(hostile, "hostile") as address:
        _, body, _ = ask(address, f"/traces/{trace_id}")
        assert "<img" not in body
        assert "<script>alert" not in body
        columns = data_of(read(address, f"/traces/{trace_id}"))
        assert HOSTILE in columns["texts"]
        assert "</script><script>alert(2)</script>" in columns["texts"]
        failed = [number for number, flag in enumerate(columns["flags"]) if flag & ERROR]
        assert [columns["texts"][columns["reason"][number]] for number in failed] == ["Failed"]


def test_an_open_trace_says_so_and_its_rows_have_a_tag_too(hostile: Store) -> None:
    trace_id = open_trace(hostile)
    with site(hostile, "hostile") as address:
        page = read(address, f"/traces/{trace_id}")
        assert "still open" in page.all("div", class_="facts")[0].text
        assert data_of(page)["open"] is True
        path = f"/traces/{trace_id}/rows.json"
        tag = ask(address, path)[2]["etag"]
        assert ask(address, path, headers={"If-None-Match": tag})[0] == 304


def test_a_cycle_of_causes_in_a_damaged_history_is_listed_once(history: History) -> None:
    _, spans = rollback(history)
    first, second = spans[:2]
    cycle = [
        msgspec.structs.replace(first, parent_span_id=second.span_id),
        msgspec.structs.replace(second, parent_span_id=first.span_id),
    ]
    lines = trace_page.nested(cycle)
    assert [line.span.span_id for line in lines] == [first.span_id, second.span_id]
    assert sum(line.opens for line in lines) == sum(line.closes for line in lines)
