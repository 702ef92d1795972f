"""What went before what: the evidence that the choice of a cause rests on. Pure questions to the state.

No guess by time beats a resourceVersion: one etcd counts the versions of all kinds, so between two deltas of objects
the smaller version came first. Events are placed by the version of the object that their reporter looked at, and by
time only where that says nothing.
"""

from collections.abc import Iterable

from kspan.graph.rules.rules import Subject
from kspan.graph.state.records import (
    SYNTHETIC_UPDATE,
    KnownChange,
    LostDependent,
    ObjectState,
    Occurrence,
    Replacement,
    Transition,
)
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_spec
from kspan.times import SECOND

SLACK = SECOND
"""managedFields and creation times are whole seconds, cut off: of two of one second either may be first."""

MATCH = 30 * SECOND
"""An Event and the delta that it speaks of are made by one pass of a controller: milliseconds apart, seconds under load
(the deployment controller retries with back-off), never minutes."""

LOSS_WINDOW = 300 * SECOND
"""A controller replaces a lost dependent at once, or when it is gone, or when a quota allows: five minutes after it was
gone the loss explains nothing any more."""

BACK_OFF = 660 * SECOND
"""A Job tries again after 10 s, 20 s … 600 s at most (pkg/controller/job/backoff_utils.go, MaxJobPodFailureBackOff)."""

VERBS = {
    "creates": ("Create",),
    "deletes": ("Delete",),
    "scales": ("Create", "Update"),
    "applies": ("Create", "Update"),
    "turns": ("Update",),
}

MOST_BELOW = 5_000
"""Dependents that are looked at for one turn of their owner."""


def before(cause: KnownChange, occ: Occurrence) -> bool:
    """Whether ``cause`` came before the change ``occ`` (or may have come before it, where nobody was watching)."""
    if cause.span == occ.id:
        return False
    if min(cause.rv, occ.rv) > SYNTHETIC_UPDATE:
        return cause.rv < occ.rv and (cause.exact or cause.time <= occ.time + SLACK)
    return cause.time <= occ.time + SLACK


def seen_by(cause: KnownChange, occ: Occurrence) -> bool:
    """Whether the reporter of the Event ``occ`` can have known the change ``cause`` of the Event's own object."""
    if cause.rv <= SYNTHETIC_UPDATE:
        return cause.time <= occ.latest + SLACK
    if occ.seen_rv:
        if cause.rv <= occ.seen_rv:
            return True
        if cause.verb != "Delete":
            return False
        # The kubelet reports a Pod's end with the version at which it began to run it, so time must decide.
    return cause.time <= occ.latest


def before_event(what: KnownChange | Transition, event: Occurrence) -> bool:
    """Whether it came before an Event about another object: was written before it, and happened no later."""
    own_etcd = event.rv <= event.seen_rv  # An Event is written after what it is about, if one etcd counts both.
    return what.time <= event.latest + SLACK and (own_etcd or what.rv < event.rv)


def newest(changes: Iterable[KnownChange]) -> KnownChange | None:
    """The newest of them."""
    return max(changes, key=lambda c: c.order, default=None)


def created_at(obj: ObjectState) -> int:
    """When an object was created (ns), to better than its whole second where that was seen."""
    return next((c.time for c in obj.changes if c.verb == "Create"), obj.created)


def controlling(state: State, obj: ObjectState) -> ObjectState | None:
    """The object for which a controller made this one: its owner, or for a volume its claim."""
    return state.object(obj.owner or obj.claim) if obj.owner or obj.claim else None


def deletion_of_claim(state: State, occ: Occurrence, volume: ObjectState) -> KnownChange | None:
    """The deletion, before ``occ``, of the claim that a volume was bound to."""
    claim = state.object(volume.claim) if volume.claim else None
    return newest(c for c in claim.changes if c.verb == "Delete" and c.rv < occ.rv) if claim is not None else None


def made_by(obj: ObjectState, occ: Occurrence) -> KnownChange | None:
    """What is known of ``occ`` as a change of ``obj``."""
    return next((c for c in obj.changes if c.span == occ.id), None)


