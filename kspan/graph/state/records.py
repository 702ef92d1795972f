"""The structs that the fold stores: objects, occurrences, traces and what is known of each. Pure data.

They are stored with the projection as msgpack arrays, so that a restart continues where the fold stopped. If a field
changes, the version of the fold does (``kspan.graph.state.version``). Times are in ns; a ``span`` is the id of an
occurrence.
"""

import msgspec
from msgspec import structs

from kspan.graph.observe.condition_diff import ConditionSet
from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.rules.rules import Subject
from kspan.k8s.containers import Ended, Restarted

SYNTHETIC_CREATE, SYNTHETIC_UPDATE = 1, 2
"""resourceVersions of changes that were not seen but inferred from managedFields: before any real one."""


class KnownChange(msgspec.Struct, array_like=True, gc=False):
    """A change of an object that can be the cause of later occurrences."""

    span: str
    verb: str  # Create, Update or Delete; empty for an Event or a transition as a cause
    rv: int  # resourceVersion; if not exact, the earliest possible
    time: int  # if not exact, the earliest possible (but as stated if the object states it)
    replicas: int = -1  # after the change; -1: the kind has none
    replicas_before: int = -1
    template: int = 0  # fingerprint of the pod template after the change
    template_changed: bool = False
    # On a Node, see ``field_managers.node_change``; on a Pod: "joined" an owner, deleted once "ended"; on a Deployment:
    # made while it was "paused", or "resumed" it; on a source: "published" a revision.
    effect: str = ""
    manual: bool = False  # made by somebody else than a controller
    exact: bool = True  # False: made while nobody was watching
    trace: str = ""  # set once the occurrence is placed
    generation: int = 0  # of the object after the change; 0: the kind has none
    range: int = 0  # by how much later than ``time`` it can have been made, if not exact
    manager: str = ""  # field manager
    interrupts: bool = False  # what the object was doing when it was made: a new template, a suspension, the deletion

    @property
    def order(self) -> tuple[int, int]:
        """Sorts the newest last, and inferred changes before all that were seen."""
        return (self.rv, self.time)

    @property
    def latest(self) -> int:
        """The latest time at which it can have been made."""
        return self.time + self.range

    @property
    def added(self) -> int:
        """By how many replicas the object grew; negative if it shrank."""
        return self.replicas - self.replicas_before if min(self.replicas, self.replicas_before) >= 0 else 0


class Transition(msgspec.Struct, array_like=True, gc=False):
    """A condition or phase transition of an object."""

    span: str  # that of an earlier transition if this one became its repeat
    type: str  # of the condition
    bad: bool  # for the worse, see ``ConditionTransition``
    rv: int
    time: int
    by_other_component: bool = False  # not written by the component that runs the object (for a Pod: its kubelet)
    trace: str = ""  # set once the occurrence is placed

    def as_cause(self) -> KnownChange:
        """The transition as a cause."""
        return KnownChange(self.span, "", self.rv, self.time, trace=self.trace)


class ContainerTurn(msgspec.Struct, array_like=True, gc=False):
    """The end of a run of a container, or the start of its next run."""

    span: str
    field_path: str  # spec.containers{web}
    ended: bool  # false: started again
    number: int  # of the run
    rv: int
    time: int
    trace: str = ""  # set once the occurrence is placed; it stays empty for one that the first list showed

    def as_cause(self) -> KnownChange:
        """The turn as a cause."""
        return KnownChange(self.span, "", self.rv, self.time, trace=self.trace)


class LostDependent(msgspec.Struct, array_like=True, gc=False):
    """A dependent that was deleted, orphaned or finished, as seen by the owner's controller."""

    span: str
    rv: int
    time: int
    uid: str
    name: str
    node: str = ""
    gone: int = 0  # when it was removed from storage; 0: not yet
    ordered: int = -1  # 1: deleted by the owner's controller, 0: not, -1: not decided yet
    ended: bool = False  # finished or failed, but not deleted

    @property
    def last(self) -> int:
        """When its controller last saw a change of it."""
        return max(self.time, self.gone)


class Replacement(msgspec.Struct, array_like=True, gc=False):
    """A dependent that was created after others were lost, and may replace one of them."""

    span: str
    rv: int
    time: int
    name: str
    node: str = ""

    @property
    def last(self) -> int:
        """When it was created."""
        return self.time


class Refusal(msgspec.Struct, array_like=True, gc=False):
    """An object (a ResourceQuota) because of which a controller was refused to create dependents."""

    kind: str
    namespace: str
    name: str
    first: int  # time of the first refusal that an Event reports
    last: int
    after: str = ""  # the verb of the change that ends it; empty: any


