"""Why a claim and a volume were bound. Pure: nothing is changed by choosing.

The persistentvolume-controller binds what fits: a claim that is made after its volume, or a volume that is made after
its claim (pkg/controller/volume/persistentvolume/pv_controller.go). A claim whose storage class has the binding mode
WaitForFirstConsumer is bound when the scheduler places a Pod that mounts it
(pkg/scheduler/framework/plugins/volumebinding).
"""

from collections.abc import Iterable

from kspan.graph.cause import evidence
from kspan.graph.cause.choice import OWN, OWNER, SUBJECT, Choice
from kspan.graph.cause.prerequisites import Prerequisites
from kspan.graph.state.records import KnownChange, ObjectState, Occurrence
from kspan.graph.state.state import State
from kspan.k8s.objects import decode_spec

SCHEDULER = "kube-scheduler"
"""Field manager that reserves a volume for a claim when it places a Pod."""


class BindingChooser:
    """Chooses causes of bindings. ``prerequisites`` raises PrerequisiteError if something has to be decided first."""

    def __init__(self, state: State, prerequisites: Prerequisites) -> None:
        self.state = state
        self.prerequisites = prerequisites

    def of_binding(self, occ: Occurrence, obj: ObjectState) -> Choice | None:
        """The cause of a change by which a controller binds a claim or a volume, or provisions the volume; None if
        ``occ`` is none.

        It is the newest of what has to be there: the claim, the volume, and for some claims a Pod.
        """
        if occ.verb == "Delete" or not occ.by_controller:
            return None
        if obj.kind == "PersistentVolumeClaim" and occ.verb == "Update":
            name = decode_spec(obj.spec).volumeName
            claim, volumes = obj, self.state.objects.named("PersistentVolume", "", name) if name else []
        elif obj.kind == "PersistentVolume" and obj.claim and (found := self.state.object(obj.claim)) is not None:
            claim, volumes = found, [obj]
        else:
            return None
        causes = [*self._made(claim, occ), *(c for volume in volumes for c in self._made(volume, occ))]
        by_scheduler = any(c.manager == SCHEDULER for volume in volumes for c in volume.changes)
        if claim.awaits == "Pod" or by_scheduler:
            causes += self._of_consumer(claim, occ)
        newest = evidence.newest(causes)
        if newest is None:
            return None
        rule = OWN if newest in obj.changes else OWNER if newest in claim.changes else SUBJECT
        return Choice(newest, rule, 0.85)

    def of_event(self, event: Occurrence, claim: ObjectState, choice: Choice) -> Choice:
        """Return ``choice``, the cause of an Event about a claim, or the Pod for which the claim waited, if that is
        newer."""
        subject = event.subject
        still_waits = subject is not None and subject.means == "awaits" and not subject.name
        if claim.awaits != "Pod" or still_waits:
            return choice
        newest = evidence.newest(self._of_consumer(claim, event))
        if newest is None or (choice.cause is not None and choice.cause.order > newest.order):
            return choice
        return Choice(newest, SUBJECT, 0.85)

    def _made(self, obj: ObjectState, occ: Occurrence) -> Iterable[KnownChange]:
        """The creation of an object, and what people changed in it."""
        self.prerequisites.require_inferred(obj, occ)
        return [
            c for c in obj.changes if (c.verb == "Create" or c.manual) and _is_before(c, occ) and c.verb != "Delete"
        ]

    def _of_consumer(self, claim: ObjectState, occ: Occurrence) -> Iterable[KnownChange]:
        """The creation of the Pod for which a claim was bound: of those that mount it, the first that got a node."""
        pods = [pod for pod in self.state.objects.consumers(claim) if pod.created <= occ.latest]
        for pod in [pod for pod in pods if pod.node] or pods:
            self.prerequisites.require_inferred(pod, occ)
            made = [c for c in pod.changes if c.verb == "Create" and _is_before(c, occ)]
            if made:
                return made
        return []


def _is_before(cause: KnownChange, occ: Occurrence) -> bool:
    return evidence.before(cause, occ) if occ.verb else evidence.before_event(cause, occ)
