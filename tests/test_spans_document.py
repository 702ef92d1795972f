"""``docs/spans.md`` names everything that recordings produce, and nothing that none produces unless it says so."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from opentelemetry.semconv._incubating.attributes import container_attributes, k8s_attributes, service_attributes

from kspan.daemon.metrics import Metrics
from kspan.emit.otel_spans import ClusterIdentity, readable_span
from kspan.emit.summary import make_plan, shortened, summarized
from kspan.model import SpanOutline, SpanRow
from kspan.settings import FoldSettings
from tests.recordings import RECORDINGS, SCENARIOS, fold, journal_of, recording

DOCUMENT = Path(__file__).parents[1] / "docs" / "spans.md"
SETTINGS = FoldSettings(span_labels=("app",))
"""All recordings have Pods with this label."""

CASES = sorted(RECORDINGS.parent.glob("cases/*.json*"))
INPUTS = sorted(RECORDINGS.parent.glob("stories/*.jsonl*"))

TYPES = {"string": str, "int": int, "double": float, "boolean": bool, "string[]": list}

Cells = list[str]


class Attribute(NamedTuple):
    """A row about an attribute."""

    name: str
    type: str
    source: str
    rare: bool


def section(heading: str) -> str:
    (found,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return str(found)


def rows(heading: str) -> Iterator[Cells]:
    """The rows of all tables in a section, without their headings."""
    for table in re.findall(r"(?:^\|.*\n)+", section(heading), re.MULTILINE):
        for line in table.splitlines()[2:]:
            yield [cell.strip() for cell in line.strip("|").split("|")]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]*)`", cell)


def attributes(heading: str) -> dict[str, Attribute]:
    found = {}
    for cells in rows(heading):
        (name,), rare = names(cells[0]), cells[6] == "rare"
        assert name not in found, f"{name} is documented twice"
        found[name] = Attribute(name, cells[1], cells[4], rare)
    return found


def event_attributes() -> dict[str, set[str]]:
    """The attributes of span events and their types."""
    found: dict[str, set[str]] = {}
    for cells in rows("Span events"):
        found.setdefault(names(cells[2])[0], set()).add(cells[3])
    return found


# what is produced ----------------------------------------------------------------------------------------------------


@cache
def produced() -> tuple[SpanRow, ...]:
    """The spans of all recordings and inputs."""
    found: list[SpanRow] = []
    for file in [*map(recording, SCENARIOS), *CASES, *INPUTS]:
        cluster, records = journal_of(file)
        found += (SpanRow(**row) for row in fold(cluster, records, settings=SETTINGS)["spans"])
    return tuple(found)


@cache
def sent() -> tuple[SpanRow, ...]:
    """These spans, those of large traces as they are exported if the limits are very low."""
    traces: dict[str, list[SpanRow]] = {}
    for row in produced():
        traces.setdefault(row.trace_id, []).append(row)
    found = list(produced())
    for of_trace in traces.values():
        for limit in (3, 10):
            if len(of_trace) > limit:
                outlines = [msgspec.convert(row, SpanOutline, from_attributes=True) for row in of_trace]
                plan = make_plan(outlines, limit)
                found += shortened(summarized([row for row in of_trace if row.span_id in plan.sent], plan), 1)
    return tuple(found)


def key(name: str) -> str:
    """The name of an attribute as it is documented."""
    return "k8s.pod.label.<key>" if name.startswith("k8s.pod.label.") else name


def types_of(value: Any) -> str:
    return next(name for name, kind in TYPES.items() if type(value) is kind)


# the tests -----------------------------------------------------------------------------------------------------------


def test_every_span_attribute_of_a_recording_is_documented_with_its_type() -> None:
    documented, found = attributes("Span attributes"), dict[str, str]()
    for row in sent():
        for name, value in row.attributes.items():
            found[key(name)] = types_of(value)
    assert found == {name: documented[name].type for name in found if name in documented}


def test_every_span_attribute_that_is_not_marked_as_rare_is_in_a_recording() -> None:
    found = {key(name) for row in sent() for name in row.attributes}
    documented = attributes("Span attributes").values()
    assert {one.name for one in documented if not one.rare} - found == set()
    assert {one.name for one in documented if one.rare} & found == set(), "not rare"


def test_the_resource_attributes_are_those_documented() -> None:
    identity = ClusterIdentity("5f1e7a0c-0000-4000-8000-000000000000", "staging")
    found = {name for row in produced() for name in readable_span(row, identity).resource.attributes}
    assert found == set(attributes("Resource attributes"))


def test_names_of_the_semantic_conventions_are_names_of_the_semantic_conventions() -> None:
    conventions = {
        value
        for module in (k8s_attributes, container_attributes, service_attributes)
        for name, value in vars(module).items()
        if name.isupper()
    }
    for one in (*attributes("Span attributes").values(), *attributes("Resource attributes").values()):
        assert (one.source == "semconv") == (one.name.removesuffix(".<key>") in conventions), one.name
        assert one.source in ("semconv", "k8sevents", "k8s_cluster", "kspan")
        assert (one.source == "kspan") >= one.name.startswith("kspan."), one.name


def test_every_example_has_the_type_of_its_attribute() -> None:
    for heading in ("Span attributes", "Resource attributes"):
        for cells in rows(heading):
            (example,) = names(cells[3])
            if cells[1] != "string":
                assert types_of(msgspec.json.decode(example)) == cells[1], cells[0]


def test_every_span_has_a_name_of_a_documented_pattern() -> None:
    patterns = {pattern for cells in rows("Span names") for pattern in names(cells[0])}
    found = {_pattern(row) for row in produced()}
    assert found == patterns


def _pattern(row: SpanRow) -> str:
    kind, _, reason = row.name.partition(".")
    assert (kind, reason) == (row.object_kind, row.reason)
    known = row.attributes
    if "k8s.event.uid" in known:
        return "KIND.REASON"
    if "kspan.condition.type" in known:
        status, stated = known["kspan.condition.status"], known["kspan.condition.type"]
        assert reason == (stated if status in ("True", "phase") else f"{stated}={status}")
        return "KIND.PHASE" if status == "phase" else "KIND.TYPE" if status == "True" else "KIND.TYPE=STATUS"
    return row.name if reason.startswith("Container") else f"KIND.{reason}"


def test_every_event_of_a_span_is_documented_and_every_documented_one_is_in_a_recording() -> None:
    found: dict[str, set[str]] = {}
    for row in produced():
        for event in row.events:
            for name, value in event.attributes.items():
                found.setdefault(name, set()).add(types_of(value))
    assert found == event_attributes()


def test_every_kind_of_link_is_documented_and_in_a_recording_unless_it_is_rare() -> None:
    documented = {names(cells[0])[0]: cells[3] == "rare" for cells in rows("Links")}
    found = set()
    for row in produced():
        for link in row.links:
            assert list(link.attributes) == ["kspan.link"]
            found.add(link.attributes["kspan.link"])
    assert found == {name for name, rare in documented.items() if not rare}


def test_every_link_leads_to_a_span_of_the_trace_that_it_names() -> None:
    there = {(row.trace_id, row.span_id) for row in produced()}
    for row in produced():
        for link in row.links:
            assert (link.trace_id, link.span_id) in there, f"{row.name} {row.object_name}: {link}"
            assert link.trace_id != row.trace_id


def test_the_statuses_are_those_documented() -> None:
    statuses = {names(cells[0])[0] for cells in rows("Status")}
    identity = ClusterIdentity()
    found = {readable_span(row, identity).status.status_code.name.capitalize() for row in produced()}
    assert found == statuses


def test_the_metrics_are_those_documented() -> None:
    metrics = Metrics()
    metrics.register_target("otlp")
    documented = {names(cells[0])[0]: cells for cells in rows("Metrics")}
    found = {}
    for family in metrics.registry.collect():
        if family.name.startswith("kspan"):
            suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
            found[family.name + suffix] = "gauge" if family.type == "info" else family.type
    assert found == {name: cells[1] for name, cells in documented.items()}


def test_the_labels_of_metrics_are_those_documented() -> None:
    documented = {names(cells[0])[0]: names(cells[3]) for cells in rows("Metrics")}
    for collector, found in Metrics().registry._collector_to_names.items():
        for name in documented.keys() & set(found):
            labels = list(getattr(collector, "_labelnames", ()))
            assert labels == documented[name] or name == "kspan_build_info", name
