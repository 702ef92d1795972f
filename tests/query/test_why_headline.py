"""What holds for the answer of ``why`` about every object of every recording in tests/data."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from kspan.cli.render.why import as_text
from kspan.graph import built_in_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay, replayed_with
from kspan.query.explain.wording import VERBS
from kspan.query.objects.names import ObjectName, parse_kind
from kspan.query.why import Why, why
from kspan.query.why_headline import headline
from kspan.store import Store, open_store
from kspan.terminal.screen import Screen
from kspan.terminal.text import duration
from kspan.times import MILLISECOND, SECOND, format_time, parse_time
from kspan.vocabulary import PROBABLE_MANAGER

DATA = Path(__file__).parents[1] / "data"
FILES = sorted([*DATA.glob("recordings/*/recording.jsonl.gz"), *DATA.glob("stories/*")])

FIRST_LINE = re.compile(r", (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d{3})?) UTC: ")
EARLIER = re.compile(r"(\S+) earlier")
BEFORE = re.compile(r"(\d\S*) before that")
CLOCK = re.compile(r"(?:(\d{4}-\d\d-\d\d) )?\b(\d\d:\d\d:\d\d(?:\.\d{3})?)\b")


@pytest.fixture(autouse=True)
def _unfolded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1000")


class Asked:
    """A recording, and every object of it that something happened to, with the times of its spans."""

    def __init__(self, store: Store) -> None:
        self.store = store
        (self.cluster,) = store.clusters()
        query = (
            "SELECT object_kind, object_namespace, object_name, object_uid, min(start_time), max(end_time) FROM spans "
            "WHERE object_uid NOT LIKE '%/%' GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
        )
        with store.reading("look") as connection:
            self.objects = list(connection.exec_driver_sql(query))
            query = "SELECT DISTINCT kind FROM objects"
            self.kinds = set(connection.exec_driver_sql(query).scalars())

    def answers(self) -> Iterator[Why]:
        """The answer about each object now."""
        for kind, namespace, name, uid, _, _ in self.objects:
            yield self.ask(kind, namespace, name, uid, 0)

    def answers_at(self) -> Iterator[Why]:
        """The answer about each object at the beginning, in the middle, and near the end of what happened to it."""
        for kind, namespace, name, uid, first, last in self.objects:
            for at in sorted({first, (first + last) // 2, last - MILLISECOND} - {first - MILLISECOND}):
                yield self.ask(kind, namespace, name, uid, at)

    def ask(self, kind: str, namespace: str, name: str, uid: str, at: int) -> Why:
        with self.store.reading("ask") as connection:
            return why(connection, self.cluster, ObjectName(parse_kind(kind), namespace, name), uid=uid, at=at)


@pytest.fixture(scope="module", params=FILES, ids=lambda file: "-".join(file.parts[-2:]))
def asked(request: pytest.FixtureRequest) -> Iterator[Asked]:
    with open_store("sqlite://") as store:
        replay(store, read_frames([str(request.param)]), built_in_rules(), settings=replayed_with())
        yield Asked(store)


def lines_of(answer: Why) -> list[str]:
    return ["".join(text for text, _ in pieces) for pieces in headline(answer)]


def first_time(line: str) -> int:
    """The time in the first line (Unix ns)."""
    found = FIRST_LINE.search(line)
    assert found, line
    return parse_time(f"{found[1]}Z")


def ms(time: int) -> int:
    """A time as it is printed."""
    return time // MILLISECOND * MILLISECOND


def times_in(line: str, near: int) -> list[int]:
    """The times in a line (Unix ns). One without a date is of the same day as ``near``: no recording lasts longer."""
    return [parse_time(f"{day or format_time(near)[:10]} {time}Z") for day, time in CLOCK.findall(line)]


def test_earlier_is_counted_from_the_time_in_the_first_line(asked: Asked) -> None:
    for answer in asked.answers():
        first, *rest = lines_of(answer)
        if not answer.links:
            continue
        since = first_time(first)
        known = {span.start_time for span in (link.span for link in answer.links)}
        # Times are printed in milliseconds.
        apart = {
            duration(since - time // MILLISECOND * MILLISECOND - off) for time in known for off in (0, MILLISECOND)
        }
        for line in rest:
            for text in EARLIER.findall(line):
                assert text in apart, (first, line)


def test_a_sentence_counts_from_the_first_line_once_and_then_from_the_cause_that_it_named_last(asked: Asked) -> None:
    """Two durations up to the same time would read as if they had to be added, or as if time ran backwards."""
    for answer in asked.answers():
        for line in lines_of(answer)[1:]:
            assert len(EARLIER.findall(line)) <= 1, line
            if BEFORE.search(line):
                starts = [link.span.start_time for link in answer.links]
                apart = {duration(later - time) for later in starts for time in starts if later > time}
                happened = answer.reason.happened if answer.reason is not None else 0
                apart |= {duration(happened - time) for time in starts if happened > time}
                assert set(BEFORE.findall(line)) <= apart, line


def test_a_cause_is_not_later_than_its_effect(asked: Asked) -> None:
    for answer in asked.answers():
        lines = lines_of(answer)
        if not answer.links:
            continue
        since = first_time(lines[0])
        for time in times_in(lines[1], since):
            assert time <= since + SECOND - 1, lines[:2]


def test_the_first_line_has_the_time_of_what_it_says(asked: Asked) -> None:
    for answer in asked.answers():
        chain = [link.span for link in answer.links]
        if not chain:
            continue
        shown = answer.shown
        assert shown is not None
        said = answer.message if answer.message is not None and shown.effect is None else None
        if shown.effect is not None:
            assert shown.number == 0
            assert chain[0].span_id == shown.effect.span_id, "the chain begins with the failure that is shown"
        expected = said.start_time if said is not None and chain[shown.number].error else shown.since
        assert first_time(lines_of(answer)[0]) == ms(expected)


def test_the_message_of_an_effect_is_that_of_its_first_occurrence(asked: Asked) -> None:
    for answer in asked.answers():
        for effect in answer.effects:
            with asked.store.reading("compare") as connection:
                query = "SELECT start_time, object_name, message FROM spans WHERE span_id = ?"
                assert connection.exec_driver_sql(query, (effect.span_id,)).one() == (
                    effect.first,
                    effect.example,
                    effect.message,
                )


def test_nothing_is_printed_that_is_later_than_at(asked: Asked, capsys: pytest.CaptureFixture[str]) -> None:
    for answer in asked.answers_at():
        as_text(answer, Screen())
        for line in capsys.readouterr().out.splitlines():
            if "(as of now)" in line:
                continue
            for time in times_in(line, answer.at):
                assert time <= answer.at, line


def test_an_answer_about_an_earlier_time_has_only_what_was_known_then(asked: Asked) -> None:
    for answer in asked.answers_at():
        spans = [link.span for link in answer.links] + answer.undecided + answer.resumed
        spans += [answer.problem] if answer.problem is not None else []
        for span in spans:
            assert span.end_time <= answer.at or span.start_time == span.end_time, span.name
            assert all(event.time <= answer.at for event in span.events), span.name
            assert "kspan.trace.outcome" not in span.attributes
        assert all(effect.first <= answer.at for effect in answer.effects)
        assert all(trace.start_time <= answer.at for trace in answer.followed)


def test_a_change_whose_field_manager_is_not_certain_is_probably_by_it(asked: Asked) -> None:
    for answer in asked.answers():
        lines = " ".join(lines_of(answer))
        assert "probably because probably" not in lines
        last = answer.links[-1].span if answer.links else None
        if last is not None and last.attributes.get(PROBABLE_MANAGER) and f" {VERBS[last.reason]} " in lines:
            assert "probably" in lines, lines
