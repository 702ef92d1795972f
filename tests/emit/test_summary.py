"""What is sent of a large trace."""

import json
from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from rich.console import Console

from kspan import vocabulary as words
from kspan.emit.batch_exporter import BatchExporter
from kspan.emit.console import ConsoleExporter
from kspan.emit.export_queue import ExportQueue, ExportReport
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.otlp import open_otlp
from kspan.emit.otlp_json_file import JsonFileSender
from kspan.emit.summary import MAX_BYTES, NAMES_SHOWN, Plan, make_plan, redirected, shortened, summarized
from kspan.model import Delta, SpanLink, SpanOutline, SpanRow, TraceRow
from kspan.settings import MAX_TRACE_SPANS
from kspan.store import Store, open_store
from tests.emit.memory_store import MemoryStore
from tests.emit.receivers import Rotel
from tests.emit.rows import START, make_span, make_trace, rolling_update

CLUSTER = ClusterIdentity("cluster-1", "staging")


def outline(span: str, parent: str = "", start: int = 0, **more: Any) -> SpanOutline:
    """A span that is called like its id without the digits."""
    fields: dict[str, Any] = {"span_id": span, "parent_span_id": parent, "name": span.rstrip("0123456789")}
    fields |= {"service": "kubelet", "error": False, "start_time": start, "end_time": start + 5, "object_name": span}
    return SpanOutline(**(fields | more))


def pods(number: int, failed: tuple[int, ...] = ()) -> list[SpanOutline]:
    """A root with Pods, each with two spans below it; those in ``failed`` have a third, an error."""
    spans = [outline("root")]
    for pod in range(number):
        spans.append(outline(f"pod{pod}", "root", 10 * pod))
        spans += [outline(f"{name}{pod}", f"pod{pod}", 10 * pod + 1) for name in ("pulled", "started")]
        if pod in failed:
            spans.append(outline(f"failed{pod}", f"pod{pod}", 10 * pod + 2, error=True))
    return spans


def sent(plan: Plan) -> list[str]:
    return sorted(plan.sent)


# the choice ----------------------------------------------------------------------------------------------------------


def test_a_trace_within_the_limit_is_sent_as_it_is() -> None:
    plan = make_plan(pods(3), 10)
    assert sorted(plan.sent) == sorted(span.span_id for span in pods(3))
    assert (plan.summaries, plan.omitted, plan.stands_for, plan.summarized) == ({}, {}, {}, 0)


def test_the_latest_of_equal_siblings_become_one_span_as_few_as_needed() -> None:
    plan = make_plan(pods(5), 10)
    assert sent(plan) == ["pod0", "pod1", "pod2", "pulled0", "pulled1", "root", "started0", "started1"]
    summary = plan.summaries["pod2"]
    assert (summary.count, summary.spans, summary.errors, summary.end) == (3, 9, 0, 45)
    assert summary.names == ("pod2", "pod3", "pod4")
    assert plan.summarized == 9
    assert plan.stands_for == {
        name: "pod2" for pod in (2, 3, 4) for name in (f"pod{pod}", f"pulled{pod}", f"started{pod}") if name != "pod2"
    }


def test_one_example_stays_whole_as_long_as_possible() -> None:
    assert sent(make_plan(pods(9), 5)) == ["pod0", "pod1", "pulled0", "root", "started0"]
    assert sent(make_plan(pods(9), 4)) == ["pod0", "root"]


def test_what_failed_stays_whole_as_long_as_possible() -> None:
    plan = make_plan(pods(9, failed=(3, 7)), 10)
    whole = [f"{name}{pod}" for name in ("pod", "pulled", "started", "failed") for pod in (3, 7)]
    assert sent(plan) == sorted(["root", "pod0", *whole])
    assert plan.summaries["pod0"].count == 7
    plan = make_plan(pods(9, failed=(3, 7)), 9)
    assert sent(plan) == ["pod0", "pod3", "root"]
    assert (plan.summaries["pod3"].count, plan.summaries["pod3"].errors) == (2, 2)


def test_the_deepest_groups_come_first_and_of_these_the_largest() -> None:
    spans = [outline("root"), *(outline(f"pod{n}", "root", n) for n in range(9))]
    for name, number in (("probe", 4), ("pull", 6)):
        spans += [outline(f"{name}{n}", "pod0", 20 + n) for n in range(number)]
    assert set(make_plan(spans, len(spans) - 3).summaries) == {"pull2"}
    assert set(make_plan(spans, len(spans) - 5).summaries) == {"pull1", "probe2"}


