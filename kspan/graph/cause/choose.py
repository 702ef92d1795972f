"""The causality rules: which occurrence is the cause of another (docs/architecture.md). Pure.

A choice depends on which occurrences are known, not on the order in which they arrived. Choosing changes nothing: it
returns a Choice, or raises PrerequisiteError if something has to be done first.
"""

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, OWNER, PLACE, ROOT, SUBJECT, UNKNOWN, Choice
from kspan.graph.cause.choose_binding import BindingChooser
from kspan.graph.cause.choose_container import ContainerChooser
from kspan.graph.cause.choose_deletion import DeletionChooser
from kspan.graph.cause.choose_news import NEWS_WINDOW, NewsChooser
from kspan.graph.cause.choose_transition import TransitionChooser
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.rules.rules import Rules
from kspan.graph.state.event_index import STOPS
from kspan.graph.state.records import (
    SYNTHETIC_UPDATE,
    KnownChange,
    LostDependent,
    ObjectState,
    Occurrence,
    Refusal,
)
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_spec
from kspan.settings import FoldSettings
from kspan.times import MILLISECOND

ADMITS_PODS, REMOVES_PODS = ("opened", "labelled"), ("evicts", "labelled")
"""Effects of a change of a Node (``KnownChange.effect``). After ADMITS_PODS the DaemonSet controller creates a
Pod on the Node; after REMOVES_PODS it deletes its Pod there."""

UNEXPLAINED = Choice(None, ROOT, 0.5, actor="unknown")
"""For the removal of what a controller had set, without a reason for the controller: anybody can have done that."""


LATE = 300 * MILLISECOND
"""By how much later than an Event its cause may be received (on a real cluster 256 ms at most)."""