class News(msgspec.Struct, array_like=True, gc=False):
    """An Event that is the cause of what other objects do next: it names none of them, they refer to its object.

    It can also be the change of a status that publishes a revision, or the first that an object did for a revision.
    """

    span: str  # that of an earlier Event if this one became its repeat; empty: a revision that the first list showed
    rv: int
    time: int
    revision: str = ""  # of what was published; the group in which an object was requested
    wanted: str = ""  # kind of the object that was requested; empty: something was published
    trace: str = ""  # set once the Event is placed
    applied: int = 0  # version at which its object was ready with the revision; 0: not yet

    def as_cause(self) -> KnownChange:
        """The Event as a cause."""
        return KnownChange(self.span, "", self.rv, self.time, trace=self.trace)


class Failure(msgspec.Struct, array_like=True, gc=False):
    """A failure of an object that waiting does not fix (``[[failure]]`` in rules.toml)."""

    rule: str
    reason: str
    since: int  # when its first sign was received
    patience: int  # how long to wait for a recovery
    last: int = 0  # time of the newest Event that shows it
    heard: int = 0  # when that Event was received
    ended: int = 0  # 0: it lasts
    in_status: bool = False  # the status shows it; false: only Events do
    final: bool = False  # the object does not try again


class Continuation(msgspec.Struct, array_like=True, gc=False):
    """The continuation of a trace that was closed while something in it was failing."""

    trace: str  # the episode that is open; empty: none is
    follows: tuple[str, ...]  # the closed traces that it continues, oldest first
    root: str  # root span of the first of them
    failing: tuple[str, ...]  # uids of the objects that were failing when the last of them was closed
    rules: tuple[str, ...]  # failures that were reported
    number: int  # of the next or open episode among those in a row with the same failures
    closed: int  # when the last trace was closed


class EventTrack(msgspec.Struct, array_like=True, gc=False):
    """How far the repeats of one Event object were followed."""

    count: int
    message: str
    arrival: int  # of the occurrence with this count


class Baseline(msgspec.Struct, array_like=True, gc=False):
    """An object as the first list showed it: its unseen changes are inferred from this."""

    resource_version: str
    generation: int
    replicas: int
    template: int
    field_managers: tuple[FieldManagerEntry, ...]
    near: int = 0  # time of the earliest occurrence for which unseen changes have been inferred; 0: none have been


class Repeat(msgspec.Struct, array_like=True, gc=False):
    """A repeat of an Event or transition: an event on the span of an earlier one."""

    time: int
    count: int
    message: str
    arrival: int  # of the occurrence that became this repeat


class Note(msgspec.Struct, array_like=True, gc=False):
    """A transition that is an event on another span, with the fields of ``ConditionTransition``."""

    time: int
    name: str
    type: str
    status: str
    reason: str
    message: str