# Events and what they speak of ----------------------------------------------------------------------------------------


def reported_change(state: State, event: Occurrence) -> tuple[KnownChange, ObjectState] | None:
    """The delta of its subject that a subject-Event speaks of, with the subject; None where there is none (yet).

    It was written after the version of the reporting object that the reporter looked at, and before the Event: of
    those the first, or where a repeat keeps the version of the first time, the nearest in time. Versions decide
    wherever they are known; where nobody watched, or where Events have an etcd of their own, the nearest in time does.
    """
    told = event.subject
    if told is None or told.means not in VERBS:
        return None
    fitting = [
        (cause, obj)
        for obj in state.objects.named(told.kind, told.namespace, told.name)
        for cause in obj.changes
        if cause.verb in VERBS[told.means] and _fits(event, told, cause)
    ]
    if told.means != "turns":
        # Of itself an object may tell what it saw done already.
        seen_rv = event.seen_rv if told.source != "self" else 0
        between = [pair for pair in fitting if max(seen_rv, SYNTHETIC_UPDATE) < pair[0].rv < event.rv]
        if between and seen_rv and event.event_count <= 1:
            return min(between, key=lambda pair: (pair[0].rv, pair[0].span))
        fitting = [p for p in between if abs(p[0].time - event.time) <= MATCH] or [
            p for p in fitting if not p[0].exact or not SYNTHETIC_UPDATE < p[0].rv <= seen_rv
        ]
    near = [pair for pair in fitting if _near(event, pair[0])]
    return min(near, key=lambda pair: (abs(pair[0].time - event.time), pair[0].span), default=None)


def _fits(event: Occurrence, told: Subject, cause: KnownChange) -> bool:
    if told.source == "self" and told.means == "applies" and not (cause.manual and cause.rv >= event.seen_rv):
        return False  # Who looked at a later version has something else to tell than how it came about.
    grown_from = told.replicas_from in (-1, cause.replicas_before) or cause.replicas_before < 0
    return told.replicas_to in (-1, cause.replicas) and grown_from and (told.means != "turns" or not cause.manual)


def _near(event: Occurrence, cause: KnownChange) -> bool:
    if abs(cause.time - event.time) > MATCH or event.subject is None:
        return False
    if event.subject.means == "turns":  # The mark comes after it was told.
        return cause.time >= event.time - SLACK
    return cause.time <= event.latest + SLACK


def reporting_event(state: State, change: Occurrence) -> Occurrence | None:
    """The subject-Event that speaks of this delta; None where there is none (yet)."""
    tellers = [
        event
        for event in state.events_about(change.kind, change.namespace, change.name)
        if (delta := reported_change(state, event)) is not None and delta[0].span == change.id
    ]
    return min(tellers, key=lambda e: (abs(e.time - change.time), e.id), default=None)


def newest_event_about(state: State, obj: Occurrence | ObjectState, occ: Occurrence) -> Occurrence | None:
    """The newest subject-Event about ``obj`` (or the object of that occurrence) before ``occ``, where no delta of it is
    known."""
    events = state.events_about(obj.kind, obj.namespace, obj.name)
    earlier = [e for e in events if e.time <= occ.latest + SLACK and (e.uid != occ.uid or _first(e, occ))]
    return max(earlier, key=lambda e: (e.time, e.id)) if earlier else None


def _first(event: Occurrence, occ: Occurrence) -> bool:
    return (event.time, event.id) < (occ.time, occ.id)


def reported_transition(state: State, kind: str, namespace: str, name: str, occ: Occurrence) -> Occurrence | None:
    """The newest Event before ``occ`` by which an object is said to have turned."""
    events = state.events_about(kind, namespace, name)
    transitions = [
        e for e in events if e.subject is not None and e.subject.means == "turns" and e.time <= occ.latest + SLACK
    ]
    return max(transitions, key=lambda e: (e.time, e.id), default=None)


