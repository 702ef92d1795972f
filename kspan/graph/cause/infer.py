"""Changes that nobody saw, inferred from the managedFields of an object at the first list. Pure.

An existing object starts no trace. But its creation, or its last change shortly before, may be the cause of what
happens to it, and of the Events of the last hour in a first list. Only then these are inferred, with the ids that they
would have had.
"""

from msgspec.structs import replace

from kspan.graph.observe import field_managers
from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.rules.rules import Rules
from kspan.graph.state.records import SYNTHETIC_CREATE, SYNTHETIC_UPDATE, Baseline, KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.ids import span_id
from kspan.settings import FoldSettings
from kspan.times import SECOND

EVENTS_LAST = 3600 * SECOND
"""How long an API server keeps Events (``--event-ttl``): those in a first list are not older."""

NEARBY = 30 * SECOND
"""A revision is created within this time of the change of the template, seconds under load."""

_REVISION_KINDS = {"Deployment": "ReplicaSet", "StatefulSet": "ControllerRevision", "DaemonSet": "ControllerRevision"}


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
    changes = [(occ, _known_change(occ, obj, seen, newest=occ is made[-1])) for occ in made]
    since = min(near - settings.max_trace_age, state.clock.now - EVENTS_LAST)
    if changed:
        # Whether or not the newest update is inferred for this occurrence: it may be for another.
        updates = [newest.time] if newest is not None and updated else []
        changes += _revisions(state, rules, obj, _writers(seen), updates, since)
    there = {change.span for change in obj.changes}
    unknown = [pair for pair in changes if not state.holds(pair[0].id) and pair[0].id not in there]
    return sorted(unknown, key=lambda pair: (pair[1].time, pair[1].span)) if changes else None


def _revisions(
    state: State,
    rules: Rules,
    obj: ObjectState,
    writers: list[FieldManagerEntry],
    updates: list[int],
    since: int,
) -> list[tuple[Occurrence, KnownChange]]:
    """The changes of a pod template after ``since`` for which a controller created a revision.

    Their author is the one of ``writers`` that wrote just before; if there is none, they have the time of the revision.

    A revision is created only for a template that no other one has (pkg/controller/deployment/sync.go,
    getNewReplicaSet; statefulset and daemon: newRevision). Next to one of ``updates``, which have better times, none is
    added.
    """
    kind = _REVISION_KINDS.get(obj.kind)
    changes = []
    later = [w for w in writers if w.time >= obj.created + SECOND and (not w.content or "spec.template" in w.content)]
    revisions = [other for other in state.objects.dependents(obj.uid) if other.kind == kind] if kind else []
    first = min(((other.created, other.uid) for other in revisions), default=(0, ""))
    for revision in revisions:
        at = revision.created
        # That of the creation is the first one. Others can have been deleted since (revisionHistoryLimit).
        made_with_it = (at, revision.uid) == first and at <= obj.created + NEARBY
        if at < since or made_with_it or _was_seen(revision):
            continue
        if any(0 <= at - other <= NEARBY for other in updates):
            continue
        author = field_managers.newest_entry([w for w in later if 0 <= at - w.time <= NEARBY])
        manager, time = (author.manager, author.time) if author is not None else ("", at)
        occ = _occurrence(state, rules, obj, "Update", manager, time, 0, revision=revision.uid)
        template = revision.template if kind == "ReplicaSet" else 0
        manual = not occ.by_controller
        changes.append((occ, KnownChange(occ.id, "Update", occ.rv, time, template=template, manual=manual)))
    return changes


def _was_seen(revision: ObjectState) -> bool:
    """True if the creation of a revision was seen, and so the change before it."""
    return any(c.verb == "Create" and c.rv > SYNTHETIC_UPDATE for c in revision.changes)


def _writers(seen: Baseline) -> list[FieldManagerEntry]:
    """The entries that own more than metadata, if that is known: labels change neither generation nor template."""
    entries = seen.field_managers
    return [entry for entry in entries if entry.content or not any(other.content for other in entries)]


def _last_writer(rules: Rules, obj: ObjectState, seen: Baseline) -> FieldManagerEntry | None:
    """The newest entry; for a Node the newest that is not a controller's, because those write all the time."""
    writers = _writers(seen)
    people = [w for w in writers if not rules.is_controller(w.manager)] if obj.kind == "Node" else ()
    return field_managers.newest_entry(people or writers)


def _known_change(occ: Occurrence, obj: ObjectState, seen: Baseline, *, newest: bool) -> KnownChange:
    """The change for an inferred occurrence. Only what the newest one led to is known."""
    is_taint = newest and obj.kind == "Node" and occ.verb == "Update"
    return KnownChange(
        occ.id,
        occ.verb,
        occ.rv,
        occ.time,
        replicas=seen.replicas if newest else -1,
        template=seen.template if newest else 0,
        effect=field_managers.node_change(b"", obj.spec) if is_taint else "",
        manual=not occ.by_controller,
    )


def _create(state: State, rules: Rules, obj: ObjectState, seen: Baseline) -> Occurrence:
    first = field_managers.creator(seen.field_managers, obj.created, obj.owner_manager, obj.kind)
    manager = first.manager if first is not None else ""
    occ = _occurrence(state, rules, obj, "Create", manager, obj.created, 1 if seen.generation else 0)
    if len(seen.field_managers) > 1 or seen.generation > 1:
        return occ  # Changed since then.
    # Without a generation the version is the identity. With one, a status may have been written since, which
    # managedFields need not show.
    version = "" if seen.generation else seen.resource_version
    return replace(occ, traceparent=obj.traceparent, resource_version=version)


def _update(state: State, rules: Rules, obj: ObjectState, seen: Baseline, writer: FieldManagerEntry) -> Occurrence:
    return _occurrence(state, rules, obj, "Update", writer.manager, writer.time, seen.generation)


def _occurrence(
    state: State,
    rules: Rules,
    obj: ObjectState,
    verb: str,
    manager: str,
    time: int,
    generation: int,
    revision: str = "",
) -> Occurrence:
    controlled = rules.is_controller(manager) or bool(obj.owner and manager == obj.owner_manager)
    owner = state.object(obj.owner) if obj.owner else None
    actor = rules.actors.get(owner.kind, "") if owner is not None and rules.is_controller(manager) else ""
    key = (obj.uid, verb) if verb == "Create" else (obj.uid, verb, revision or str(generation))
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
        rv=SYNTHETIC_CREATE if verb == "Create" else SYNTHETIC_UPDATE,
        api_version=obj.api_version,
        generation=generation,
        inferred_from=obj.baseline.resource_version if obj.baseline is not None else "",
        actor=actor or field_managers.service_of(manager) or "unknown",
        manager=manager,
        by_controller=controlled,
    )