@pytest.mark.parametrize("field, value", [("name", "Other"), ("service", "other"), ("error", True)])
def test_siblings_that_differ_are_not_summarized_together(field: str, value: object) -> None:
    spans = [outline("root"), *(outline(f"pod{n}", "root", n) for n in range(6))]
    spans[1:4] = [replace(span, **{field: value}) for span in spans[1:4]]
    plan = make_plan(spans, 3)
    assert sorted(summary.count for summary in plan.summaries.values()) == [3, 3]


def test_siblings_that_are_all_different_are_left_out_the_deepest_and_latest_first() -> None:
    spans = [outline("root"), outline("a", "root", 1), outline("b", "a", 2), outline("c", "a", 3), outline("d", "c", 4)]
    plan = make_plan(spans, 3)
    assert (sent(plan), plan.omitted, plan.summarized) == (["a", "b", "root"], {"a": 2}, 2)
    assert plan.stands_for == {"c": "a", "d": "a"}
    plan = make_plan(spans, 1)
    assert (plan.sent, plan.omitted) == (["root"], {"root": 4})


def test_a_summary_that_is_left_out_counts_for_all_its_spans() -> None:
    spans = [outline("root"), outline("a", "root", 1), *(outline(f"pod{n}", "a", n) for n in range(8))]
    plan = make_plan(spans, 2)
    assert (sent(plan), plan.omitted, plan.summaries) == (["a", "root"], {"a": 8}, {})


def test_equal_events_of_one_object_are_known_by_what_is_below_them() -> None:
    spans = [outline("root")]
    for n in range(50):
        spans += [outline(f"made{n:02}", "root", n, object_name="web"), outline(f"pod{n:02}", f"made{n:02}", n)]
    summary = make_plan(spans, 5).summaries["made01"]
    assert summary.names == tuple(f"pod{n:02}" for n in range(1, NAMES_SHOWN + 1))
    leaves = [span for span in spans if not span.name.startswith("pod")]
    assert make_plan(leaves, 5).summaries["made03"].names == ("web",)


def test_changes_below_a_remote_parent_are_siblings_of_which_the_first_is_always_sent() -> None:
    spans = [outline(f"map{n}", "elsewhere", n) for n in range(5)]
    assert sent(make_plan(spans, 2)) == ["map0", "map1"]
    assert sent(make_plan([*spans, outline("other", "elsewhere", 9)], 1)) == ["map0"]


spans_below = st.tuples(st.integers(0, 100), st.sampled_from("ab"), st.sampled_from([False] * 9 + [True]))
trees = st.lists(spans_below, min_size=1, max_size=60)


@given(tree=trees, limit=st.integers(1, 60), random=st.randoms(use_true_random=False))
def test_a_plan_keeps_the_limit_and_is_one_tree_that_accounts_for_every_span(
    tree: list[tuple[int, str, bool]], limit: int, random: Random
) -> None:
    spans = [
        outline(f"s{n}", f"s{above % n}" if n else "", n, name=name, error=error)
        for n, (above, name, error) in enumerate(tree)
    ]
    plan = make_plan(spans, limit)
    by_id, there = {span.span_id: span for span in spans}, set(plan.sent)
    assert len(plan.sent) <= max(limit, 1)
    assert [name for name in plan.sent if not by_id[name].parent_span_id] == ["s0"] == [plan.root]
    assert {by_id[name].parent_span_id for name in plan.sent} - {""} <= there - plan.summaries.keys()
    assert plan.stands_for.keys() == by_id.keys() - there
    assert set(plan.stands_for.values()) <= there
    assert len(there - plan.summaries.keys()) + plan.summarized == len(spans)
    assert not plan.summarized or len(spans) > limit
    shuffled = random.sample(spans, len(spans))
    assert make_plan(shuffled, limit) == plan


# the spans -----------------------------------------------------------------------------------------------------------


def outlines(rows: list[SpanRow]) -> list[SpanOutline]:
    return [SpanOutline(*(getattr(row, field) for field in SpanOutline.__struct_fields__)) for row in rows]


def test_a_summary_states_how_many_spans_it_stands_for_and_of_which_objects() -> None:
    trace, rows = rolling_update(pods=12, failing=True)
    plan = make_plan(outlines(rows), 10)
    found = {row.span_id: row for row in summarized([row for row in rows if row.span_id in plan.sent], plan)}
    ((name, _),) = plan.summaries.items()
    row = found[name]
    assert row.name == "ReplicaSet.SuccessfulCreate"
    assert row.attributes[words.SUMMARY_COUNT] == 11
    assert row.attributes[words.SUMMARY_SPANS] == 55
    assert row.attributes[words.SUMMARY_ERRORS] == 11
    assert len(row.attributes[words.SUMMARY_NAMES]) == 11
    assert row.attributes[words.OBJECT_KIND] == "ReplicaSet"
    assert words.OBJECT_NAME not in row.attributes
    assert row.end_time == max(span.end_time for span in rows if span.name == row.name)
    assert found[trace.root_span_id].attributes[words.SUMMARIZED_SPANS] == 55


