"""The reason of what an answer of ``why`` shows: what made it happen, as far as the journal knows it.

A creation is where a history begins. It explains an end of a container, a deadline or a missing object less than the
thing itself does. Only what is recorded is stated: without a record there is no reason.
"""

from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection

from kspan.model import ObjectRow, SpanRow
from kspan.query.explain.effects import Effect
from kspan.query.explain.own import is_end
from kspan.query.explain.reasons import deadlines, disruptions, ends, flapping, waiting
from kspan.query.explain.reasons.reason import Reason
from kspan.query.explain.shown import Shown


class Facts(msgspec.Struct, frozen=True):
    """The facts about the occurrence whose reason is wanted.

    Args:
        asked: the object that it happened to.
        chain: its newest occurrence and the causes.
        shown: what the answer begins with.
        problem: an error of the object before that, which is over.
        problem_since: when there was one of the same reason first (Unix ns).
        effects: other effects of the root cause.
        until: the time that is asked about (Unix ns).
    """

    asked: ObjectRow
    chain: Sequence[SpanRow]
    shown: Shown
    problem: SpanRow | None
    problem_since: int
    effects: Sequence[Effect]
    until: int


def reason_of(connection: Connection, cluster: str, facts: Facts) -> Reason | None:
    """Return the reason; None if the journal does not know one that is nearer than the chain of causes."""
    shown, behind = facts.chain[facts.shown.number], facts.chain[facts.shown.number + 1 :]
    if is_end(shown):
        return disruptions.failed_probe(shown, behind) or ends.reason(connection, cluster, facts.asked, shown, behind)
    if shown.reason == "Delete":
        return disruptions.reason(connection, cluster, facts.asked, shown, behind)
    if (flaps := flapping.reason(connection, cluster, facts.asked, shown, facts.until)) is not None:
        return flaps
    if shown.error:
        found = deadlines.reason(connection, cluster, facts.asked, shown, facts.until)
        found = found or waiting.missing(connection, cluster, shown, facts.until)
        return found or waiting.named_dependent(connection, cluster, shown, behind, facts.effects)
    if facts.problem is not None:
        return waiting.came(connection, cluster, facts.asked, facts.problem, facts.problem_since, shown)
    return None
