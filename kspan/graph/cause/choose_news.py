"""Causes in other objects that a change or an Event does not name: what it waited for, what was published for it, what
was requested. Pure: nothing is changed by choosing.

An object is joined to them by identity: the object that it waited for has a name, a tool writes into what it applies
for which object it does so, and the spec of that object names its source. Only a Node that was requested has no name
yet: time decides, with a low confidence.
"""

from collections.abc import Iterable

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, PLACE, ROOT, SUBJECT, UNKNOWN, Choice
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.rules.rules import Rules, Subject
from kspan.graph.state.records import KnownChange, News, ObjectState, Occurrence, Refusal
from kspan.graph.state.state import State
from kspan.settings import FoldSettings
from kspan.times import SECOND

NEWS_WINDOW = 300 * SECOND
"""A tool applies at once what was published; it waits for health checks for some minutes (timeouts of Flux and Argo CD
are 5 minutes by default)."""

NOT_IMPROVED = ("deletes", "explains", "observes", "waits")
"""Meanings of Events whose cause is stated, or that report that something is still missing."""


CHANGES = ("Create", "Update", "Delete")


class NewsChooser:
    """Chooses such causes. ``prerequisites`` raises PrerequisiteError if something has to be decided first."""

    def __init__(self, state: State, rules: Rules, settings: FoldSettings, prerequisites: Prerequisites) -> None:
        self.state = state
        self.rules = rules
        self.settings = settings
        self.prerequisites = prerequisites

    def or_newer(self, occ: Occurrence, choice: Choice) -> Choice:
        """Return ``choice``, or what ended the wait of the object of ``occ`` or was published for it, if that is newer.

        ``occ`` is an Event about its own object or a condition transition.
        """
        obj, subject = self.state.object(occ.uid), occ.subject
        if subject is not None and subject.means == "requests":
            return self._same_request(occ, subject) or choice
        if obj is None or (subject is not None and subject.means in NOT_IMPROVED):
            return choice
        if not obj.refusals and obj.kind not in self.rules.sources:  # nearly all objects
            return choice
        found = [self._end_of_wait(obj, occ), self.of_source(obj, occ)]
        newer = [other for other in found if other is not None and _order(other) > _order(choice)]
        return max(newer, key=_order, default=choice)

    # what an object waited for ---------------------------------------------------------------------------------------

    def _end_of_wait(self, obj: ObjectState, occ: Occurrence) -> Choice | None:
        """The change of the object for which another waited. A workload waits for what its dependents need, which is
        chosen for them."""
        if not obj.refusals or obj.kind in self.rules.actors:
            return None
        # An object that complains about something else does not wait any more for the first.
        before = [r for r in obj.refusals if r.first <= occ.latest + evidence.SLACK]
        last = max((r.last for r in before), default=0)
        found = [self._end_of(refusal, obj, occ) for refusal in before if refusal.last == last]
        ended = max((choice for choice in found if choice is not None), key=_order, default=None)
        return ended if ended is not None and (not obj.owner or self._is_in_trace_of(ended, obj)) else None

    def _is_in_trace_of(self, ended: Choice, obj: ObjectState) -> bool:
        """True if the end of a wait is in the trace of the newest change of the object that waited.

        A rollout is one trace, also if somebody makes the ConfigMap that it lacks. A Node that was requested for one of
        its Pods belongs to it.
        """
        last = obj.changes[-1] if obj.changes else None
        if last is None or ended.cause is None:
            return False
        self.prerequisites.require_decided([last.span, ended.cause.span])
        change, cause = self.state.occurrence(last.span), self.state.occurrence(ended.cause.span)
        return change is not None and cause is not None and change.place.trace == cause.place.trace != ""

    def _end_of(self, refusal: Refusal, pod: ObjectState, occ: Occurrence) -> Choice | None:
        if refusal.kind == "Node" and not refusal.name:
            return self._node_that_admits(refusal, pod, occ)
        changes = [
            c
            for other in self.state.objects.named_or_all(refusal.kind, refusal.namespace, refusal.name)
            for c in other.changes
            if refusal.after in ("", c.verb) and evidence.before_event(c, occ) and _is_between(c, refusal)
        ]
        ended = _first_since(changes, refusal)
        return Choice(ended, SUBJECT, 0.9 if refusal.name else 0.7) if ended is not None else None

    def _node_that_admits(self, refusal: Refusal, pod: ObjectState, occ: Occurrence) -> Choice | None:
        """The change or transition since the refusal by which the Node of a Pod admits it."""
        found: list[KnownChange] = []
        for node in self.state.objects.named("Node", "", pod.node) if pod.node else ():
            found += [c for c in node.changes if c.effect == "opened" and _is_admission(c, refusal, occ)]
            ready = [t.as_cause() for t in node.transitions if t.type == "Ready" and not t.bad]
            found += [t for t in ready if _is_admission(t, refusal, occ)]
        # A Node that joins is not ready yet.
        found = [c for c in found if c.verb != "Create"] or found
        admitted = _first_since(found, refusal)
        if admitted is None:
            return None
        self.prerequisites.require_decided([admitted.span])
        return Choice(admitted, PLACE, 0.8)

    # what was published ----------------------------------------------------------------------------------------------

    def of_source(self, obj: ObjectState, occ: Occurrence) -> Choice | None:
        """The news of the source of an object before ``occ``; None if there is none, or no source."""
        if obj.kind not in self.rules.sources:
            return None
        named = self.state.objects.named(*obj.source) if len(obj.source) == 3 else ()
        if named:
            return self._newest_news(named, occ, 0.8)
        if obj.source:
            return None
        # The spec is not known. People give one name to what belongs together.
        kinds = self.rules.sources[obj.kind].kind
        same = [s for kind in kinds for s in self.state.objects.named(kind, obj.namespace, obj.name)]
        # The chart of a release (fluxcd/helm-controller api/v2, GetHelmChartName), in the namespace of its source.
        same += [s for kind in kinds for s in self.state.objects.publishers(kind, f"{obj.namespace}-{obj.name}")]
        return self._newest_news(same, occ, 0.5)

    def of_revision(self, obj: ObjectState, occ: Occurrence) -> Choice | None:
        """The cause of what an object does for a revision of its source; None if ``occ`` is about no revision.

        The first occurrence for a revision is caused by the news of that, or by a change of the object since the
        revision before; the others by the first, or by a change of the object since then.
        """
        if not occ.revision or obj.kind not in self.rules.sources or obj.kind in self.rules.status_fields:
            return None
        began = [n for n in obj.news if n.rv <= occ.rv]
        run = _run(obj, occ)
        is_first = run is None or run.span == occ.id
        since = max((n.rv for n in began if n is not run or not is_first), default=0)
        seen = (c for c in obj.changes if evidence.seen_by(c, occ)) if occ.event_uid else obj.changes
        own = evidence.newest(c for c in seen if c.verb != "Delete" and since < c.rv <= occ.rv)
        found = [Choice(own, OWN, 0.9)] if own is not None else []
        if run is not None and not is_first and run.span:
            self.prerequisites.require_decided([run.span])
            found.append(Choice(run.as_cause(), OWN, 0.95))
        elif is_first and (published := self._published(obj, occ)) is not None:
            found.append(published)
        # What the first list showed as applied is only applied again.
        return max(found, key=_order, default=Choice(None, ROOT, 0.8) if is_first else UNKNOWN)

    def _published(self, obj: ObjectState, occ: Occurrence) -> Choice | None:
        """The news of the source of an object that states the revision of ``occ``, or else the newest."""
        choice = self.of_source(obj, occ)
        stated = self._stated(obj, choice)
        return choice if not stated or any(_is_same(one, occ.revision) for one in stated) else None

    def _stated(self, obj: ObjectState, choice: Choice | None) -> list[str]:
        """The revision that the chosen news of the source of an object state."""
        news = [n for s in self.state.objects.named(*obj.source) for n in s.news] if len(obj.source) == 3 else []
        span = choice.cause.span if choice is not None and choice.cause is not None else ""
        return [n.revision for n in news if n.revision and n.span == span]

    def awaited_revision(self, occ: Occurrence) -> str:
        """The revision that an object cannot apply yet, as the transition ``occ`` shows: the newest of its source, or
        the one that its own newest Event states. Empty if neither is known."""
        obj = self.state.object(occ.uid)
        if obj is None:
            return ""
        stated = self._stated(obj, self.of_source(obj, occ))
        own = max((n for n in obj.news if n.time <= occ.latest + evidence.SLACK), key=lambda n: n.rv, default=None)
        return stated[-1] if stated else own.revision if own is not None else ""

    def applies_again(self, obj: ObjectState, occ: Occurrence) -> bool:
        """True if ``occ`` is about a revision of its source with which an object was ready before."""
        if obj.kind not in self.rules.sources:
            return False
        run = _run(obj, occ)
        return run is not None and run.span != occ.id and 0 < run.applied < occ.rv

    def of_publication(self, occ: Occurrence, obj: ObjectState) -> Choice:
        """The cause of a change of the status that publishes a revision: the Event that reports it or, if a controller
        made it, a change of the object since the last revision."""
        for news in obj.news:
            event = self.state.occurrence(news.span)
            near = news.revision or abs(news.time - occ.time) <= evidence.MATCH
            if news.revision in ("", occ.revision) and near and event is not None and event.event_uid:
                self.prerequisites.require_decided([news.span])
                return Choice(news.as_cause(), OWN, 0.95, actor="" if occ.manager else event.actor)
        if not occ.by_controller:
            return Choice(None, ROOT, 0.95 if occ.manager else 0.5)
        since = max((n.rv for n in obj.news if n.rv < occ.rv), default=0)
        own = evidence.newest(c for c in obj.changes if c.manual and since < c.rv < occ.rv)
        return Choice(own, OWN, 0.8) if own is not None else Choice(None, ROOT, 0.8)

    def _newest_news(self, publishers: Iterable[ObjectState], occ: Occurrence, confidence: float) -> Choice | None:
        known = [n for obj in publishers for n in obj.news if n.span and not n.wanted and _is_news(n, occ)]
        if occ.revision and (same := [n for n in known if _is_same(n.revision, occ.revision)]):
            known, confidence = same, 0.95
        known = [n for n in known if occ.time - n.time <= NEWS_WINDOW or n.revision]
        if not known:
            return None
        newest = max(known, key=lambda n: (n.rv, n.time, n.span))
        self.prerequisites.require_decided([newest.span])
        return Choice(newest.as_cause(), SUBJECT, confidence)

    def of_beginning(self, obj: ObjectState, occ: Occurrence) -> Choice | None:
        """The Event of an object after which ``occ`` comes, by its reason: the newest news of the object."""
        if occ.subject is None or occ.subject.after in CHANGES:
            return None
        known = [n for n in obj.news if n.span and not n.wanted and _is_news(n, occ)]
        begun = max(known, key=lambda n: (n.rv, n.time, n.span), default=None)
        if begun is None or occ.time - begun.time > self.settings.max_trace_age:
            return None
        self.prerequisites.require_decided([begun.span])
        event = self.state.occurrence(begun.span)
        return Choice(begun.as_cause(), OWN, 0.9) if event is None or event.reason == occ.subject.after else None

    def of_applier(self, occ: Occurrence) -> Choice | None:
        """The newest cause of a change that a tool made for another object: an Event or a change of that object, or the
        news of its source."""
        if len(occ.applier) != 3:
            return None
        found: list[Choice] = []
        for applier in self._appliers(occ):
            published = self._newest_news([applier], occ, 0.9)
            sources = self.of_source(applier, occ)
            own = evidence.newest(
                c
                for c in applier.changes
                if (c.verb != "Delete" or occ.verb == "Delete")
                and evidence.before(c, occ)
                and occ.time - c.time <= NEWS_WINDOW
            )
            found += [choice for choice in (published, sources) if choice is not None]
            found += [Choice(own, SUBJECT, 0.9)] if own is not None else []
        return max(found, key=_order, default=None)

    def _appliers(self, occ: Occurrence) -> list[ObjectState]:
        """The objects for which a tool may have made a change, as the changed object states."""
        kind, namespace, name = occ.applier
        if namespace:
            return list(self.state.objects.named(kind, namespace, name))
        return list(self.state.objects.publishers(kind, name))

    def of_applied(self, occ: Occurrence) -> Choice | None:
        """The cause of a change that a tool made for another object: the change by hand that it corrects, or what
        ``of_applier`` finds. Nothing is known of corrections by an object that nobody saw."""
        applied = self.of_applier(occ)
        if len(occ.applier) != 3 or not any(obj.rv for obj in self._appliers(occ)):
            return applied
        longest = self.settings.max_trace_age
        return self._restored(occ, longest) or self.undone([occ], applied, longest) or applied

    def _restored(self, occ: Occurrence, within: int) -> Choice | None:
        """The change by hand just before, of a pod template or of replicas, if the change ``occ`` restores exactly what
        that had replaced. A tool may report its correction as any other operation (the self-heal of Argo CD)."""
        obj = self.state.object(occ.uid)
        made = evidence.made_by(obj, occ) if obj is not None else None
        if obj is None or made is None or made.verb != "Update":
            return None
        earlier = sorted((c for c in obj.changes if c.order < made.order), key=lambda c: c.order)
        hand = earlier[-1] if earlier else None
        if hand is None or hand.verb != "Update" or not hand.manual or hand.manager in ("", made.manager):
            return None
        first = earlier[-2].template if len(earlier) > 1 else obj.baseline.template if obj.baseline is not None else 0
        template = hand.template_changed and 0 != first == made.template
        scaled = not hand.template_changed and hand.added != 0 and hand.replicas_before == made.replicas
        is_near = evidence.before(hand, occ) and made.time - hand.latest <= within
        return Choice(hand, OWN, 0.8) if (template or scaled) and is_near else None

    def of_pruned(self, occ: Occurrence, choice: Choice) -> Choice:
        """The cause of the deletion of an object that a tool applied: it deletes what is no longer in its source, and
        what it applied for an object that is being deleted."""
        applied = self.of_applier(occ)
        if applied is None or applied.cause is None or occ.earliest - applied.cause.time > evidence.MATCH:
            return choice
        return applied._replace(confidence=0.8 if applied.cause.verb == "Delete" else 0.5)

    def of_finalizer(self, event: Occurrence, reporter: ObjectState) -> Choice | None:
        """The deletion of the reporting object, because of which its controller deleted what it made for it."""
        subject = event.subject
        if not reporter.deleting or subject is None or subject.means != "deletes":
            return None
        if (subject.kind, subject.name) == (reporter.kind, reporter.name):  # The Event reports that very deletion.
            return None
        deletions = (c for c in reporter.changes if c.verb == "Delete")
        own = evidence.newest(c for c in deletions if evidence.before_event(c, event))
        return Choice(own, OWN, 0.9) if own is not None else None

    def undone(
        self, changes: Iterable[Occurrence], other: Choice | None = None, within: int = evidence.MATCH
    ) -> Choice | None:
        """The deletion or manual change that a controller undoes; None if there is none.

        Args:
            changes: what the controller did.
            other: a cause of its own. Only what came after that counts, and was not done by the controller.
            within: how long before it can have been (ns).
        """
        floor = other.cause.order if other is not None and other.cause is not None else (0, 0)
        undone = evidence.newest(
            c
            for change in changes
            for obj in self.state.objects.named(change.kind, change.namespace, change.name)
            for c in obj.changes
            if c.verb == "Delete" or (c.verb == "Update" and c.manual)
            if c.verb == "Delete" or c.manager != change.manager or (other is None and not change.applier)
            if c.order > floor and evidence.before(c, change) and change.earliest - c.latest <= within
        )
        return Choice(undone, OWN, 0.8) if undone is not None else None

    # what was requested ----------------------------------------------------------------------------------------------

    def of_request(self, occ: Occurrence) -> Choice | None:
        """The Event that reports that an object of this kind was requested, of which nobody knew the name; or the Node
        that it replaces."""
        horizon = occ.time - self.settings.max_trace_age
        news = self._first_request(
            news
            for obj in self.state.objects.requesters(occ.kind)
            for news in obj.news
            if obj.kind == "Pod" and not obj.deleting and obj.node in ("", occ.name)
            if news.wanted == occ.kind and horizon <= news.time <= occ.time
        )
        return Choice(news.as_cause(), SUBJECT, 0.5) if news is not None else self._of_replacement(occ)

    def _of_replacement(self, occ: Occurrence) -> Choice | None:
        """The taint of a Node for which Karpenter launches a NodeClaim that no Pod requested: it taints the Nodes that
        it is going to disrupt, then launches their replacements (pkg/controllers/disruption/queue.go)."""
        if occ.kind != "NodeClaim":
            return None
        closed = evidence.newest(
            change
            for node in self.state.objects.named_or_all("Node", "", "")
            for change in node.changes
            if change.effect in ("closed", "evicts") and change.manager == occ.manager
            if evidence.before(change, occ) and occ.time - change.time <= evidence.MATCH
        )
        return Choice(closed, PLACE, 0.6) if closed is not None else None

    def claim_of(self, occ: Occurrence, obj: ObjectState) -> ObjectState | None:
        """The object for which a new Node was started (Karpenter's NodeClaim). It owns the Node, but does not control
        it: the Node registers itself before it is given that owner."""
        if obj.kind != "Node" or occ.verb != "Create":
            return None
        return next((owner for uid in obj.owners if (owner := self.state.object(uid)) is not None), None)

    def _same_request(self, occ: Occurrence, subject: Subject) -> Choice | None:
        """The Event of the Pod for which the group grew of which another object reports the same."""
        if occ.kind == "Pod" or not subject.by:
            return None
        news = self._first_request(
            news
            for obj in self.state.objects.requesters(subject.kind)
            for news in obj.news
            if obj.kind == "Pod" and news.revision == subject.by and abs(news.time - occ.time) <= evidence.MATCH
        )
        return Choice(news.as_cause(), SUBJECT, 0.8) if news is not None else None

    def _first_request(self, requests: Iterable[News]) -> News | None:
        news = min(requests, key=lambda n: (n.time, n.span), default=None)
        if news is not None:
            self.prerequisites.require_decided([news.span])
        return news


