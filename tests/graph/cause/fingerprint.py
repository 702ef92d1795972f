"""A fold that checks at each question to a chooser that the answer changed nothing."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import msgspec

from kspan.graph import Fold, built_in_rules
from kspan.graph.state.state import State
from kspan.model import LogRecord, RecordType
from tests.recordings import RUN_OUT


class CheckedQuestions:
    """The methods of ``asked``; a call fails if it leaves the state other than it was."""

    def __init__(self, asked: Any, state: State) -> None:
        self._asked = asked
        self._state = state
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        question: Callable[..., Any] = getattr(self._asked, name)

        @wraps(question)
        def checked(*about: Any, **named: Any) -> Any:
            before = fingerprint(self._state)
            self.calls += 1
            try:
                return question(*about, **named)
            finally:
                assert fingerprint(self._state) == before, f"{name}{about} changed the state of the fold"

        return checked


def fingerprint(state: State) -> bytes:
    """Everything that the fold remembers, as bytes."""
    traces, events, schedule, delta = state._traces, state._events, state.schedule, state._delta
    return msgspec.msgpack.encode(
        [
            state.clock.encoded(),
            list(state.objects.all()),
            sorted(state.objects._index.ownership.edges),
            list(state._occurrences.values()),
            {uid: sorted(spans) for uid, spans in state._pending.items()},
            list(traces.by_id.values()),
            {name: list(members) for name, members in traces._members.items()},
            sorted(traces.causality.edges),
            [list(index) for index in (events._about, events._decisions, events._top_level)],
            list(events._of_containers),
            [[until, occ.id] for until, occ in schedule._held],
            [schedule._checks, schedule._expiries],
            [list(delta.objects), list(delta.spans), list(delta.traces), delta._delta],
        ]
    )


def fold_checked(cluster: str, records: Sequence[LogRecord]) -> int:
    """Fold records with checked choosers.

    Returns:
        The number of questions.
    """
    fold = Fold(cluster, built_in_rules())
    decider: Any = fold._decider
    waiting: Any = fold._closer.waiting
    chooser = decider.chooser = waiting.chooser = CheckedQuestions(decider.chooser, fold.state)
    prerequisites = decider.prerequisites = CheckedQuestions(decider.prerequisites, fold.state)
    for number, record in enumerate(records, 1):
        fold.apply(number, record)
        fold.take_delta()
    fold.apply(len(records) + 1, LogRecord(RecordType.TICK, fold.now + RUN_OUT))
    return chooser.calls + prerequisites.calls
