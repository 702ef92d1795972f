"""Which occurrence came before which: the evidence on which the choice of a cause rests. Pure questions to the state.

No guess by time overrides a resourceVersion: one etcd counts the versions of all kinds, so of two object changes the
one with the smaller version came first. Events are ordered by the version of the object that their reporter looked at,
and by time only if that decides nothing.
"""

import re
from collections.abc import Iterable, Iterator

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
from kspan.k8s.resource_version import version_number
from kspan.times import SECOND

SLACK = SECOND
"""managedFields and creation times are truncated to whole seconds: of two in one second either may be the first."""

MATCH = 30 * SECOND
"""A controller makes a change and the Event that reports it in one pass: milliseconds apart, seconds under load (the
deployment controller retries with back-off), never minutes."""

LOSS_WINDOW = 300 * SECOND
"""A controller replaces a lost dependent at once, or when it is removed, or when a quota allows it. Five minutes after
the removal its loss explains nothing."""

BACK_OFF = 660 * SECOND
"""A Job retries after 10 s, 20 s, … up to 600 s (pkg/controller/job/backoff_utils.go, MaxJobPodFailureBackOff)."""

VERBS = {
    "creates": ("Create",),
    "deletes": ("Delete",),
    "scales": ("Create", "Update"),
    "applies": ("Create", "Update"),
    "turns": ("Update",),
}

_SCHEDULABILITY = {"NodeNotSchedulable": ("closed", "evicts", ""), "NodeSchedulable": ("opened", "")}
"""Effects of the changes of a Node that its kubelet reports, by the reasons of these Events (pkg/kubelet
/kubelet_node_status.go, recordNodeSchedulableEvent). A change of the taint that mirrors the cordon has none."""

_BEGINNINGS = frozenset(["Created", "Pulled", "Pulling", "Scheduled", "Started", "SuccessfulAttachVolume"])
"""Reasons of Events about the beginning of a Pod (pkg/kubelet/events/event.go): its deletion leads to none of them."""


def before(cause: KnownChange, occ: Occurrence) -> bool:
    """True if a change came before the change ``occ``, or may have done so while nobody was watching."""
    if cause.span == occ.id:
        return False
    in_time = cause.time <= occ.time + occ.uncertainty + SLACK
    if min(cause.rv, occ.rv) > SYNTHETIC_UPDATE:
        return cause.rv < occ.rv and (cause.exact or in_time)
    return in_time


def is_later(change: KnownChange, event: Occurrence) -> bool:
    """True if versions show that a change was written after an Event, so that the Event does not report it.

    If Events have an etcd of their own, their versions say nothing; that is so if an Event has a smaller version than
    the object that it states.
    """
    if not change.exact or change.rv <= event.rv or change.rv <= SYNTHETIC_UPDATE:
        return False
    return 0 < version_number(event.resource_version) < event.rv


def is_reported(change: KnownChange, event: Occurrence) -> bool:
    """True if an Event reports that its object publishes what it publishes since a change of its status."""
    return change.effect == "published" and event.subject is not None and event.subject.means == "publishes"


def seen_by(cause: KnownChange, occ: Occurrence) -> bool:
    """True if the reporter of the Event ``occ`` can have known a change of the Event's own object."""
    # Each question for its own call is asked only if its first condition is true: this is asked for every Event.
    if cause.rv > occ.rv and is_later(cause, occ):
        return False
    if cause.verb == "Delete" and occ.kind == "Pod" and occ.reason in _BEGINNINGS:
        return False
    if cause.effect and is_reported(cause, occ):
        return False
    if cause.verb == "Delete" and (cause.range or not cause.exact):
        return cause.latest <= occ.latest  # The object still existed when most Events about it were reported.
    if cause.rv <= SYNTHETIC_UPDATE:
        return cause.time <= occ.latest + SLACK
    if occ.seen_rv:
        if cause.rv <= occ.seen_rv:
            return True
        if cause.verb not in ("Delete", ""):
            return False
        # The kubelet reports a Pod's end with the version at which it began to run it, and the version of an object
        # says nothing about the changes of its parts, so time must decide.
    return cause.time <= occ.latest


