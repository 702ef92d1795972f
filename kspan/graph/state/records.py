"""What the fold remembers: objects, occurrences and traces, each with what is known of it. Pure data.

All of it is stored with the projection (msgpack), so that a restart goes on from where the fold stood.
"""

import msgspec

from kspan.graph.observe.condition_diff import ConditionSet
from kspan.graph.observe.field_managers import FieldManagerEntry
from kspan.graph.rules.rules import Subject

SYNTHETIC_CREATE, SYNTHETIC_UPDATE = 1, 2
"""resourceVersions of changes that were not seen but inferred from managedFields: before any real one."""


class KnownChange(msgspec.Struct, array_like=True, gc=False):
    """A change of an object: what later occurrences can go back to.

    ``replicas`` and ``before`` are those after the change and before it (-1: none), ``template`` the fingerprint of the
    pod template after it. ``turned`` says what it did to a Node (see ``field_managers.node_change``;
    a Pod ``joined`` its owner for it), ``manual`` whether
    somebody else than a controller made it. Of a change that is not ``exact`` (nobody was watching) ``rv`` and ``time``
    are only the earliest that they can be. ``trace`` is set once the occurrence is placed. ``generation`` is the
    object's after it (0: it has none).
    """

    span: str
    verb: str
    rv: int
    time: int
    replicas: int = -1
    before: int = -1
    template: int = 0
    template_changed: bool = False
    turned: str = ""
    manual: bool = False
    exact: bool = True
    trace: str = ""
    generation: int = 0

    @property
    def order(self) -> tuple[int, int]:
        """Newest last. Inferred changes come before all that were seen."""
        return (self.rv, self.time)

    @property
    def added(self) -> int:
        """By how many replicas it grew (negative: it shrank)."""
        return self.replicas - self.before if min(self.replicas, self.before) >= 0 else 0


class Transition(msgspec.Struct, array_like=True, gc=False):
    """A condition or phase transition of an object.

    ``bad`` and ``type`` are those of ``ConditionTransition``. ``by_other_component``: the condition was written by
    another component than the one that runs the object (for a Pod: not its kubelet). ``span`` is that of an earlier
    transition if this one became its repeat.
    """

    span: str
    type: str
    bad: bool
    rv: int
    time: int
    by_other_component: bool = False
    trace: str = ""

    def as_cause(self) -> KnownChange:
        """For what goes back to it."""
        return KnownChange(self.span, "", self.rv, self.time, trace=self.trace)


class LostDependent(msgspec.Struct, array_like=True, gc=False):
    """A dependent that went (deleted, let go, or ended by itself), as its owner's controller meets it.

    ``ordered``: 1 by that controller, 0 not, -1 not decided yet. ``gone``: when it had gone for good (ns, 0: not yet).
    ``ended``: it is still there, but done or failed.
    """

    span: str
    rv: int
    time: int
    uid: str
    name: str
    node: str = ""
    gone: int = 0
    ordered: int = -1
    ended: bool = False

    @property
    def last(self) -> int:
        """When its controller was last told of it."""
        return max(self.time, self.gone)


class Replacement(msgspec.Struct, array_like=True, gc=False):
    """A dependent that was created after others had gone, and may have taken the place of one of them."""

    span: str
    rv: int
    time: int
    name: str
    node: str = ""

    @property
    def last(self) -> int:
        """When it happened."""
        return self.time


class Refusal(msgspec.Struct, array_like=True, gc=False):
    """What an object's controller was refused for the sake of another object (a ResourceQuota): between ``first`` and
    ``last`` (ns), as far as Events tell."""

    kind: str
    namespace: str
    name: str
    first: int
    last: int


class EventTrack(msgspec.Struct, array_like=True, gc=False):
    """How far the repeats of one Event object were followed: its count and message as of the occurrence that came as
    the ``arrival``-th."""

    count: int
    message: str
    arrival: int


class Baseline(msgspec.Struct, array_like=True, gc=False):
    """An object as the first list showed it: what its unseen changes are inferred from, whatever came after."""

    resource_version: str
    generation: int
    replicas: int
    template: int
    field_managers: tuple[FieldManagerEntry, ...]


class Repeat(msgspec.Struct, array_like=True, gc=False):
    """A repeat of an Event on its span; ``arrival`` is that of the occurrence which it was."""

    time: int
    count: int
    message: str
    arrival: int


class Note(msgspec.Struct, array_like=True, gc=False):
    """A transition recorded on the span that it repeats; the fields are those of ``ConditionTransition``."""

    time: int
    name: str
    type: str
    status: str
    reason: str
    message: str


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
    episodic: bool = False  # in a trace that gathers what follows a closed trace


NOT_PLACED = Place()