def _order(choice: Choice) -> tuple[int, int]:
    return choice.cause.order if choice.cause is not None else (-1, 0)


def _run(obj: ObjectState, occ: Occurrence) -> News | None:
    """The first that an object did for the revision of ``occ`` since another one."""
    begun = (n for n in obj.news if n.rv <= occ.rv and _is_same(n.revision, occ.revision))
    return max(begun, key=lambda n: n.rv, default=None)


def _is_same(published: str, applied: str) -> bool:
    """True if two texts state the same revision. A chart has a version (``6.5.4+0a1b2c``), the artifact with the chart
    also a digest (``6.5.4@sha256:…``)."""
    if ("@" in published) == ("@" in applied):
        return published == applied
    first, second = (text.partition("@")[0].partition("+")[0] for text in (published, applied))
    return first == second


def _first_since(changes: Iterable[KnownChange], refusal: Refusal) -> KnownChange | None:
    """The first change after the last refusal, or else the newest. Later ones are of no concern to an object that had
    stopped waiting. Of two in one version, a transition is what others see."""
    found = sorted(changes, key=lambda c: (c.rv, c.verb != "", c.time, c.span))
    return next((c for c in found if c.latest + evidence.SLACK >= refusal.last), found[-1] if found else None)


def _is_between(change: KnownChange, refusal: Refusal) -> bool:
    return refusal.first <= change.latest + evidence.SLACK


def _is_admission(change: KnownChange, refusal: Refusal, occ: Occurrence) -> bool:
    return _is_between(change, refusal) and evidence.before_event(change, occ)


def _is_news(news: News, occ: Occurrence) -> bool:
    return news.span != occ.id and news.rv < occ.rv and news.time <= occ.time + occ.uncertainty + evidence.SLACK