def can_follow(cause: KnownChange, event: Occurrence) -> bool:
    """True if an Event about an object can follow from a change of it.

    What a kubelet reports about its Node happens on the machine (it cannot collect images), whatever the spec of the
    Node is. Only whether it is schedulable follows from the spec, and from nothing else.
    """
    if event.kind != "Node" or event.actor != "kubelet" or cause.verb == "Delete":
        return True
    effects = _SCHEDULABILITY.get(event.reason)
    if effects is None:
        return cause.verb != "Update"
    return cause.effect in effects if cause.verb == "Update" else event.earliest - cause.latest <= MATCH


def before_event(cause: KnownChange | Transition | LostDependent, event: Occurrence) -> bool:
    """True if a change or transition was written before an Event about another object, and did not happen later."""
    own_etcd = event.rv <= event.seen_rv  # An Event is written after its object, if one etcd counts both.
    return cause.time <= event.latest + SLACK and (own_etcd or cause.rv < event.rv)


_OF_GENERATION = re.compile(r'"generation": ?(\d+)')

_OF_NEW_SPEC = ("spec.ephemeralContainers", "definition changed")
"""In the field path or the message of an Event that follows from an update of the Pod."""


def acted_on(pod: ObjectState, event: Occurrence) -> KnownChange | None:
    """The update of a Pod on which its kubelet acted, if an Event shows that.

    A kubelet's Events have the version of the Pod that it synchronized first, for the Pod's whole life
    (pkg/kubelet/kubelet.go): a lower bound. Events about a resize state the generation.
    """
    if event.kind != "Pod" or event.actor != "kubelet":
        return None
    updates = [c for c in pod.changes if c.verb == "Update" and c.time <= event.latest + SLACK]
    stated = _OF_GENERATION.search(event.message) if updates else None
    if stated is not None:
        return newest(c for c in updates if c.generation == int(stated[1]))
    shown = event.field_path.startswith(_OF_NEW_SPEC[0]) or _OF_NEW_SPEC[1] in event.message
    return newest(updates) if shown else None


def newest(changes: Iterable[KnownChange]) -> KnownChange | None:
    """The newest change. Of those with equal version and time the span decides, not the order of dependents."""
    return max(changes, key=lambda c: (c.rv, c.time, c.span), default=None)


def created_at(obj: ObjectState) -> int:
    """When an object was created (ns): more precisely than creationTimestamp if the creation was seen."""
    return next((c.time for c in obj.changes if c.verb == "Create"), obj.created)


def controlling(state: State, obj: ObjectState) -> ObjectState | None:
    """The object for which a controller made this one: its owner, or for a volume its claim."""
    return state.object(obj.owner or obj.claim) if obj.owner or obj.claim else None


def lost_earlier(owner: ObjectState, change: Occurrence, since: KnownChange) -> int:
    """The number of dependents that an owner had lost between its change ``since`` and the deletion ``change``, without
    those that finished.

    Dependents that were lost in one gap count as lost in the order of their uids: any order is as good, but each must
    be counted once.
    """
    own = next((lost for lost in owner.lost_dependents if lost.span == change.id), None)
    order = (own.rv, own.uid) if own is not None else (change.rv, "")
    floor = since.rv if since.exact else since.rv - 1
    return sum(lost.rv > floor and (lost.rv, lost.uid) < order and not lost.ended for lost in owner.lost_dependents)


def deleted_with(state: State, obj: ObjectState) -> list[ObjectState]:
    """The objects that are being deleted, or were, and may have been because this owner or namespace was. For a
    namespace all objects of the cluster are looked at."""
    dependents = state.objects.dependents(obj.uid)
    if obj.kind == "Namespace":
        dependents += [other for other in state.objects.all() if other.namespace == obj.name]
    return sorted((other for other in dependents if other.deleting), key=lambda other: other.uid)


def deletion_of_claim(state: State, occ: Occurrence, volume: ObjectState) -> KnownChange | None:
    """The deletion, before ``occ``, of the claim that a volume was bound to."""
    claim = state.object(volume.claim) if volume.claim else None
    return newest(c for c in claim.changes if c.verb == "Delete" and c.rv < occ.rv) if claim is not None else None


def made_by(obj: ObjectState, occ: Occurrence) -> KnownChange | None:
    """The change of ``obj`` that the occurrence ``occ`` is."""
    return next((change for change in obj.changes if change.span == occ.id), None)


def had_ended(pod: ObjectState, deletion: Occurrence) -> bool:
    """True if a Pod had already succeeded or failed when it was deleted."""
    made = made_by(pod, deletion)
    return made is not None and made.effect == "ended"


