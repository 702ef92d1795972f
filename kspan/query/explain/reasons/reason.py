"""A reason, as the modules beside this one find it. Pure."""

import msgspec


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """The reason of an occurrence. Times are Unix ns, durations ns; 0 if there is none.

    Args:
        kind: memory, exit (of a program), probe, flapping, deadline, limit (of attempts), missing, came, preemption,
            drain, or dependent.
        text: the reason in words, without the times below.
        likely: it is inferred, and not recorded as such.
        runs, alike: number of runs of the container that ended so far, and of those that ended like this one.
        unseen: number of runs of which nobody saw the end.
        first: when the first of these ended, the probe failed first, or the Pod began to flap.
        lasted: how long such a run lasted (the median).
        started: when the time of a deadline began.
        happened: when that happened for which the object waited.
        waited: how long it had waited then.
        again: when it happened last, if that was after its effect.
    """

    kind: str
    text: str
    likely: bool = False
    runs: int = 0
    alike: int = 0
    unseen: int = 0
    first: int = 0
    lasted: int = 0
    started: int = 0
    happened: int = 0
    waited: int = 0
    again: int = 0