def reported_before(state: State, event: Occurrence, reason: str) -> Occurrence | None:
    """The newest Event of this reason that the object of ``event`` had before, about one of its dependents."""
    found = []
    for dependent in state.objects.dependents(event.uid):
        tellers = state.events_about(dependent.kind, dependent.namespace, dependent.name)
        found += [e for e in tellers if (e.uid, e.reason) == (event.uid, reason) and e.time <= event.latest + SLACK]
    return max(found, key=lambda e: (e.time, e.id), default=None)


# what an owner's controller acts for ----------------------------------------------------------------------------------


def trigger(
    state: State, owner: ObjectState, obj: ObjectState | None, occ: Occurrence, seen_rv: int
) -> KnownChange | None:
    """The change of ``owner`` for which its controller made the change ``occ`` of ``obj``; None where there is none.

    The newest before it. But a controller can be behind the newest: what it looked at (``seen_rv``, 0: not known)
    tells, or the pod template, where a ReplicaSet is created or grows for one, or the revision that it rolls out by
    then, or that a Pod is made from.
    """
    known = [c for c in owner.changes if c.verb != "Delete" and before(c, occ) and (not seen_rv or c.rv <= seen_rv)]
    if obj is None or len(known) < 2:
        return newest(known)
    if obj.kind == "ReplicaSet":
        return newest(known) if seen_rv else _for_replicas(state, owner, made_by(obj, occ), known)
    if obj.revision and occ.verb == "Create":
        known = _up_to_revision(state, owner, obj.revision, known)
    return newest(known)


def _for_replicas(
    state: State, owner: ObjectState, own: KnownChange | None, known: list[KnownChange]
) -> KnownChange | None:
    """The one of the ``known`` changes of a Deployment for which the change ``own`` of a ReplicaSet was made."""
    if own is None:
        return newest(known)
    fitting: list[KnownChange] = []
    if own.verb == "Create":
        fitting = [c for c in known if c.template == own.template]
    else:
        known = _taken_up(state, owner, own, known)
        if own.added > 0:
            fitting = [c for c in known if c.template == own.template or (c.added > 0 and not c.template_changed)]
    return newest(fitting if own.template else ()) or newest(known)


def _taken_up(state: State, owner: ObjectState, own: KnownChange, known: list[KnownChange]) -> list[KnownChange]:
    """Without the new templates that its controller had not met yet when it scaled a ReplicaSet of the Deployment.

    The first thing it does for one is to create a ReplicaSet with the next ``deployment.kubernetes.io/revision``, or to
    give that number to the old one that fits (pkg/controller/deployment/sync.go, getNewReplicaSet); unless it is to
    recreate: then the old ones go first (recreate.go, rolloutRecreate).
    """
    numbered = max(
        (rv for d in state.objects.dependents(owner.uid) for rv in d.revision_versions if rv <= own.rv), default=0
    )
    if not numbered or not own.exact:
        return known
    strategy = decode_spec(owner.spec).strategy
    if strategy is not None and strategy.type == "Recreate":
        return known
    return [c for c in known if c.rv <= numbered or not c.template_changed or c.replicas_before != c.replicas] or known


def _up_to_revision(state: State, owner: ObjectState, revision: str, known: list[KnownChange]) -> list[KnownChange]:
    """Without the new templates that came after the one for which the revision was made (or taken up again)."""
    made = revision_made(state, owner, revision)
    if not made:
        return known
    since = newest(c for c in known if c.template_changed and c.rv < made)
    return [c for c in known if not c.template_changed or c.rv < made or c is since] or known


def revision_made(state: State, owner: ObjectState, revision: str) -> int:
    """The version that a revision of a StatefulSet or DaemonSet was made at, or taken up again; 1 where that was before
    anybody watched, 0 where it is not known.

    A StatefulSet's Pods bear its name, a DaemonSet's the hash that is its label too (pkg/controller/statefulset and
    daemon/update.go).
    """
    revisions = [o for o in state.objects.dependents(owner.uid) if o.kind == "ControllerRevision" and o.rv]
    changes = [o.changes for o in revisions if revision in (o.name, o.revision)]
    return max((max((c.rv for c in own if c.verb != "Delete"), default=1) for own in changes), default=0)