# Events about another object ------------------------------------------------------------------------------------------


def reported_change(state: State, event: Occurrence) -> tuple[KnownChange, ObjectState] | None:
    """The change of its subject that an Event reports, with the subject; None if there is none (yet). If the Event
    lists several subjects, that of the first one that changed."""
    if event.others:
        return next(reported_changes(state, event), None)
    return _reported(state, event, event.subject) if event.subject is not None else None


def reported_changes(state: State, event: Occurrence) -> Iterator[tuple[KnownChange, ObjectState]]:
    """The changes that an Event reports, of its subject and of the others that it lists."""
    found = (_reported(state, event, subject) for subject in event.subjects)
    return (change for change in found if change is not None)


def _reported(state: State, event: Occurrence, subject: Subject) -> tuple[KnownChange, ObjectState] | None:
    """The change of one subject that an Event reports.

    The change was written after the version of the reporting object that the reporter looked at, and before the Event.
    The first such change is reported; or the nearest in time if a repeat kept the version of the first time. If nobody
    watched, or Events have an etcd of their own, the nearest in time is reported.
    """
    if subject.means not in VERBS:
        return None
    fitting = [
        (change, obj)
        for obj in state.objects.named(subject.kind, subject.namespace, subject.name)
        for change in obj.changes
        if change.verb in VERBS[subject.means] and _fits(event, subject, change)
    ]
    if subject.means != "turns":
        # An Event about its own object may report an older change.
        seen_rv = event.seen_rv if subject.source != "self" else 0
        between = [pair for pair in fitting if max(seen_rv, SYNTHETIC_UPDATE) < pair[0].rv < event.rv]
        if between and seen_rv and event.event_count <= 1:
            return min(between, key=lambda pair: (pair[0].rv, pair[0].span))
        fitting = [p for p in between if _distance(p[0], event) <= MATCH] or [
            p for p in fitting if not p[0].exact or not SYNTHETIC_UPDATE < p[0].rv <= seen_rv
        ]
    near = [pair for pair in fitting if _is_near(event, subject, pair[0])]
    return min(near, key=lambda pair: (_distance(pair[0], event), pair[0].span), default=None)


def _fits(event: Occurrence, subject: Subject, change: KnownChange) -> bool:
    """True if the Event can report this change of its subject."""
    is_own = subject.source == "self" and subject.means == "applies"
    if is_own and (change.rv < event.seen_rv or not (change.manual or subject.rule)):
        return False  # A reporter that saw a later version does not report how that version was made.
    unseen = change.rv <= SYNTHETIC_UPDATE
    if unseen and change.verb == "Create" and subject.replicas_from > 0:
        return False  # A controller creates what it scales up from 0.
    grew_from = subject.replicas_from in (-1, change.replicas_before) or change.replicas_before < 0
    grew_to = subject.replicas_to in (-1, change.replicas) or (unseen and change.replicas < 0)
    by_controller = subject.means != "turns" or not change.manual
    return grew_to and grew_from and by_controller


def _is_near(event: Occurrence, subject: Subject, change: KnownChange) -> bool:
    if _distance(change, event) > MATCH:
        return False
    if subject.means == "turns":  # A condition is reported before it leads to a change.
        return change.latest >= event.time - SLACK
    return change.time <= event.latest + SLACK


def _distance(change: KnownChange, event: Occurrence) -> int:
    """Time between an Event and the nearest time at which the change can have been made (ns)."""
    return max(change.time - event.time, event.time - change.latest, 0)


def reporting_event(state: State, change: Occurrence) -> Occurrence | None:
    """The Event of another object that reports this change; None if there is none (yet)."""
    events = [
        event
        for event in state.events_about(change.kind, change.namespace, change.name)
        for subject in event.subjects
        if subject.name == change.name and subject.kind == change.kind
        if (reported := _reported(state, event, subject)) is not None and reported[0].span == change.id
    ]
    return min(events, key=lambda e: (abs(e.time - change.time), e.id), default=None)


def newest_event_about(state: State, obj: Occurrence | ObjectState, occ: Occurrence) -> Occurrence | None:
    """The newest Event before ``occ`` that is about ``obj`` (or the object of that occurrence), of which no change is
    known."""
    events = state.events_about(obj.kind, obj.namespace, obj.name)
    own = (occ.time, occ.id)
    return newest_event(
        e for e in events if e.time <= occ.latest + SLACK and (e.uid != occ.uid or (e.time, e.id) < own)
    )


