"""Which spans of a large trace are sent, and which are summarized. Pure.

Receivers limit traces: Tempo refuses one of more than 5 MB, and user interfaces freeze above 10,000 spans. But a
rollout of 2,000 Pods is one trace. So equal siblings (same name, service and outcome) become one span with their
number, times and some names, together with everything below them: the deepest and largest groups first, and of a group
no more than needed. What failed stays whole as long as possible. The result depends only on the trace and the limit, so
that a trace is the same whenever it is sent. The database keeps everything.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import msgspec
from msgspec.structs import replace

from kspan import vocabulary as words
from kspan.model import SpanEvent, SpanLink, SpanOutline, SpanRow

MAX_BYTES: Final = 5_000_000
"""Size of a trace in OTLP above which Tempo refuses it by default (``max_bytes_per_trace``)."""

_SPAN_BYTES: Final = 120
"""Size of a span's ids, times and status, and a part of a resource."""

_SHORT: Final = 64
"""Texts up to this length are not dropped."""

NAMES_SHOWN: Final = 20
"""Names of objects in a summary."""

_SHARED: Final = (words.OBJECT_KIND, words.OBJECT_API_VERSION, words.NAMESPACE_NAME, words.EVENT_REASON, words.RULE)
"""Attributes of a summary, from its first span. The others belong to one object."""


class Summary(msgspec.Struct, frozen=True):
    """Siblings that became one span, which has the id of the first of them.

    Args:
        count: number of siblings.
        spans: number of spans: the siblings and all below them.
        errors: how many of these spans are errors.
        names: names of their objects (or of what is below them), at most ``NAMES_SHOWN``, by start.
        end: end of the last sibling (ns). The start is that of the first.
    """

    count: int
    spans: int
    errors: int
    names: tuple[str, ...]
    end: int


class Plan(msgspec.Struct, frozen=True):
    """The spans of a trace that are sent.

    Args:
        root: span id of the first root.
        sent: span ids of the spans to send, parents before children. Some of them are summaries.
        summaries: the summaries by their span id.
        omitted: span id → number of spans below it that are neither sent nor in a summary.
        stands_for: span id of a span that is not sent → the sent span that stands for it.
    """

    root: str
    sent: list[str]
    summaries: dict[str, Summary]
    omitted: dict[str, int]
    stands_for: dict[str, str]

    @property
    def summarized(self) -> int:
        """Number of spans of the trace that are not sent as they are."""
        return sum(each.spans for each in self.summaries.values()) + sum(self.omitted.values())


class _Group:
    """Equal siblings, by start. The last ``merged`` of them become one span."""

    __slots__ = ("members", "merged")

    def __init__(self, members: list[SpanOutline]) -> None:
        self.members = members
        self.merged = 0

    @property
    def summarized(self) -> list[SpanOutline]:
        return self.members[len(self.members) - self.merged :]


def make_plan(spans: Iterable[SpanOutline], limit: int) -> Plan:
    """Choose at most ``limit`` spans (at least 1) that stand for all spans of a trace, which are in any order."""
    return _Planner(spans, limit).plan()


