"""Better estimates for changes of a trace that were not watched. Pure.

Such a change has a range of possible times. In a trace its range is narrower: it was made after its cause, and before
each of its effects.
"""

from typing import NamedTuple

from msgspec.structs import replace

from kspan.graph.state.records import Occurrence
from kspan.graph.state.schedule import NEVER
from kspan.graph.trace.span_times import Children, children_of, deepest_first
from kspan.times import SECOND


def with_estimated_times(members: list[Occurrence]) -> list[Occurrence]:
    """The occurrences of a trace, in order of time, with the best estimates for those whose time is uncertain."""
    if all(not occ.uncertainty for occ in members):
        return members
    children = children_of(members)
    order = deepest_first(children)
    bounds = _upper_bounds(order, children)
    found: dict[str, Occurrence] = {}
    earliest: dict[str, int] = {}
    for occ in reversed(order):
        parent = found.get(occ.place.parent)
        earliest[occ.id] = max(occ.earliest, earliest[parent.id]) if parent is not None else occ.earliest
        found[occ.id] = _estimated(occ, parent, earliest[occ.id], bounds[occ.id]) if occ.uncertainty else occ
    return sorted(found.values(), key=lambda occ: (occ.time, occ.id))


class _Bounds(NamedTuple):
    latest: int
    """The latest possible time (ns): not after that of any effect."""
    first_effect: int
    """The earliest known time of an effect, direct or not (ns); ``NEVER`` if none is known."""


def _upper_bounds(order: list[Occurrence], children: Children) -> dict[str, _Bounds]:
    bounds: dict[str, _Bounds] = {}
    for occ in order:
        effects = [bounds[child.id] for child in children.get(occ.id, ())]
        latest = min([occ.time + occ.uncertainty, *(effect.latest for effect in effects)])
        known = min([effect.first_effect for effect in effects], default=NEVER) if occ.uncertainty else occ.time
        bounds[occ.id] = _Bounds(max(occ.earliest, latest), max(occ.earliest, known))
    return bounds


def _estimated(occ: Occurrence, parent: Occurrence | None, earliest: int, bounds: _Bounds) -> Occurrence:
    """The occurrence with the time just before its first effect, or else just after its cause: both follow promptly. A
    root without an effect of known time happened in the middle of the range."""
    floor = max(earliest, parent.time) if parent is not None else earliest
    latest = bounds.latest
    if bounds.first_effect < NEVER:
        time = max(bounds.first_effect, floor)
        if time % SECOND == 0 or time == occ.earliest:
            latest += SECOND  # The time of the effect is in whole seconds.
    else:
        time = floor if parent is not None else (earliest + latest) // 2
    until = time if occ.until == occ.time else occ.until  # A moment stays one.
    return replace(occ, time=time, until=until, uncertainty=max(time - earliest, latest - time))