def newest_event(events: Iterable[Occurrence]) -> Occurrence | None:
    """The newest of some Events."""
    return max(events, key=lambda e: (e.time, e.id), default=None)


def reported_transition(state: State, kind: str, namespace: str, name: str, occ: Occurrence) -> Occurrence | None:
    """The newest Event before ``occ`` that reports a condition transition of an object."""
    return newest_event(
        e
        for e in state.events_about(kind, namespace, name)
        if e.subject is not None and e.subject.means == "turns" and e.time <= occ.latest + SLACK
    )


def reported_before(state: State, event: Occurrence, reason: str) -> Occurrence | None:
    """The newest earlier Event with this reason of the same object as ``event``, about one of its dependents."""
    return newest_event(
        e
        for dependent in state.objects.dependents(event.uid)
        for e in state.events_about(dependent.kind, dependent.namespace, dependent.name)
        if (e.uid, e.reason) == (event.uid, reason) and e.time <= event.latest + SLACK
    )


# triggers of an owner's controller -----------------------------------------------------------------------------------


def trigger(
    state: State, owner: ObjectState, obj: ObjectState | None, occ: Occurrence, seen_rv: int
) -> KnownChange | None:
    """The change of ``owner`` for which its controller made the change ``occ`` of ``obj``; None if there is none.

    It is the newest one before, unless the controller had not seen that yet. This is known from the version that it
    looked at (``seen_rv``, 0: unknown), from the pod template for which a ReplicaSet is created or grows, or from the
    revision that is being rolled out or that a Pod is made from.
    """
    seen = (c for c in owner.changes if not c.verb or not seen_rv or c.rv <= seen_rv)  # Or a change of a part.
    known = [c for c in seen if c.verb != "Delete" and before(c, occ)]
    if obj is None or len(known) < 2:
        return newest(known)
    if obj.kind == "ReplicaSet":
        if seen_rv or owner.kind != "Deployment":  # A Rollout also lets the old ReplicaSet grow again.
            return newest(known)
        return _for_replicas(state, owner, made_by(obj, occ), known)
    if obj.revision and occ.verb == "Create":
        known = _up_to_revision(state, owner, obj.revision, known)
    return newest(known)


def _for_replicas(
    state: State, owner: ObjectState, own: KnownChange | None, known: list[KnownChange]
) -> KnownChange | None:
    """Which of the ``known`` changes of a Deployment led to the change ``own`` of a ReplicaSet."""
    if own is None:
        return newest(known)
    fitting: list[KnownChange] = []
    if own.verb == "Create":
        fitting = [c for c in known if c.template == own.template]
    else:
        known = _seen_by_controller(state, owner, own, known)
        if own.added > 0:
            fitting = [c for c in known if c.template == own.template or (c.added > 0 and not c.template_changed)]
    return newest(fitting if own.template else ()) or newest(known)


def _seen_by_controller(
    state: State, owner: ObjectState, own: KnownChange, known: list[KnownChange]
) -> list[KnownChange]:
    """Without new templates that a Deployment's controller had not seen when it made the change ``own``.

    For a new template it first creates a ReplicaSet with the next ``deployment.kubernetes.io/revision``, or gives that
    number to an old one with this template (pkg/controller/deployment/sync.go, getNewReplicaSet). With the strategy
    Recreate it first scales the old ones down (recreate.go, rolloutRecreate).
    """
    dependents = state.objects.dependents(owner.uid)
    numbered = max((rv for d in dependents for rv in d.revision_versions if rv <= own.rv), default=0)
    if not numbered or not own.exact:
        return known
    strategy = decode_spec(owner.spec).strategy
    if strategy is not None and strategy.type == "Recreate":
        return known
    return [c for c in known if c.rv <= numbered or not c.template_changed or c.replicas_before != c.replicas] or known


def _up_to_revision(state: State, owner: ObjectState, revision: str, known: list[KnownChange]) -> list[KnownChange]:
    """Without new templates after the one for which the revision was created (or used again)."""
    made = revision_made(state, owner, revision)
    if not made:
        return known
    since = newest(c for c in known if c.template_changed and c.rv < made)
    return [c for c in known if not c.template_changed or c.rv < made or c is since] or known