class _Planner:
    def __init__(self, spans: Iterable[SpanOutline], limit: int) -> None:
        self._spans = sorted(spans, key=_order)
        self._by_id = {span.span_id: span for span in self._spans}
        self._excess = len(self._spans) - limit
        self._children: dict[str, list[SpanOutline]] = defaultdict(list)
        self._levels = self._by_level()
        # Of each span and all below it: number of spans, number of errors, and number of spans to send.
        self._total = dict.fromkeys(self._by_id, 1)
        self._errors = {span.span_id: int(span.error) for span in self._spans}
        for level in reversed(self._levels):
            for span in level:
                if span.parent_span_id in self._by_id:
                    self._total[span.parent_span_id] += self._total[span.span_id]
                    self._errors[span.parent_span_id] += self._errors[span.span_id]
        self._size = dict(self._total)
        self._merged: dict[str, _Group] = {}
        self._cut: set[str] = set()

    def plan(self) -> Plan:
        """Return what to send."""
        groups = [(self._groups(level, failed=False), self._groups(level, failed=True)) for level in self._levels]
        for failed in (False, True):
            for examples in (1, 0):
                for of_level in reversed(groups):
                    self._summarize(of_level[failed], examples)
        self._cut_deepest()
        return self._result()

    def _by_level(self) -> list[list[SpanOutline]]:
        children = self._children
        for span in self._spans:
            # A root has no parent, or one in another system.
            children[span.parent_span_id if span.parent_span_id in self._by_id else ""].append(span)
        levels, level = [], children[""]
        while level:
            levels.append(level)
            level = [child for span in level for child in children.get(span.span_id, ())]
        return levels

    def _groups(self, level: list[SpanOutline], *, failed: bool) -> list[_Group]:
        """The groups of equal siblings on a level, with an error in or below each member, or with none."""
        alike: dict[tuple[str, str, str, bool], list[SpanOutline]] = defaultdict(list)
        for span in level:
            if bool(self._errors[span.span_id]) is failed:
                alike[span.parent_span_id, span.name, span.service, span.error].append(span)
        return [_Group(members) for members in alike.values() if len(members) > 1]

    def _summarize(self, groups: list[_Group], examples: int) -> None:
        """Summarize groups of one level until the limit is met, the largest first. ``examples`` of each stay whole."""
        if self._excess <= 0:
            return
        weights = {id(group): sum(self._size[member.span_id] for member in group.members) for group in groups}
        for group in sorted(groups, key=lambda group: (-weights[id(group)], *_order(group.members[0]))):
            if self._excess > 0 and not self._is_hidden(group.members[0].parent_span_id):
                self._merge(group, len(group.members) - examples)

    def _merge(self, group: _Group, at_most: int) -> None:
        """Summarize the latest of a group, no more than needed, but two at least."""
        merged, gain = group.merged, 0 if group.merged else -1  # The summary is a span, too.
        while merged < at_most and (gain < self._excess or merged < 2):
            merged += 1
            gain += self._size[group.members[-merged].span_id]
        if merged < 2 or merged == group.merged:
            return
        for member in group.members[len(group.members) - merged :]:
            self._merged[member.span_id] = group
        group.merged = merged
        self._excess -= gain
        for above in self._ancestors(group.members[0].parent_span_id):
            self._size[above] -= gain

    def _ancestors(self, span: str) -> Iterator[str]:
        """The span with this id and all above it, as far as they are in the trace."""
        while span in self._by_id:
            yield span
            span = self._by_id[span].parent_span_id

    def _is_hidden(self, span: str) -> bool:
        return any(above in self._merged for above in self._ancestors(span))

    def _cut_deepest(self) -> None:
        """Leave out the deepest spans, where siblings are all different. Never the first root."""
        for level in reversed(self._levels):
            if self._excess <= 0:
                return
            shown = [span for span in level if self._is_shown(span) and span is not self._levels[0][0]]
            shown.sort(key=lambda span: (bool(self._errors[span.span_id]), -span.start_time, span.span_id))
            self._cut.update(span.span_id for span in shown[: self._excess])
            self._excess -= min(self._excess, len(shown))

    def _is_shown(self, span: SpanOutline) -> bool:
        group = self._merged.get(span.span_id)
        return (group is None or group.summarized[0] is span) and not self._is_hidden(span.parent_span_id)

    def _result(self) -> Plan:
        root = self._levels[0][0].span_id
        by: dict[str, str] = {}
        omitted: dict[str, int] = defaultdict(int)
        for level in self._levels:
            for span in level:
                parent, group = span.parent_span_id, self._merged.get(span.span_id)
                above = by.get(parent, root)
                first = group.summarized[0].span_id if group is not None else span.span_id
                is_below_one = parent in by and (above != parent or parent in self._merged)
                by[span.span_id] = above if is_below_one or first in self._cut else first
                if span.span_id in self._cut:
                    merged = group.summarized if group is not None else ()
                    omitted[above] += sum(self._total[member.span_id] for member in merged) or 1
        return Plan(
            root=root,
            sent=[span for span, sent in by.items() if span == sent],
            summaries={
                span: self._summary(group.summarized)
                for span, group in self._merged.items()
                if by[span] == span and group.summarized[0].span_id == span
            },
            omitted=dict(omitted),
            stands_for={span: sent for span, sent in by.items() if span != sent},
        )

    def _summary(self, members: list[SpanOutline]) -> Summary:
        return Summary(
            count=len(members),
            spans=sum(self._total[member.span_id] for member in members),
            errors=sum(self._errors[member.span_id] for member in members),
            names=self._names(members),
            end=max(member.end_time for member in members),
        )

    def _names(self, members: list[SpanOutline]) -> tuple[str, ...]:
        """The names of the objects, or of what is below them if they are one object: a ReplicaSet that created Pods."""
        names = dict.fromkeys(member.object_name for member in members)
        if len(names) == 1:
            below = (child for member in members for child in self._children.get(member.span_id, ())[:1])
            names = dict.fromkeys(child.object_name for child in below) or names
        return tuple(names)[:NAMES_SHOWN]