def test_a_span_states_how_many_below_it_are_left_out() -> None:
    rows = [make_span("A.A", key="a"), make_span("B.B", key="b", parent="a"), make_span("C.C", key="c", parent="b")]
    plan = make_plan(outlines(rows), 2)
    found = summarized(rows[:2], plan)
    assert found[1].attributes[words.OMITTED_SPANS] == 1
    assert found[0].attributes[words.SUMMARIZED_SPANS] == 1


def test_links_point_to_what_stands_for_their_target() -> None:
    plan = Plan("r", ["r", "s"], {}, {}, {"x": "s"})
    links = [SpanLink("large", "x", {"a": 1}), SpanLink("large", "r", {}), SpanLink("other", "x", {})]
    row = redirected(make_span("A.A", links=links), {"large": plan})
    assert row.links == [SpanLink("large", "s", {"a": 1}), *links[1:]]


def test_a_link_to_a_superseding_change_stays_the_same_whether_its_trace_is_closed_already_or_not() -> None:
    plan = Plan("r", ["r", "s"], {}, {}, {"x": "s"})
    link = SpanLink("large", "x", {"kspan.link": "superseded by"})
    assert redirected(make_span("A.A", links=[link]), {"large": plan}).links == [link]


def test_the_longest_texts_of_a_trace_that_is_still_too_large_are_dropped() -> None:
    rows = [
        make_span("A.A", key=f"{n}", attributes={words.CHANGE: "x" * (100 + n), words.OBJECT_NAME: "y" * 64, "n": n})
        for n in range(9)
    ]
    assert shortened(rows) is rows
    found = shortened(rows, 9 * 300 + 300)
    dropped = [row.attributes["n"] for row in found if words.DROPPED_ATTRIBUTES in row.attributes]
    assert dropped == sorted(dropped)
    assert dropped[-1:] == [8]
    assert 0 < len(dropped) < 9
    assert found[8].attributes == {words.OBJECT_NAME: "y" * 64, "n": 8, words.DROPPED_ATTRIBUTES: [words.CHANGE]}
    assert found[: 9 - len(dropped)] == rows[: 9 - len(dropped)]


# a rollout of 2,000 Pods ---------------------------------------------------------------------------------------------


def rollout(pods: int) -> tuple[TraceRow, list[SpanRow]]:
    """A Deployment of so many Pods: seven spans for each, with the attributes that the fold gives them."""
    rows: list[SpanRow] = []

    def add(name: str, key: str, parent: str, at: int, subject: str, **more: Any) -> None:
        kind, _, reason = name.partition(".")
        uid = f"4a8c1f0e-0000-4000-8000-{len(rows):012}"
        attributes = {
            words.OBJECT_KIND: kind,
            words.OBJECT_NAME: subject,
            words.OBJECT_UID: uid,
            words.OBJECT_API_VERSION: "v1",
            words.OBJECT_RESOURCE_VERSION: "123456",
            words.NAMESPACE_NAME: "shop",
            words.NODE_NAME: "node-1",
            **words.object_attributes(kind, subject, uid),
            words.EVENT_UID: uid,
            words.EVENT_NAME: f"{subject}.18ab68b9fff0c400",
            words.EVENT_REASON: reason,
            words.EVENT_START_TIME: "2025-12-04T14:03:07.000000Z",
            words.EVENT_MESSAGE: "Successfully assigned shop/web-854b7f4f-x7k2p to node-1",
            words.EVENT_COUNT: 1,
            words.RULE: "subject",
            words.CONFIDENCE: 0.98,
        }
        more = {"service": "kubelet", "instance": "node-1", **more}
        rows.append(
            make_span(name, key=key, parent=parent, start=START + at, subject=subject, attributes=attributes, **more)
        )

    add("Deployment.Create", "root", "", 0, "web")
    add("Deployment.ScalingReplicaSet", "scaled", "root", 1, "web")
    add("ReplicaSet.Create", "made", "scaled", 2, "web-854b7f4f")
    for number in range(pods):
        pod = f"web-854b7f4f-{number:05}"
        add("ReplicaSet.SuccessfulCreate", f"event {pod}", "made", 10 * number, "web-854b7f4f")
        add("Pod.Create", pod, f"event {pod}", 10 * number, pod)
        for name in ("Scheduled", "Pulled", "Created", "Started", "Ready"):
            add(f"Pod.{name}", f"{name} {pod}", pod, 10 * number + 1, pod)
    return make_trace(rows), rows


def otlp_size(rows: list[SpanRow]) -> int:
    return len(encode_spans([readable_span(row, CLUSTER) for row in rows]).SerializeToString())