def lost_before(owner: ObjectState, occ: Occurrence, since: tuple[int, int]) -> list[LostDependent]:
    """The lost dependents that ``occ`` may replace, oldest first."""
    replacement = _replacement(owner, occ)
    if replacement is None:
        return []
    found = (lost for lost in owner.lost_dependents if since[0] < lost.rv <= replacement.rv)
    return sorted(found, key=lambda lost: lost.rv)


def _replacement(owner: ObjectState, occ: Occurrence) -> Replacement | None:
    return next((r for r in owner.replacements if r.span == occ.id), None)


def replaced(owner: ObjectState, occ: Occurrence, since: tuple[int, int]) -> LostDependent | None:
    """The lost dependent that ``occ`` replaces. Each that was not deleted by its owner's controller is replaced once.

    They are replaced in the order of their loss, a StatefulSet's Pods by name and a DaemonSet's by node.

    Args:
        since: order of the owner's newest change. It accounts for dependents that were lost before.
    """
    replacement = _replacement(owner, occ)
    if replacement is None:
        return None
    steps: list[LostDependent | Replacement] = [*lost_before(owner, occ, since), *owner.replacements]
    waiting: list[LostDependent] = []
    for step in sorted((s for s in steps if since[0] < s.rv <= replacement.rv), key=lambda s: s.rv):
        if isinstance(step, LostDependent):
            if step.ordered != 1:
                waiting.append(step)
            continue
        # A Job starts as many Pods as are missing now: the last one that ended is the occasion.
        chosen = reversed(waiting) if owner.kind == "Job" else waiting
        match = next((lost for lost in chosen if _takes_place(owner.kind, step, lost)), None)
        if match is not None:
            waiting.remove(match)
        if step is replacement:
            return match
    return None


def _takes_place(kind: str, birth: Replacement, loss: LostDependent) -> bool:
    if birth.time - loss.last > (LOSS_WINDOW if kind != "Job" else BACK_OFF):
        return False
    if kind == "StatefulSet":
        return birth.name == loss.name
    return kind != "DaemonSet" or birth.node == loss.node


def newest_transition(transitions: Iterable[Transition], occ: Occurrence) -> Transition | None:
    """The newest of them that came before ``occ``."""
    return max(
        (t for t in transitions if t.rv < occ.rv and t.span != occ.id), key=lambda t: (t.rv, t.span), default=None
    )


def nearest_transition(obj: ObjectState, event: Occurrence) -> Transition | None:
    """The turn that an Event of the same object tells of: seconds before it or after it, as its reporter writes."""
    near = [t for t in obj.transitions if abs(t.time - event.time) <= MATCH]
    return min(near, key=lambda t: (abs(t.time - event.time), t.span), default=None)


def newest_below(state: State, obj: ObjectState, turn: Transition) -> Transition | KnownChange | None:
    """What happened last, before ``turn``, to a dependent of ``obj`` (or to one of its dependents, and so on) in the
    same direction: for a turn to the bad also that one was deleted, for the end of a refusal that one was created."""
    found: list[Transition | KnownChange] = []
    waiting, seen = [obj.uid], {obj.uid}
    while waiting and len(seen) < MOST_BELOW:
        for below in state.objects.dependents(waiting.pop()):
            if below.uid not in seen:
                seen.add(below.uid)
                waiting.append(below.uid)
                found += [t for t in below.transitions if t.bad == turn.bad and t.rv < turn.rv]
                verb = "Delete" if turn.bad else "Create" if turn.type == "ReplicaFailure" else ""
                found += [c for c in below.changes if c.verb == verb and SYNTHETIC_UPDATE < c.rv < turn.rv]
    return max(found, key=lambda f: (f.rv, f.span), default=None)


def node_change(node: ObjectState, occ: Occurrence, transitions: tuple[str, ...]) -> KnownChange | None:
    """The newest change of a Node before ``occ`` that turned it in one of these ways, unless it turned back since."""
    last = newest(c for c in node.changes if c.effect in (*transitions, "opened") and before(c, occ))
    return last if last is not None and last.effect in transitions else None