def _order(span: SpanOutline) -> tuple[int, str]:
    return span.start_time, span.span_id


def summarized(rows: Iterable[SpanRow], plan: Plan) -> list[SpanRow]:
    """Return the spans to send, from the rows of ``plan.sent``."""
    return [_sent(row, plan) for row in rows]


def _sent(row: SpanRow, plan: Plan) -> SpanRow:
    summary, more = plan.summaries.get(row.span_id), dict[str, object]()
    if row.span_id in plan.omitted:
        more[words.OMITTED_SPANS] = plan.omitted[row.span_id]
    if row.span_id == plan.root:
        more[words.SUMMARIZED_SPANS] = plan.summarized
    if summary is None:
        return replace(row, attributes=row.attributes | more) if more else row
    shared = {key: row.attributes[key] for key in _SHARED if key in row.attributes}
    stated = {words.SUMMARY_COUNT: summary.count, words.SUMMARY_SPANS: summary.spans}
    stated |= {words.SUMMARY_ERRORS: summary.errors} if summary.errors else {}
    return replace(
        row,
        instance="",
        end_time=max(row.end_time, summary.end),
        attributes=shared | stated | {words.SUMMARY_NAMES: list(summary.names)} | more,
        events=[],
    )


def redirected(row: SpanRow, plans: Mapping[str, Plan]) -> SpanRow:
    """Let the links of a span point to what stands for their target, by the plans of the traces that are summarized.

    The trace that superseded this one may still be open, and nobody can know its plan: such a link stays, so that a
    span is the same whenever it is sent.
    """
    return replace(row, links=[_redirected(link, plans.get(link.trace_id)) for link in row.links])


def _redirected(link: SpanLink, plan: Plan | None) -> SpanLink:
    if plan is None or link.attributes.get(words.LINK) == words.SUPERSEDED:
        return link
    span = plan.stands_for.get(link.span_id)
    return replace(link, span_id=span) if span is not None else link


def shortened(rows: list[SpanRow], max_bytes: int = MAX_BYTES) -> list[SpanRow]:
    """Drop the longest attributes of a trace (mostly ``kspan.change``) until it has about ``max_bytes`` in OTLP.

    The names of the dropped attributes of a span are stated on it.
    """
    excess = sum(map(_size, rows)) - max_bytes
    if excess <= 0:
        return rows
    texts = [
        (-len(value), number, key)
        for number, row in enumerate(rows)
        for key, value in row.attributes.items()
        if isinstance(value, str) and len(value) > _SHORT
    ]
    dropped: dict[int, list[str]] = defaultdict(list)
    for length, number, key in sorted(texts):
        if excess <= 0:
            break
        dropped[number].append(key)
        excess += length
    return [_without(row, dropped[number]) if number in dropped else row for number, row in enumerate(rows)]


def _without(row: SpanRow, keys: list[str]) -> SpanRow:
    kept = {key: value for key, value in row.attributes.items() if key not in keys}
    return replace(row, attributes=kept | {words.DROPPED_ATTRIBUTES: sorted(keys)})


def _size(row: SpanRow) -> int:
    """Estimated size of a span in OTLP."""
    size = _SPAN_BYTES + len(row.name) + len(row.message) * row.error + 40 * len(row.links)
    return size + _size_of(row.attributes) + sum(map(_size_of_event, row.events))


def _size_of_event(event: SpanEvent) -> int:
    return 20 + len(event.name) + _size_of(event.attributes)


def _size_of(attributes: dict[str, object]) -> int:
    # Two tags and lengths, and those of the value.
    return sum([len(key) + 8 + (len(value) if isinstance(value, str) else 8) for key, value in attributes.items()])