def revision_made(state: State, owner: ObjectState, revision: str) -> int:
    """The version at which a revision of a StatefulSet or DaemonSet was created or used again.

    A StatefulSet's Pods have its name as a label, a DaemonSet's the hash that is its label too
    (pkg/controller/statefulset and daemon/update.go). It is 1 if that was before anybody watched, 0 if not known.
    """
    revisions = [o for o in state.objects.dependents(owner.uid) if o.kind == "ControllerRevision" and o.rv]
    changes = [o.changes for o in revisions if revision in (o.name, o.revision)]
    return max((max((c.rv for c in own if c.verb != "Delete"), default=1) for own in changes), default=0)


def lost_before(owner: ObjectState, occ: Occurrence, since: tuple[int, int]) -> list[LostDependent]:
    """The lost dependents that ``occ`` may replace, oldest first.

    One with the same version is the new dependent itself: a list after a gap shows it for the first time, and its end.
    """
    replacement = _replacement(owner, occ)
    if replacement is None:
        return []
    found = (lost for lost in owner.lost_dependents if since[0] < lost.rv < replacement.rv)
    return sorted(found, key=lambda lost: lost.rv)


def _replacement(owner: ObjectState, occ: Occurrence) -> Replacement | None:
    return next((r for r in owner.replacements if r.span == occ.id), None)


def replaced(owner: ObjectState, occ: Occurrence, since: tuple[int, int]) -> LostDependent | None:
    """The lost dependent that ``occ`` replaces. Each that was not deleted by its owner's controller is replaced once.

    They are replaced in the order of their loss, a StatefulSet's Pods by name and a DaemonSet's by node. The owner's
    newest change, whose order is ``since``, accounts for those that were lost before.
    """
    replacement = _replacement(owner, occ)
    if replacement is None:
        return None
    steps: list[LostDependent | Replacement] = [*lost_before(owner, occ, since), *owner.replacements]
    waiting: list[LostDependent] = []
    for step in sorted((s for s in steps if since[0] < s.rv <= replacement.rv), key=_creation_first):
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


def _creation_first(step: LostDependent | Replacement) -> tuple[int, bool]:
    return step.rv, isinstance(step, LostDependent)


def unreplaced(owner: ObjectState, event: Occurrence, since: tuple[int, int]) -> list[LostDependent]:
    """The lost dependents without a replacement when the controller of ``owner`` reported that it could not create a
    dependent, oldest first. The owner's newest change, whose order is ``since``, accounts for those before it."""
    steps: list[LostDependent | Replacement] = [lost for lost in owner.lost_dependents if before_event(lost, event)]
    steps += [made for made in owner.replacements if made.time <= event.latest and (made.rv < event.rv or not event.rv)]
    waiting: list[LostDependent] = []
    for step in sorted((s for s in steps if since[0] < s.rv), key=lambda s: s.rv):
        if isinstance(step, LostDependent):
            if step.ordered != 1:
                waiting.append(step)
            continue
        match = next((lost for lost in waiting if _takes_place(owner.kind, step, lost)), None)
        if match is not None:
            waiting.remove(match)
    return [lost for lost in waiting if event.time - lost.last <= LOSS_WINDOW]


def _takes_place(kind: str, replacement: Replacement, lost: LostDependent) -> bool:
    if replacement.time - lost.last > (LOSS_WINDOW if kind != "Job" else BACK_OFF):
        return False
    if kind == "StatefulSet":
        return replacement.name == lost.name
    return kind != "DaemonSet" or replacement.node == lost.node


# transitions ----------------------------------------------------------------------------------------------------------


def newest_transition(transitions: Iterable[Transition], occ: Occurrence) -> Transition | None:
    """The newest transition before ``occ``."""
    earlier = (t for t in transitions if t.rv < occ.rv and t.span != occ.id)
    return max(earlier, key=lambda t: (t.rv, t.span), default=None)


def nearest_transition(obj: ObjectState, event: Occurrence) -> Transition | None:
    """The transition that an Event of the same object reports: it was written seconds before the Event, or after it."""
    near = [t for t in obj.transitions if abs(t.time - event.time) <= MATCH]
    return min(near, key=lambda t: (abs(t.time - event.time), t.span), default=None)