class Finalizer(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """A finalizer that an object had while it was being deleted."""

    name: str
    removed: int = 0  # when it was removed, or the object was; 0: not yet


class Place(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """Where an occurrence is in the graph, and which rule placed it there."""

    trace: str = ""  # empty: not placed yet
    rule: str = ""
    confidence: float = 0.0  # that the rule is right, from 0 to 1
    cause: str = ""  # span of the cause; it may be in a closed trace
    parent: str = ""  # span of the parent in the same trace
    remote_parent: str = ""  # span of the parent in another system
    link_trace: str = ""  # the closed trace that it follows
    link_span: str = ""
    link: str = ""  # what it is to this one: a value of ``vocabulary.LINK``
    episodic: bool = False  # first in an episode, or one of several


NOT_PLACED = Place()


class Occurrence(msgspec.Struct, array_like=True, gc=False):
    """Anything that happened to an object: a change, a condition transition or an Event. It becomes one span.

    A change has a ``verb``, a transition a ``condition``, a turn of a container a ``run``, an Event an ``event_uid``.
    """

    # What happened to which object.
    id: str  # of the span
    uid: str  # of the object; a placeholder for an Event that has only its name
    kind: str
    namespace: str
    name: str
    reason: str  # the verb of a change, the condition (and status) of a transition, the reason of an Event

    # When.
    arrival: int  # number in the order of arrival
    received: int
    time: int  # best estimate
    latest: int  # latest possible
    uncertainty: int = 0  # by how much ``time`` may be wrong, in both directions; 0: exact

    # Who and what, as far as known.
    rv: int = 0  # resourceVersion that it wrote, of the object or the Event; if not seen, the greatest possible
    api_version: str = ""
    resource_version: str = ""  # of the object, as text
    generation: int = 0  # of the object; for a transition the one that its controller had observed
    actor: str = ""  # component that acted, the service of the span
    instance: str = ""  # host of the actor
    warning: bool = False
    message: str = ""

    # Only changes.
    verb: str = ""  # Create, Update or Delete
    manager: str = ""  # field manager; transitions have one as well
    probable_manager: bool = False  # nothing shows for certain that it was this one
    subresource: str = ""  # through which the manager wrote
    unsettled: bool = False  # its object was progressing when it was made
    by_controller: bool = False
    traceparent: str = ""  # trace context that the change brought
    related: str = ""  # trace context that the object had before, only linked to
    patch: str = ""  # JSON patch of the change
    summary: str = ""
    reported_by: str = ""  # span of the Event that reports the change
    applier: tuple[str, ...] = ()  # kind, namespace (empty: unknown) and name of the object for which a tool made it
    whole: tuple[str, ...] = ()  # kind, namespace and name of the object whose controller makes this one again
    inferred_from: str = ""  # resourceVersion of the object from which it was inferred that nobody saw: a change from a
    # listed object, the first occurrence of an Event from a repeat

    # Only transitions.
    condition: str = ""  # type of the condition
    condition_status: str = ""
    condition_reason: str = ""
    evicted: tuple[str, ...] = ()  # Pods for whose eviction a PodDisruptionBudget was used up

    # Only turns of containers. They have a ``field_path`` as well.
    run: Ended | Restarted | None = None

    # Only Events.
    event_uid: str = ""
    event_name: str = ""
    event_action: str = ""
    event_count: int = 0
    event_start: int = 0  # when the Event object was first reported
    reported_uid: str = ""  # of the object under which the Event is tracked: ``uid`` as the reporter gave it
    field_path: str = ""  # part of the object (a container)
    seen_rv: int = 0  # version of the object that the reporter looked at; 0: unknown, or outdated in a repeat
    revision: str = ""  # of the content that was published or applied; changes and transitions can have one as well
    top_level: bool = False  # its annotation topLevelSpan starts a trace
    subject: Subject | None = None  # what a rule found that it reports, about which object

    # The span.
    decided: bool = False  # its cause is chosen, or being chosen
    place: Place = NOT_PLACED
    repeats: tuple[Repeat, ...] = ()  # most have none, and a list for each costs more than a new tuple for a few
    notes: tuple[Note, ...] = ()
    until: int = 0  # when a change was done or given up, or a condition changed again; 0: not yet

    # Only deletions.
    finalizers: tuple[Finalizer, ...] = ()  # of the object since the request

    # Only resumes of a rollout.
    resumes: tuple[str, ...] = ()  # spans of the changes that were made while it was paused

    # Only Events.
    others: tuple[tuple[str, str, str], ...] = ()  # kind, namespace and name of what it reports besides ``subject``

    @property
    def earliest(self) -> int:
        """The earliest time at which a change can have been made."""
        return self.time - self.uncertainty

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """The subjects of an Event, one for each object that it reports on."""
        first = self.subject
        if first is None or not self.others:
            return (first,) if first is not None else ()
        others = (structs.replace(first, kind=kind, namespace=space, name=name) for kind, space, name in self.others)
        return first, *others


class ObjectState(msgspec.Struct, array_like=True, gc=False):
    """The state of one object.

    Fields that most objects do not need are tuples or None: an empty list for each of 100,000 objects takes 5 MB.
    """

    # Identity and version.
    uid: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    resource: str = ""  # its stream: apps/v1/deployments
    api_version: str = ""
    rv: int = 0  # 0: only referenced by others, never seen
    resource_version: str = ""
    generation: int = 0

    # Life cycle.
    created: int = 0
    seen: int = 0  # first seen
    deleting: bool = False
    deleted: int = 0  # 0: not deleted
    forget: int = 0  # when to forget it; 0: no time is set

    # Metadata and spec.
    owner: str = ""  # uid of the owner that controls it
    owners: tuple[str, ...] = ()  # uids of all owners
    owner_manager: str = ""  # field manager that wrote the owner reference
    node: str = ""
    replicas: int = -1  # -1: the kind has none
    template: int = 0  # fingerprint of the pod template
    target_kind: str = ""  # what an autoscaler scales; whose pod template a Rollout uses
    target_name: str = ""
    claim: str = ""  # uid of the claim that a PersistentVolume is bound to
    claims: tuple[str, ...] = ()  # names of the claims that a Pod mounts
    awaits: str = ""  # kind of the object that has to use it first: a claim that is bound late waits for a Pod
    ordinal: int = -1  # of a Pod of a StatefulSet; -1: not labelled
    revision: str = ""  # of its owner from which a Pod was made; of a ReplicaSet its current number
    revision_versions: tuple[int, ...] = ()  # resourceVersions at which a ReplicaSet was given its last numbers
    toleration_seconds: int = 0  # how long a Pod stays on a tainted node
    traceparent: str = ""
    labels: int = 0  # fingerprint; if only the metadata are known, that of all of them
    label_text: bytes = b""  # to describe changes; not kept for objects with an owner, which are the most numerous
    annotations: dict[str, str] | None = None  # as label_text
    spec: bytes = b""
    field_managers: tuple[FieldManagerEntry, ...] = ()

    # Status.
    progressing: bool = False  # something is still to happen by itself
    failed: bool = False
    settled: int = 0  # when ``progressing`` last changed
    reached: int = 0  # the same, as the best estimate of when it happened
    written: int = 0  # the newest time in managedFields; 0: there is none
    ended: int = 0  # when a Job completed or failed
    disruption: str = ""  # reason of a Pod's condition DisruptionTarget
    conditions: ConditionSet = ()

    # What happened to it.
    baseline: Baseline | None = None  # None once a trace has been closed with an unseen change
    changes: list[KnownChange] = []
    transitions: list[Transition] = []
    containers: tuple[ContainerTurn, ...] = ()  # newest of its containers that ended or were started again
    unpublished: Occurrence | None = None  # newest change of labels alone; published if something is caused by it
    announcements: tuple[Note, ...] = ()  # transitions that announce its deletion
    events: dict[str, EventTrack] = {}  # Event objects whose occurrences are in closed traces, by uid
    lost_dependents: tuple[LostDependent, ...] = ()
    replacements: tuple[Replacement, ...] = ()
    refusals: tuple[Refusal, ...] = ()  # the newest ones, by subject
    news: tuple[News, ...] = ()  # newest last
    source: tuple[str, ...] = ()  # kind, namespace and name of the object whose content it applies
    signals: tuple[str, ...] = ()  # fields of its status that make controllers act, and a checksum of the others
    quiet: str = ""  # trace of its routine Events
    episodes: tuple[str, ...] = ()  # traces of what follows its closed traces, or no known cause; open ones, mostly
    failures: tuple[Failure, ...] = ()
    continuations: tuple[Continuation, ...] = ()  # of traces that were closed while failing; kept on one object of each
    span_labels: tuple[tuple[str, str], ...] = ()  # of a Pod, those that its spans carry

    @property
    def last_act(self) -> KnownChange | News | None:
        """Its newest change, or what it does since then for a new revision of its source."""
        last = self.changes[-1] if self.changes else None
        run = self.news[-1] if self.news else None
        if run is None or run.wanted or not (run.revision and run.span) or (last is not None and run.rv < last.rv):
            return last
        return run


class Trace(msgspec.Struct, array_like=True, gc=False):
    """An open trace."""

    id: str
    opened: int
    active: int  # when it last got an occurrence
    check: int  # when to check next whether it is resolved
    warning: bool = False  # contains a Warning
    previous_trace: str = ""  # the closed trace that this episode follows
    remote: bool = False  # its id is that of a carried trace context
    failing: tuple[str, ...] = ()  # uids of objects that have been failing in it
    failing_until: int = 0  # when one of them was last seen failing
    outcome: str = ""  # so far; empty: nothing fails
    reason: str = ""  # what fails
    quiet: bool = False  # only has routine Events
    first: int = 0  # time of its earliest occurrence
    last: int = 0  # time of its latest occurrence


class Gap(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An interval in which a stream was not watched."""

    start: int = 0  # resourceVersion up to which it was watched
    end: int = 0  # resourceVersion of the list after it
    since: int = 0  # when it was last known to be watched; 0: unknown
    until: int = 0  # when the list was received


class Clock(msgspec.Struct, array_like=True, gc=False):
    """The scalar state of the fold."""

    now: int = 0  # event time
    before: int = 0  # event time before it last advanced
    held: bool = False  # event time stands still: changes may be missing
    resumed: int = 0  # when it last went on
    arrivals: int = 0  # number of occurrences so far
    lag: int = 0  # how late Events arrive, as of ``lag_at``
    lag_at: int = 0
    closed_remote_traces: list[str] = []  # closed traces of remote contexts, which must not be opened again
    gaps: dict[str, Gap] = {}  # the last one of each stream
    invalid_contexts: int = 0  # changes whose object carried an invalid trace context
    began: int = 0  # event time of the first record
    events_listed: int = 0  # when an Event was last received in a list
    events_listed_before: int = 0  # the same, for the list before that one
