"""The parameters of requests to Jaeger's query APIs: those that the real tools sent, and hostile ones."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kspan.times import LATEST, MILLISECOND, SECOND, parse_time
from kspan.web.jaeger.requests import BadRequestError, dependency_window, legacy_search, trace_id, v3_search
from kspan.web.jaeger.search import Wanted

AROUND = {"query.startTimeMin": "2026-11-22T10:00:00.000Z", "query.startTimeMax": "2026-11-22T11:00:00.000Z"}
TEN, ELEVEN = parse_time("2026-11-22T10:00:00Z"), parse_time("2026-11-22T11:00:00Z")


def test_the_search_of_grafana_has_microseconds() -> None:
    asked = {"end": "1795345200000000", "limit": "20", "service": "kubectl", "start": "1795341600000000"}
    assert legacy_search(asked) == Wanted("kubectl", since=1795341600 * SECOND, until=1795345200 * SECOND, limit=20)


def test_the_search_of_jaeger_ui_has_times_in_rfc_3339() -> None:
    asked = {"query.serviceName": "kubectl", **AROUND, "query.searchDepth": "20"}
    assert v3_search(asked) == Wanted("kubectl", since=TEN, until=ELEVEN, limit=20)


def test_names_in_snake_case_are_taken_too() -> None:
    asked = {"query.service_name": "kubelet", "query.start_time_min": AROUND["query.startTimeMin"]}
    asked |= {"query.start_time_max": AROUND["query.startTimeMax"], "query.num_traces": "7"}
    assert v3_search(asked) == Wanted("kubelet", since=TEN, until=ELEVEN, limit=7)


@pytest.mark.parametrize(
    "text, expected",
    [("1.2s", 1_200 * MILLISECOND), ("100ms", 100 * MILLISECOND), ("1m30s", 90 * SECOND), ("5\u00b5s", 5_000), ("", 0)],
)
def test_durations_are_those_of_go(text: str, expected: int) -> None:
    assert legacy_search({"minDuration": text}).shortest == expected
    assert v3_search({**AROUND, "query.durationMax": text}).longest == expected


def test_tags_are_a_json_object_of_texts() -> None:
    assert legacy_search({"tags": '{"error":"true"}'}).tags == {"error": "true"}
    assert v3_search({**AROUND, "query.attributes": '{"a":"b"}'}).tags == {"a": "b"}


def test_dependencies_have_milliseconds() -> None:
    window = dependency_window({"endTs": "1795345200000", "lookback": "3600000"})
    assert window == (1795341600 * SECOND, 1795345200 * SECOND)


def test_times_that_the_database_cannot_hold_are_the_nearest_that_it_can() -> None:
    asked = {"query.startTimeMin": "0001-01-01T00:00:00+14:00", "query.startTimeMax": "9999-12-31T23:59:59Z"}
    assert (v3_search(asked).since, v3_search(asked).until) == (1, LATEST)
    far = "9" * 18
    found = legacy_search({"start": far, "end": far})
    assert (found.since, found.until) == (LATEST, LATEST)
    assert dependency_window({"endTs": far, "lookback": "1"}) == (LATEST, LATEST)
    assert legacy_search({}).until == LATEST


def test_a_short_trace_id_is_padded() -> None:
    assert trace_id("DFA04") == "000000000000000000000000000dfa04"


@pytest.mark.parametrize("text", ["", "g", "../../etc/passwd", "0" * 33, "\u0661"])
def test_what_is_no_trace_id_is_refused(text: str) -> None:
    with pytest.raises(BadRequestError, match="invalid trace id"):
        trace_id(text)


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({"limit": "0"}, "invalid limit 0: use 1 to 1500"),
        ({"limit": "-1"}, "invalid limit '-1': use a whole number"),
        ({"start": "soon"}, "invalid start 'soon'"),
        ({"minDuration": "5"}, "invalid minDuration '5'"),
        ({"tags": "[]"}, "invalid tags: use a JSON object of texts"),
        ({"tags": '{"a":1}'}, "invalid tags"),
    ],
)
def test_a_mistake_is_named(asked: dict[str, str], expected: str) -> None:
    with pytest.raises(BadRequestError, match=expected):
        legacy_search(asked)


def test_version_3_needs_a_time_range() -> None:
    with pytest.raises(BadRequestError, match=r"query\.startTimeMax is required"):
        v3_search({"query.startTimeMin": AROUND["query.startTimeMin"]})


NAMES = [
    *("service", "operation", "start", "end", "limit", "tags", "minDuration", "maxDuration", "endTs", "lookback"),
    *("query.startTimeMin", "query.startTimeMax", "query.durationMin", "query.searchDepth", "query.attributes"),
]


@given(st.dictionaries(st.sampled_from(NAMES), st.text() | st.from_regex(r"[0-9.]{1,30}[a-z]{0,2}", fullmatch=True)))
def test_any_text_is_understood_or_refused(asked: dict[str, str]) -> None:
    for read in (legacy_search, v3_search, dependency_window):
        with contextlib.suppress(BadRequestError):
            assert read({**AROUND, **asked})
