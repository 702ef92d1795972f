"""Changes that nobody saw: what managedFields tell of an object that was there before we were. Pure.

An object that exists starts no trace; but what happens to it (and the Events of the last hour that a first list
brings) may go back to its creation or its last change shortly before. Only then are these made up, with the same
identities that they would have had if they had been seen.
"""

from kspan.graph.observe import field_managers
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import SYNTHETIC_CREATE, SYNTHETIC_UPDATE, Baseline, KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.settings import FoldSettings
from kspan.times import SECOND


def infer_changes(
    state: State, rules: Rules, settings: FoldSettings, obj: ObjectState, near: int
) -> list[tuple[Occurrence, KnownChange]] | None:
    """The creation and the newest update of a listed object, if they are not older than a trace can be.

    Args:
        near: time (ns) of the occurrence whose cause is chosen.

    Returns:
        Changes that are not known yet, oldest first; None if there is nothing to infer.
    """
    seen = obj.baseline
    if seen is None or near < obj.created - SECOND:
        return None  # What happened before the object existed was not caused by it.
    newest = _last_writer(rules, obj, seen)
    made = []
    if near - obj.created <= settings.max_trace_age:
        made.append(_create(state, rules, obj, seen))
    changed = seen.generation > 1 or (obj.kind == "Node" and bool(field_managers.node_change(b"", obj.spec)))
    updated = newest is not None and changed and newest.time >= obj.created + SECOND
    if newest is not None and updated and near - newest.time <= settings.max_trace_age:
        made.append(_update(state, rules, obj, seen, newest))
    if not made:
        return None
    made = [occ for occ in made if not state.holds(occ.id)]
    changes = [_cause(occ, seen, newest=occ is made[-1]) for occ in made]
    if obj.kind == "Node" and made and made[-1].verb == "Update":
        changes[-1].turned = field_managers.node_change(b"", obj.spec)
    return list(zip(made, changes, strict=True))


def _last_writer(rules: Rules, obj: ObjectState, seen: Baseline) -> field_managers.FieldManagerEntry | None:
    """Of a Node the last who was no controller: those write it all the time."""
    people = [w for w in seen.field_managers if not rules.is_controller(w.manager)] if obj.kind == "Node" else ()
    return field_managers.newest_entry(people or seen.field_managers)


def _cause(occ: Occurrence, seen: Baseline, *, newest: bool) -> KnownChange:
    cause = KnownChange(occ.id, occ.verb, occ.rv, occ.time, manual=not occ.by_controller)
    if newest:
        cause.replicas, cause.template = seen.replicas, seen.template
    return cause


def _create(state: State, rules: Rules, obj: ObjectState, seen: Baseline) -> Occurrence:
    first = min(seen.field_managers, key=lambda w: (w.time, w.manager), default=None)
    manager = first.manager if first is not None and first.time <= obj.created + SECOND else ""
    occ = _occurrence(state, rules, obj, "Create", manager, obj.created, 1 if seen.generation else 0)
    occ.rv = SYNTHETIC_CREATE
    if len(seen.field_managers) <= 1 and seen.generation <= 1:
        occ.traceparent = obj.traceparent
        # A status may have been written since, by nobody that managedFields tell of; where there is no generation, the
        # version is the identity.
        occ.resource_version = "" if seen.generation else seen.resource_version
    return occ


def _update(
    state: State, rules: Rules, obj: ObjectState, seen: Baseline, writer: field_managers.FieldManagerEntry
) -> Occurrence:
    occ = _occurrence(state, rules, obj, "Update", writer.manager, writer.time, seen.generation)
    occ.rv = SYNTHETIC_UPDATE
    return occ


def _occurrence(
    state: State, rules: Rules, obj: ObjectState, verb: str, manager: str, time: int, generation: int
) -> Occurrence:
    controlled = rules.is_controller(manager) or bool(obj.owner and manager == obj.owner_manager)
    owner = state.object(obj.owner) if obj.owner else None
    actor = rules.actors.get(owner.kind, "") if owner is not None and rules.is_controller(manager) else ""
    key = (obj.uid, verb) if verb == "Create" else (obj.uid, verb, str(generation))
    return Occurrence(
        id=span_id(state.cluster, *key),
        uid=obj.uid,
        kind=obj.kind,
        namespace=obj.namespace,
        name=obj.name,
        reason=verb,
        arrival=0,  # numbered when it is added
        received=state.clock.now,
        time=time,
        latest=time + SECOND,
        verb=verb,
        api_version=obj.api_version,
        generation=generation,
        actor=actor or field_managers.service_of(manager) or "unknown",
        manager=manager,
        by_controller=controlled,
        listed=True,
    )
