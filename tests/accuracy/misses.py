"""Lists the occurrences in the wrong place: where they are, and where they belong."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from tests.accuracy.score_traces import ancestors, attrs, opened, read_spans

Span = dict[str, Any]
MISSING = "(missing)"

SAME_PLACE = 2
"""Maximum seconds between an action and the start of its root, as in the scorer."""


class Miss(NamedTuple):
    """An occurrence in the wrong place: it lowers the ``columns`` of the score; ``rule`` chose its cause."""

    kind: str
    occurrence: str
    columns: tuple[str, ...]
    belongs: str
    found: str
    rule: str


def find_misses(truth_path: Path, spans_path: Path) -> list[Miss]:
    """Return the misses of one scenario, in the order of the truth."""
    with opened(str(truth_path)) as file:
        truth = msgspec.json.decode(file.read())
    scorer = _Looker(truth, read_spans(str(spans_path)))
    return [miss for event in scorer.todo if (miss := scorer.look(event)) is not None]


def _rule(span: Span | None) -> str:
    attributes = span["attrs"] if span is not None else {}
    return f"{attributes.get('kspan.rule', MISSING)} (confidence {attributes.get('kspan.confidence', 0):.2f})"


class _Looker:
    def __init__(self, truth: dict[str, Any], spans: dict[tuple[str, str], Span]) -> None:
        self.actions = {action["id"]: action for action in truth["actions"]}
        self.remote = truth.get("remote_parents", ())
        self.spans = spans
        self.by_event: dict[str, list[Span]] = defaultdict(list)
        for span in spans.values():
            if uid := span["attrs"].get("k8s.event.uid"):
                self.by_event[uid].append(span)
        self.todo = [event for event in truth["events"] if event["action"] and not event["listed"]]
        self.where = {self._key(event): self._find(event) for event in self.todo}
        self.home = self._most((e["action"], self._trace(e)) for e in self.todo)
        self.owner = self._most((self._trace(e), e["action"]) for e in self.todo)

    def look(self, event: dict[str, Any]) -> Miss | None:
        span = self.where[self._key(event)]
        columns = tuple(self._wrong(event, span))
        if not columns:
            return None
        message = " ".join(event["message"].split())[:60].replace("`", "'")
        name = f"{event['kind']}/{event['object']} {event['reason']} #{event['count']}: {message}"
        root = [span, *ancestors(self.spans, span)][-1] if span is not None else None
        found = f"{root['name']} {root['attrs'].get('k8s.object.name', '')}" if root is not None else MISSING
        kind, belongs = f"{event['kind']}.{event['reason']}", self._described(self.actions[event["action"]])
        return Miss(kind, name, columns, belongs, found, _rule(span))

    def _wrong(self, event: dict[str, Any], span: Span | None) -> Iterable[str]:
        if span is None:
            yield "found"
        trace = self._trace(event)
        if self.home[event["action"]] != trace or self.owner[trace] != event["action"]:
            yield "grouping"
        if span is None or not self._root_is_right(self.actions[event["action"]], span):
            yield "root"
        if event.get("above") and not self._is_below(span, event["above"]):
            yield "above"

    def _root_is_right(self, action: dict[str, Any], span: Span) -> bool:
        root = [span, *ancestors(self.spans, span)][-1]
        uid, kind = root["attrs"].get("k8s.object.uid"), root["attrs"].get("k8s.object.kind")
        tick = action["kind"] == "Job" and kind == "CronJob" and "cronjob" in action["who"]
        near = abs(int(root["startTimeUnixNano"]) / 1e9 - action["time"]) <= SAME_PLACE
        local = not root.get("parentSpanId") or root["parentSpanId"] in self.remote
        return (uid == action["uid"] or tick) and near and local

    def _is_below(self, span: Span | None, uid: str) -> bool:
        above = ancestors(self.spans, span) if span is not None else ()
        return any(one["attrs"].get("k8s.event.uid") == uid for one in above)

    def _find(self, event: dict[str, Any]) -> Span | None:
        spans = self.by_event.get(event["uid"], [])
        for span in spans:
            if int(span["attrs"].get("k8s.event.count", 1)) == event["count"]:
                return span
        for span in spans:
            for event_ in span.get("events", []):
                if int(attrs(event_.get("attributes")).get("k8s.event.count", -1)) == event["count"]:
                    return span
        return None

    def _trace(self, event: dict[str, Any]) -> str:
        span = self.where[self._key(event)]
        return str(span["traceId"]) if span is not None else f"{MISSING} {self._key(event)}"

    @staticmethod
    def _key(event: dict[str, Any]) -> tuple[str, int]:
        return event["uid"], event["count"]

    @staticmethod
    def _most(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for first, second in pairs:
            counts[first][second] += 1
        return {first: max(sorted(found), key=found.__getitem__) for first, found in counts.items()}

    @staticmethod
    def _described(action: dict[str, Any]) -> str:
        generation = f", generation {action['generation']}" if action["generation"] else ""
        return f"{action['who']}: {action['verb']} {action['kind']}/{action['name']}{generation}"