def export(store: Store | MemoryStore, cluster: str, exporter: BatchExporter) -> ExportReport:
    queue = ExportQueue(store, cluster, "otlp", exporter, max_spans=MAX_TRACE_SPANS)
    try:
        return queue.export_pending(START)
    finally:
        queue.close()


def test_a_rollout_of_2000_pods_arrives_at_a_receiver_and_is_below_its_limits(
    rotel: Rotel, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trace, rows = rollout(2_000)
    store.add(trace, rows)
    plan = make_plan(outlines(rows), MAX_TRACE_SPANS)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", rotel.http_endpoint)
    report = export(store, store.cluster, BatchExporter(open_otlp(), CLUSTER))
    assert (report.traces, report.spans, report.reason) == (1, len(plan.sent), "")
    rotel.wait_for_spans(set(plan.sent))
    (summary,) = plan.summaries
    assert f"{words.SUMMARY_COUNT}: Int({plan.summaries[summary].count})" in rotel.block_of(summary)
    assert f"{words.SUMMARIZED_SPANS}: Int({plan.summarized})" in rotel.block_of(trace.root_span_id)
    small = summarized([row for row in rows if row.span_id in plan.sent], plan)
    print(f"{len(rows)} spans, {otlp_size(rows) / 1e6:.1f} MB: {len(small)} spans, {otlp_size(small) / 1e6:.1f} MB")
    assert otlp_size(small) < MAX_BYTES < otlp_size(rows)


def test_a_trace_that_is_sent_again_has_the_same_bytes(tmp_path: Path) -> None:
    trace, rows = rollout(900)
    for seed, name in enumerate(("one", "two")):
        with open_store("sqlite://") as store:
            store.commit("c", 1, [], [], Delta(spans=Random(seed).sample(rows, len(rows)), traces=[trace]))
            assert export(store, "c", BatchExporter(JsonFileSender(tmp_path / name), CLUSTER)).traces == 1
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_link_into_a_large_trace_points_to_a_span_that_was_sent(tmp_path: Path) -> None:
    """Also when the large trace was sent long before."""
    trace, rows = rollout(900)
    links = [SpanLink(trace.trace_id, row.span_id, {}) for row in (rows[0], rows[-1])]
    later = [make_span("Pod.Killing", trace="later", links=links)]
    file = tmp_path / "spans"
    with open_store("sqlite://") as store:
        store.commit("c", 1, [], [], Delta(spans=rows, traces=[trace]))
        export(store, "c", BatchExporter(JsonFileSender(file), CLUSTER))
        store.commit("c", 1, [], [], Delta(spans=later, traces=[make_trace(later, closed_at=trace.closed_at + 1)]))
        export(store, "c", BatchExporter(JsonFileSender(file), CLUSTER))
    *large, small = (json.loads(line) for line in file.read_text().splitlines())
    sent_ids = {span["spanId"] for line in large for span in spans_in(line)}
    assert len(sent_ids) <= MAX_TRACE_SPANS < len(rows)
    (span,) = spans_in(small)
    assert [link["spanId"] in sent_ids for link in span["links"]] == [True, True]
    assert span["links"][0]["spanId"] == trace.root_span_id


def spans_in(line: dict[str, Any]) -> list[dict[str, Any]]:
    return [span for each in line["resourceSpans"] for scope in each["scopeSpans"] for span in scope["spans"]]


def test_of_a_large_trace_only_what_is_sent_is_read_whole() -> None:
    trace, rows = rollout(900)
    whole: list[int] = []

    class Counting(MemoryStore):
        def spans_of(self, cluster: str, trace_ids: Sequence[str]) -> list[SpanRow]:
            assert not trace_ids
            return []

        def outlines_of(self, cluster: str, trace_id: str) -> list[SpanOutline]:
            return outlines(rows)

        def spans_among(self, cluster: str, trace_id: str, span_ids: Sequence[str]) -> list[SpanRow]:
            whole.append(len(span_ids))
            return [row for row in rows if row.span_id in set(span_ids)]

    store = Counting()
    store.add(trace, rows)
    queue = ExportQueue(store, store.cluster, "console", ConsoleExporter(Console(file=StringIO())), max_spans=100)
    assert queue.export_pending(START).spans == sum(whole) <= 100


def test_without_a_limit_a_trace_is_sent_whole(tmp_path: Path) -> None:
    trace, rows = rollout(900)
    store = MemoryStore()
    store.add(trace, rows)
    exporter = BatchExporter(JsonFileSender(tmp_path / "spans"), CLUSTER)
    queue = ExportQueue(store, store.cluster, "file", exporter)
    assert queue.export_pending(START).spans == len(rows)
    queue.close()