class Chooser:
    """Chooses causes of changes and Events.

    ``prerequisites`` raises PrerequisiteError if something has to be decided first. Confidences: docs/architecture.md.
    """

    def __init__(self, state: State, rules: Rules, settings: FoldSettings, prerequisites: Prerequisites) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.prerequisites = prerequisites
        self.bindings = BindingChooser(state, prerequisites)
        self.deletions = DeletionChooser(state, rules, settings, prerequisites)
        self.containers = ContainerChooser(state, prerequisites, self.deletions.of_disruption)
        self.transitions = TransitionChooser(
            state, prerequisites, self.deletions.of_disruption, self.containers.of_stop
        )
        self.news = NewsChooser(state, rules, settings, prerequisites)

    def of_transition(self, occ: Occurrence) -> Choice:
        """The cause of a condition transition."""
        if occ.revision and (choice := self._of_revision(occ)) is not None:
            return choice
        choice = self.transitions.of_transition(occ)
        return choice if occ.warning else self.news.or_newer(occ, choice)

    def _of_revision(self, occ: Occurrence) -> Choice | None:
        """The cause of what an object does for a revision of its source, if ``occ`` is about that."""
        obj = self.state.object(occ.uid)
        return self.news.of_revision(obj, occ) if obj is not None else None

    def of_container_turn(self, occ: Occurrence) -> Choice:
        """The cause of the end of a container, or of its restart."""
        return self.containers.of_turn(occ)

    # changes ---------------------------------------------------------------------------------------------------------

    def of_change(self, occ: Occurrence) -> Choice:
        """The cause of a change that no Event has reported yet."""
        obj = self.state.object(occ.uid)
        if obj is None:
            return UNKNOWN
        if occ.verb == "Delete":
            choice = self.deletions.of_deletion(occ, obj)
            return self.news.of_pruned(occ, choice) if occ.applier and choice.cause is None else choice
        if occ.applier and (applied := self.news.of_applied(occ)) is not None:
            return applied
        if occ.revision:
            return self.news.of_publication(occ, obj)
        made_freely = not obj.owner and not occ.whole  # An object with a mark is made for the object that it names.
        if occ.verb == "Create" and made_freely and (occ.by_controller or not occ.manager):
            made = self._of_new_namespace(occ, obj)
            if made is not None:
                return made
        # A person or a tool made it. An object that is created with an owner is the work of the owner's controller.
        if not occ.by_controller and not (occ.verb == "Create" and obj.owner):
            unknown = self._by_unknown(occ, obj) if obj.owner and not occ.manager else None
            return unknown or Choice(None, ROOT, 0.95 if occ.manager else 0.5)
        bound = self.bindings.of_binding(occ, obj)
        if bound is not None:
            return bound
        if occ.verb == "Create" and (requested := self.news.of_request(occ)) is not None:
            return requested
        owner = evidence.controlling(self.state, obj) or self._recreating_owner(occ) or self.news.claim_of(occ, obj)
        by_owner = self._triggered(owner, occ)
        choice = self._or_own_change(occ, obj, by_owner)
        # The owner of an object explains what its controller does.
        return choice if not occ.probable_manager or obj.owner or _explains(choice, occ) else UNEXPLAINED

    def _recreating_owner(self, occ: Occurrence) -> ObjectState | None:
        """The object whose controller recreates a changed object without an owner (``[parts]`` in rules.toml)."""
        named = self.state.objects.named(*occ.whole) if len(occ.whole) == 3 else ()
        return next(reversed(named), None)

    def _of_new_namespace(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The creation, just before, of the namespace in which a controller creates an object without an owner.

        Controllers equip new namespaces: the ServiceAccount ``default``, which has no managedFields, the ConfigMap
        ``kube-root-ca.crt``, pull secrets (pkg/controller/serviceaccount, certificates/rootcacertpublisher).
        """
        if not obj.namespace or (not occ.manager and obj.kind != "ServiceAccount"):
            return None
        namespaces = self.state.objects.named("Namespace", "", obj.namespace)
        created = evidence.newest(
            c
            for namespace in namespaces
            for c in namespace.changes
            if c.verb == "Create" and evidence.before(c, occ) and occ.time - c.time <= evidence.MATCH
        )
        if created is None:
            return None
        actor = "serviceaccount-controller" if obj.kind == "ServiceAccount" else ""
        return Choice(created, PLACE, 0.8, actor=actor)

    def _by_unknown(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The change of the owner up to ``MATCH`` before an update that names no field manager, if there is one."""
        choice = self._triggered(evidence.controlling(self.state, obj), occ)
        if choice.cause is None or occ.earliest - choice.cause.latest > evidence.MATCH:
            return None
        owner = self.state.object(obj.owner)
        actor = self.rules.actors.get(owner.kind, "") if owner is not None else ""
        return choice._replace(confidence=choice.confidence - 0.1, actor=actor)

    def _or_own_change(self, occ: Occurrence, obj: ObjectState, choice: Choice) -> Choice:
        """Return ``choice``, or the newest earlier change of the same object if that is newer.

        A controller reverts manual changes to owned objects, and completes changes to objects without an owner. For a
        Node, its newest condition transition counts as well.
        """
        if occ.verb != "Update" or occ.subresource == "scale":  # An autoscaler scales for its own reasons.
            return choice
        own = evidence.newest(
            c
            for c in obj.changes
            if c.verb != "Delete"
            and (c.manual or not obj.owner)
            and evidence.before(c, occ)
            and occ.time - c.time <= self.settings.max_trace_age
        )
        last = evidence.newest_transition(obj.transitions, occ) if obj.kind == "Node" else None
        if last is not None and occ.time - last.time <= self.settings.max_trace_age:
            # The node lifecycle controller sets taints for conditions.
            own = last.as_cause() if own is None or own.rv < last.rv else own
        if own is None or (choice.cause is not None and choice.cause.order > own.order):
            return choice
        return Choice(own, OWN, 0.8)

    def _triggered(self, owner: ObjectState | None, occ: Occurrence, seen_rv: int = 0) -> Choice:
        """The change to which the controller of an owner reacted.

        That is a change of the owner or, if none fits, of the owner's owner, and so on; or an Event about an owner of
        which no change is known. ``seen_rv``: the version of the owner that the controller had seen (0: unknown).
        """
        confidence = 0.95 if seen_rv else 0.9
        if owner is not None and owner.kind == "CronJob" and occ.verb == "Create":
            return self._of_schedule(owner, occ)
        if owner is not None and owner.kind == "Node":
            return Choice(None, ROOT, 0.8)  # The kubelet makes a mirror Pod from a file.
        obj, visited = self.state.object(occ.uid), set[str]()
        while owner is not None and owner.uid not in visited:
            self.prerequisites.require_inferred(owner, occ)
            cause = evidence.trigger(self.state, owner, obj, occ, seen_rv)
            is_direct_owner = not visited
            if is_direct_owner and occ.verb == "Create" and obj is not None:
                reason = self._reason_to_create(owner, obj, occ, cause)
                if reason is not None:
                    return reason
            if (event := self._newer_event_about(owner, occ, cause)) is not None:
                return Choice.event(event, SUBJECT, 0.8)
            if cause is not None:
                return Choice(cause, OWNER, confidence)
            visited.add(owner.uid)
            owner, seen_rv, confidence = evidence.controlling(self.state, owner), 0, confidence - 0.1
        return UNKNOWN

    def _newer_event_about(self, owner: ObjectState, occ: Occurrence, cause: KnownChange | None) -> Occurrence | None:
        """The Event up to ``MATCH`` before ``occ`` that reports an owner's change which kspan has not recorded.

        Of a listed owner, only the newest change is recorded. None if there is no such Event since ``cause``.
        """
        if cause is not None and (not owner.baseline or cause.rv > SYNTHETIC_UPDATE):
            return None
        if cause is None and owner.changes:
            return None
        if cause is None:
            event = evidence.newest_event_about(self.state, owner, occ)
            return event if event is not None and occ.time - event.time <= evidence.MATCH else None
        return evidence.newest_event(
            e
            for e in self.state.events_about(owner.kind, owner.namespace, owner.name)
            if cause.time + evidence.SLACK < e.time <= occ.latest and occ.time - e.time <= evidence.MATCH
            if e.id not in (occ.id, cause.span) and evidence.reported_change(self.state, e) is None
        )

    def _of_schedule(self, cron: ObjectState, occ: Occurrence) -> Choice:
        """A CronJob starts a Job by schedule. To replace one that still runs, it first deletes that in the same pass
        (pkg/controller/cronjob/cronjob_controllerv2.go, syncCronJob)."""
        running = [
            lost
            for lost in (cron.lost_dependents if _replaces_jobs(cron) else ())
            if (job := self.state.object(lost.uid)) is not None
            and not job.ended
            and lost.rv < occ.rv
            and 0 <= occ.time - lost.time <= evidence.MATCH
        ]
        self.prerequisites.require_decided([lost.span for lost in running])
        replaced = max((lost for lost in running if lost.ordered == 1), key=lambda lost: lost.rv, default=None)
        if replaced is None:
            return Choice(None, ROOT, 0.8)
        return Choice(self._loss(replaced), OWNER, 0.85)

    def _is_replaced(self, cron: ObjectState, deletion: Occurrence) -> bool:
        """True if a CronJob deleted a Job that still ran: it is time for the next one."""
        job = self.state.object(deletion.uid)
        return _replaces_jobs(cron) and not cron.deleting and job is not None and not job.ended

    def _reason_to_create(
        self, owner: ObjectState, obj: ObjectState, occ: Occurrence, since: KnownChange | None
    ) -> Choice | None:
        """Why a controller created a dependent after the owner's newest change ``since``.

        A dependent was lost, a Node admits Pods again, or a quota no longer refuses it. None if ``since`` is newer than
        all of these.
        """
        # Of a change and a loss in the same gap, either may be the first: each loss is replaced.
        floor = (-1, 0) if since is None else since.order if since.exact else (since.rv - 1, 0)
        found: list[Choice] = []
        if owner.lost_dependents and (lost := self._replaced(owner, occ, floor)) is not None:
            found.append(Choice(lost, OWNER, 0.9))
        if owner.kind == "DaemonSet" and obj.node:
            admitted = self.deletions.newest_of_node(occ, ADMITS_PODS)
            found.append(Choice(admitted, PLACE, 0.8))
        found += [Choice(self._end_of_refusal(r, occ, since), SUBJECT, 0.8) for r in owner.refusals]
        newer = {choice.cause.order: choice for choice in found if choice.cause is not None}
        newest = max(newer, default=floor)
        return newer[newest] if newest > floor else None

    def _replaced(self, owner: ObjectState, occ: Occurrence, floor: tuple[int, int]) -> KnownChange | None:
        """The deletion of the dependent that ``occ`` replaces, or the moment when it finished; after ``floor``."""
        self.prerequisites.require_decided([lost.span for lost in evidence.lost_before(owner, occ, floor)])
        lost = evidence.replaced(owner, occ, floor)
        return self._loss(lost) if lost else None

    def _loss(self, lost: LostDependent) -> KnownChange:
        """The loss of a dependent as a cause."""
        return KnownChange(lost.span, "Delete", lost.rv, lost.time, trace=self._trace_of(lost))

    def _trace_of(self, lost: LostDependent) -> str:
        obj = self.state.object(lost.uid)
        if obj is None:
            return ""
        traces = {t.span: t.trace for t in obj.transitions} | {c.span: c.trace for c in obj.changes}
        return traces.get(lost.span, "")

    def _end_of_refusal(self, refused: Refusal, occ: Occurrence, since: KnownChange | None) -> KnownChange | None:
        """The newest change of the object (a quota, LimitRange or Namespace) that had blocked the creation."""
        if since is not None and refused.last < since.time:
            return None
        objects = self.state.objects.named_or_all(refused.kind, refused.namespace, refused.name)
        self.prerequisites.require_published((obj for obj in objects if obj.kind == "Namespace"), occ)
        return evidence.newest(
            c
            for obj in objects
            for c in obj.changes
            if evidence.before(c, occ) and refused.first <= c.time + evidence.SLACK and refused.after in ("", c.verb)
        )

    # Events ----------------------------------------------------------------------------------------------------------

    def of_event_about(self, event: Occurrence, change: Occurrence | None) -> Choice:
        """The cause of an Event about another object. ``change``: what it reports of that object, if known."""
        subject, reporter = event.subject, self.state.object(event.uid)
        if event.top_level:
            return Choice(None, ROOT, 1.0)
        if reporter is not None and subject is not None and subject.means == "turns":
            transition = evidence.nearest_transition(reporter, event)
            if transition is not None:
                return Choice(self.prerequisites.require_cause(transition), OWN, 0.95)
            if not subject.starts:
                return self.of_event(event)
        if reporter is not None and (finalized := self.news.of_finalizer(event, reporter)) is not None:
            return finalized
        changes = self._undoing(event, change)
        published = self.news.of_revision(reporter, event) if reporter is not None else None
        if published is None:
            published = self.news.of_source(reporter, event) if reporter is not None else None
        if published is not None:
            return self.news.undone(changes, published, self.settings.max_trace_age) or published
        if change is None and subject is not None and subject.starts and event.kind in self.rules.sources:
            return self.of_event(event)  # Nobody saw what it applied.
        if subject is not None and subject.starts:
            if reporter is not None and (closed := self.deletions.of_announcement(reporter, event)) is not None:
                return closed
            scheduled = self._of_schedule(reporter, change or event) if reporter is not None else UNKNOWN
            return scheduled if scheduled.cause is not None else self.news.undone(changes) or Choice(None, ROOT, 0.9)
        if reporter is None:
            return UNKNOWN
        if change is not None and change.verb == "Delete" and self._is_replaced(reporter, change):
            return Choice(None, ROOT, 0.85)
        if subject is not None and subject.by and (requested := self._requested_by(subject.by, event)) is not None:
            return requested
        if subject is not None and subject.after:
            earlier = evidence.reported_before(self.state, event, subject.after)
            if earlier is not None:
                return Choice.event(earlier, OWN, 0.8)
        return self._of_action(event, reporter, change)

    def _undoing(self, event: Occurrence, change: Occurrence | None) -> list[Occurrence]:
        """The changes that an Event reports, ``change`` and others, as far as they can undo something."""
        found = [change] if change is not None else []
        if event.others:
            reported = evidence.reported_changes(self.state, event)
            found = [occ for known, _ in reported if (occ := self.state.occurrence(known.span)) is not None]
        return [occ for occ in found if occ.verb != "Delete"]

    def _of_action(self, event: Occurrence, reporter: ObjectState, change: Occurrence | None) -> Choice:
        """The cause of the action that a controller reports."""
        deletion = Choice(None, ROOT, 0.0)  # If another cause is found, only its actor and message are used.
        if change is not None and change.verb == "Delete":
            deletion = self.deletions.of_deletion(change, self.state.object(change.uid) or reporter)
            if deletion.cause is not None or change.uid == event.uid:
                return deletion
        choice = self._triggered(reporter, change or event, event.seen_rv)
        if choice.cause is None and event.seen_rv:
            choice = self._triggered(reporter, change or event)
        if change is not None and change.verb == "Delete" and reporter.kind == "DaemonSet":
            choice = _newer(choice, self.deletions.newest_of_node(change, REMOVES_PODS))
        if change is not None and (obj := self.state.object(change.uid)) is not None:
            choice = self._or_own_change(change, obj, choice)
        choice = choice if choice.cause is not None else self.of_event(event)
        if reporter.awaits:
            choice = self.bindings.of_event(event, reporter, choice)
        return Choice(choice.cause, choice.rule, choice.confidence, deletion.actor, deletion.message)

    def _requested_by(self, by: str, event: Occurrence) -> Choice | None:
        """The newest change of the object that a controller acted for (``by``: a uid, or namespace/name)."""
        namespace, slash, name = by.partition("/")
        named = self.state.objects.named(event.kind, namespace, name) if slash else ()
        requester = next(reversed(named), None) if slash else self.state.object(by)
        if requester is None:
            return None
        self.prerequisites.require_inferred(requester, event)
        # An object with this uid existed, although the Event may be older than the receipt of its creation.
        cause = evidence.newest(
            c
            for c in requester.changes
            if c.verb != "Delete" and (c.time <= event.latest or (c.verb == "Create" and not slash))
        )
        return Choice(cause, SUBJECT, 0.95) if cause is not None else None

    def of_event(self, occ: Occurrence) -> Choice:
        """The cause of an Event about its own object.

        If it publishes something and its rule starts a trace, it has a cause only up to ``NEWS_WINDOW`` before it.
        """
        if occ.revision and (of_revision := self._of_revision(occ)) is not None:
            return of_revision
        choice, obj = self.news.or_newer(occ, self._of_own_event(occ)), self.state.object(occ.uid)
        subject = occ.subject
        starts = subject is not None and subject.starts and subject.means == "publishes"
        if starts and (choice.cause is None or occ.time - choice.cause.time > NEWS_WINDOW):
            return Choice(None, ROOT, 0.9)
        return self.bindings.of_event(occ, obj, choice) if obj is not None and obj.awaits else choice

    def _of_own_event(self, occ: Occurrence) -> Choice:
        """Something that it observed, a change of its object, another Event about that, or the owner's last change."""
        obj = self.state.object(occ.uid)
        if obj is None:
            return UNKNOWN
        subject = occ.subject
        if subject is not None and subject.means == "observes" and (seen := self._observed(occ, obj)) is not None:
            return seen
        self.prerequisites.require_inferred(obj, occ)
        about_container = occ.field_path or occ.reason in STOPS
        if about_container and (of_container := self.containers.of_event(occ, obj)) is not None:
            return of_container
        # Nearly all objects have one change, their creation.
        if len(obj.changes) > 1 and (update := evidence.acted_on(obj, occ)) is not None:
            return Choice(update, OWN, 0.95)
        if occ.reason == "FailedCreate" and obj.lost_dependents and (lost := self._refused(obj, occ)) is not None:
            return lost
        if subject is not None and subject.means == "explains":
            if (begun := self.news.of_beginning(obj, occ)) is not None:
                return begun
            cause = evidence.newest(c for c in obj.changes if c.verb == subject.after)
            if cause is not None and cause.time <= occ.latest + evidence.SLACK:
                return Choice(cause, OWN, 0.95)
        changes = obj.changes if obj.kind != "Node" else [c for c in obj.changes if evidence.can_follow(c, occ)]
        cause = evidence.newest(c for c in changes if evidence.seen_by(c, occ)) if changes else None
        if cause is not None:
            return Choice(cause, OWN, 0.95 if occ.seen_rv else 0.8)
        first = next((c for c in changes if not evidence.is_reported(c, occ)), None)
        watched = first is not None and (first.exact or first.verb != "Delete") and not evidence.is_later(first, occ)
        if first is not None and watched and not occ.seen_rv and first.time <= occ.latest + _lateness(occ):
            return Choice(first, OWN, 0.6)  # The change was received after the Event that it caused.
        event = evidence.newest_event_about(self.state, occ, occ)
        if event is not None:
            return Choice.event(event, SUBJECT, 0.8)
        return self._of_owner_by_time(evidence.controlling(self.state, obj), occ)

    def _refused(self, owner: ObjectState, event: Occurrence) -> Choice | None:
        """The loss of the dependent for which a controller could not create a replacement."""
        since = evidence.newest(c for c in owner.changes if evidence.seen_by(c, event))
        floor = since.order if since is not None and since.exact else (-1, 0)
        self.prerequisites.require_decided([lost.span for lost in owner.lost_dependents if lost.rv > floor[0]])
        waiting = evidence.unreplaced(owner, event, floor)
        if owner.kind == "StatefulSet":
            waiting = [lost for lost in waiting if lost.name in event.message]
        if not waiting:
            return None
        return Choice(self._loss(waiting[0]), OWNER, 0.85)

    def _observed(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The change or transition of the subject that a controller observed."""
        subject = occ.subject
        assert subject is not None, "only called for Events that observe"
        place = subject.source == "nodeName"
        name = ("Node", "", obj.node) if place else (subject.kind, subject.namespace, subject.name)
        objects = self.state.objects.named(*name)
        if not (place or subject.name):
            objects = [o for o in self.state.objects.dependents(obj.uid) if o.kind == subject.kind]
        changes = [c for o in objects for c in o.changes if evidence.before_event(c, occ)]
        if subject.after:
            cause = evidence.newest(c for c in changes if c.verb == subject.after)
            return Choice(cause, SUBJECT, 0.9) if cause is not None else None
        cause = evidence.newest(c for c in changes if c.verb != "Delete")
        transitions = [t for o in objects for t in o.transitions if evidence.before_event(t, occ)]
        last = max(transitions, key=lambda t: (t.rv, t.span), default=None)
        if last is not None and (cause is None or cause.rv < last.rv):
            cause = self.prerequisites.require_cause(last)
        rule = PLACE if place else SUBJECT
        reported = evidence.reported_transition(self.state, *name, occ)
        if reported is not None and (cause is None or not cause.manual):
            return Choice.event(reported, rule, 0.9)
        return Choice(cause, rule, 0.9) if cause is not None else None

    def _of_owner_by_time(self, owner: ObjectState | None, occ: Occurrence) -> Choice:
        visited = set[str]()
        while owner is not None and owner.uid not in visited:
            visited.add(owner.uid)
            self.prerequisites.require_inferred(owner, occ)
            cause = evidence.newest(c for c in owner.changes if c.verb != "Delete" and c.latest <= occ.latest)
            if cause is not None:
                return Choice(cause, OWNER, 0.6)
            owner = evidence.controlling(self.state, owner)
        return UNKNOWN


def _lateness(event: Occurrence) -> int:
    """By how much the receipt of a change may be later than the Event that it caused (ns). An Event whose time is a
    whole second already has a range of one second."""
    return LATE if event.latest == event.time else 0


def _replaces_jobs(owner: ObjectState) -> bool:
    return owner.kind == "CronJob" and decode_spec(owner.spec).concurrencyPolicy == "Replace"


def _explains(choice: Choice, occ: Occurrence) -> bool:
    """True if a controller had a reason to make a change just then."""
    return choice.cause is not None and occ.earliest - choice.cause.latest <= evidence.MATCH


def _newer(choice: Choice, other: KnownChange | None) -> Choice:
    if other is None or (choice.cause is not None and choice.cause.order > other.order):
        return choice
    return Choice(other, PLACE, 0.85)