class Occurrence(msgspec.Struct, array_like=True, gc=False):
    """Anything that happened to an object: a change, a deletion, a condition's turn, an Event. It becomes one span.

    ``verb`` is Create, Update or Delete for a change; ``condition`` the type of a condition that turned, with its
    ``status`` and ``because`` (its reason). Both are empty for an Event. ``rv`` is the version that a change made; for
    an Event ``seen_rv`` is the version that its reporter looked at (0: unknown, or stale because this is a repeat).
    ``time`` is the best estimate; it happened no later than ``latest``. ``generation`` is that of the object, of a turn
    the one that its controller had observed. ``cause`` is what was chosen, ``parent`` where it hangs.
    ``related`` is the trace context that the object carried already.
    ``reported_uid`` is the object on which an Event is tracked: not ``uid`` where its reporter told only the name.
    """

    id: str
    uid: str
    kind: str
    namespace: str
    name: str
    reason: str
    arrival: int
    received: int
    time: int
    latest: int
    reported_uid: str = ""
    verb: str = ""
    rv: int = 0
    seen_rv: int = 0
    api_version: str = ""
    resource_version: str = ""
    field_path: str = ""
    generation: int = 0
    actor: str = ""
    instance: str = ""
    manager: str = ""
    subresource: str = ""
    by_controller: bool = False
    listed: bool = False
    warning: bool = False
    message: str = ""
    event_uid: str = ""
    event_name: str = ""
    event_action: str = ""
    event_count: int = 0
    event_start: int = 0
    top_level: bool = False
    subject: Subject | None = None
    traceparent: str = ""
    patch: str = ""
    summary: str = ""
    decided: bool = False
    place: Place = NOT_PLACED
    reported_by: str = ""
    repeats: list[Repeat] = []
    related: str = ""
    condition: str = ""
    status: str = ""
    because: str = ""
    notes: list[Note] = []


class ObjectState(msgspec.Struct, array_like=True, gc=False):
    """What the fold remembers of one object. ``rv`` 0: only spoken of, never seen. Times in ns; ``deleted``,
    ``settled`` and ``forget`` (when to let it go) in logical time, ``reached`` the best estimate of when it
    came to rest. ``template`` and ``labels`` are fingerprints. ``latent`` is its
    newest change of labels alone: it becomes an occurrence only if something follows from it. ``ended`` is when a Job
    was done or had failed. ``conditions`` is how it stands by its own status. ``patience`` is how long a Pod stays on a
    node that was tainted (s), ``revision`` the one of its owner that it was made from, or of a Deployment's ReplicaSet
    the number that it has now; ``numbered`` are the versions at which that one was given it and those before.
    ``label_text`` and ``annotations`` are kept to tell what changed, but not of what belongs to another (its controller
    sets them, and these are the most numerous).
    ``claim`` is the uid of the claim that a PersistentVolume is bound to.
    ``index`` is the ordinal of a StatefulSet's Pod (-1: not told). ``notes`` announce its deletion.
    ``events`` are tracks of Event objects whose occurrences are in closed traces (``graph.tracks`` has those of the
    others).

    What most objects have none of is a tuple, or None: an empty list for each of a hundred thousand takes 5 MB."""

    uid: str
    kind: str = ""
    namespace: str = ""
    name: str = ""
    resource: str = ""
    api_version: str = ""
    rv: int = 0
    resource_version: str = ""
    generation: int = 0
    created: int = 0
    seen: int = 0
    deleting: bool = False
    deleted: int = 0
    forget: int = 0
    owner: str = ""
    owner_manager: str = ""
    node: str = ""
    replicas: int = -1
    template: int = 0
    progressing: bool = False
    failed: bool = False
    settled: int = 0
    reached: int = 0
    disruption: str = ""
    target_kind: str = ""
    target_name: str = ""
    traceparent: str = ""
    spec: bytes = b""
    field_managers: tuple[FieldManagerEntry, ...] = ()
    baseline: Baseline | None = None
    changes: list[KnownChange] = []
    lost_dependents: tuple[LostDependent, ...] = ()
    events: dict[str, EventTrack] = {}
    episode: str = ""
    episodes: int = 0
    owners: tuple[str, ...] = ()
    labels: int = 0
    replacements: tuple[Replacement, ...] = ()
    refused: Refusal | None = None
    unpublished: Occurrence | None = None
    ended: int = 0
    conditions: ConditionSet = ()
    transitions: list[Transition] = []
    index: int = -1
    toleration_seconds: int = 0
    revision: str = ""
    notes: tuple[Note, ...] = ()
    claim: str = ""
    label_text: bytes = b""
    annotations: dict[str, str] | None = None
    numbered: tuple[int, ...] = ()


class Trace(msgspec.Struct, array_like=True, gc=False):
    """An open trace. ``active`` is the logical time at which something last came to it."""

    id: str
    opened: int
    active: int
    check: int
    warning: bool = False
    previous_trace: str = ""


class Clock(msgspec.Struct, array_like=True, gc=False):
    """The scalar state. ``lag`` is how late Events are seen to come (ns), as of ``lag_at``; ``carried`` names closed
    traces under a remote context, which must not be opened a second time. ``gaps`` holds, for a stream that nobody
    watched for a while, the resourceVersions between which that was. ``invalid_contexts`` counts the changes that
    carried a trace context which is none."""

    now: int = 0
    arrivals: int = 0
    lag: int = 0
    lag_at: int = 0
    carried: list[str] = []
    gaps: dict[str, tuple[int, int]] = {}
    invalid_contexts: int = 0
