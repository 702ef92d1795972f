"""The containers in the status of a Pod: which of their runs ended and how, and which were started again. Pure.

Also what the kubelet's messages state about images.

Sources: k8s.io/api core/v1 ContainerStatus; pkg/kubelet/kubelet_pods.go, convertToAPIContainerStatuses. A status shows
two runs of a container: the current one (``state``) and the last one that ended (``lastState``). ``restartCount`` is
the number of the current run; while the container waits to be started again, that of the run that ended. When the
kubelet finds that a container is gone (ContainerStatusUnknown), it counts the next run already; of a Pod that is being
deleted it does not, and its last run has a number too low here, but the same one before and after the deletion.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec

from kspan.k8s.objects import ContainerState, ContainerStateTerminated, ContainerStatus, ObjectStatus
from kspan.times import parse_go_duration

MESSAGE_LIMIT = 1024
"""Maximum length of the end of a termination message in characters (the API allows 4096 bytes)."""

EPHEMERAL = "spec.ephemeralContainers"
"""Field path of ephemeral containers."""

OOM_KILLED = "OOMKilled"
"""Reason of the end of a container in which the kernel killed a process for lack of memory."""

GONE = "ContainerStatusUnknown"
"""Reason of the end of a container that its runtime has lost."""

_NEVER = "1970-01-01T00:00:00"
"""How a runtime states the start of a container that it could not start (StartError)."""

_SIGNALS = range(129, 128 + 65)
"""Exit codes of a process that a signal ended: 128 and the number of the signal (POSIX shells, container runtimes)."""


class Ended(msgspec.Struct, array_like=True, tag=True, frozen=True, gc=False):
    """A run of a container that ended."""

    container: str
    field_path: str  # spec.containers{web}
    number: int  # 0 for the first run
    id: str  # of the container in its runtime; empty if none was created
    reason: str  # OOMKilled, Error, Completed …
    exit_code: int
    signal: int  # that ended it; 0: none, or unknown
    message: str  # the end of its termination message
    started: str  # RFC 3339, in whole seconds; empty if unknown
    finished: str
    missed: int = 0  # earlier runs that ended unseen, as its number shows


class Restarted(msgspec.Struct, array_like=True, tag=True, frozen=True, gc=False):
    """A run of a container, not its first one, that was started."""

    container: str
    field_path: str
    number: int
    id: str
    started: str


def container_runs(status: ObjectStatus) -> list[Ended | Restarted]:
    """Return the runs that ended and the later ones that were started, as the status of a Pod shows them.

    For each container they are in order. The list is empty until one has ended.
    """
    init, own, ephemeral = (
        status.initContainerStatuses or (),
        status.containerStatuses or (),
        status.ephemeralContainerStatuses or (),
    )
    if not (_has_an_end(own) or _has_an_end(init) or _has_an_end(ephemeral)):
        return []
    lists = (("spec.initContainers", init), ("spec.containers", own), (EPHEMERAL, ephemeral))
    return [run for where, each in lists for one in each for run in _runs(one, f"{where}{{{one.name}}}")]


def _has_an_end(containers: Sequence[ContainerStatus]) -> bool:
    """True if the status shows the end of a run of one of the containers, also if that runs again."""
    for one in containers:
        state, last = one.state, one.lastState
        if (state is not None and state.terminated is not None) or (last is not None and last.terminated is not None):
            return True
    return False


def _terminated(state: ContainerState | None) -> ContainerStateTerminated | None:
    return state.terminated if state is not None else None


def _runs(status: ContainerStatus, path: str) -> Iterator[Ended | Restarted]:
    now, last = _terminated(status.state), _terminated(status.lastState)
    running = status.state.running if status.state is not None else None
    number = status.restartCount
    before = max(number - 1, 0)
    if last is not None:
        waits = running is None and now is None
        yield _ended(status.name, path, number if waits and not _is_gone(last) else before, last)
    if number and running is not None:
        yield Restarted(status.name, path, number, status.containerID, running.startedAt or "")
    elif number and now is not None and now.startedAt and not now.startedAt.startswith(_NEVER):
        yield Restarted(status.name, path, number, now.containerID, now.startedAt)
    if now is not None:
        yield _ended(status.name, path, before if _is_gone(now) else number, now)


def _is_gone(end: ContainerStateTerminated) -> bool:
    """True if the kubelet did not find the container any more."""
    return end.reason == GONE and not end.containerID


def _ended(name: str, path: str, number: int, end: ContainerStateTerminated) -> Ended:
    by_signal = end.exitCode - 128 if end.exitCode in _SIGNALS else 0
    return Ended(
        container=name,
        field_path=path,
        number=number,
        id=end.containerID,
        reason=end.reason,
        exit_code=end.exitCode,
        signal=end.signal or by_signal,
        message=end.message.strip()[-MESSAGE_LIMIT:],
        started=end.startedAt or "",
        finished=end.finishedAt or "",
    )


def sentence(run: Ended | Restarted) -> str:
    """Return what happened to a container, such as ``container web was OOMKilled (137), restart 4``."""
    again = f", restart {run.number}" if run.number else ""
    if isinstance(run, Restarted):
        return f"container {run.container} was started again{again}"
    if run.reason == "Completed" or not (run.reason or run.exit_code):
        how = f"completed ({run.exit_code})"
    elif run.reason == OOM_KILLED:
        how = f"was OOMKilled ({run.exit_code})"
    else:
        how = f"ended with {run.reason or 'Error'} ({run.exit_code})"
    message = f": {run.message}" if run.message else ""
    return f"container {run.container} {how}{again}{message}"


class ImageFacts(NamedTuple):
    """Facts about an image in a message of the kubelet."""

    image: str
    """As named in the Pod."""
    pulled_in: int = 0
    """How long the pull took (ns); 0: not stated."""
    waited: int = 0
    """The same, with the time that it waited for other pulls."""
    size: int | None = None
    """In bytes; None: not stated."""
    present: bool = False
    """True if the image was on the node already."""


_IMAGE = re.compile(
    r"""(?:Pulling|Successfully\ pulled|Failed\ to\ pull|Back-off\ pulling|Container)\ image\ "([^"]+)"
    (?P<present>\ already\ present\ on\ machine)?
    (?:\ in\ (?P<in>[\d.a-zµμ]+))?
    (?:\ \((?P<waited>[\d.a-zµμ]+)\ including\ waiting\))?
    (?:\.\ Image\ size:\ (?P<size>\d+)\ bytes)?""",
    re.VERBOSE | re.IGNORECASE,
)
"""Messages about images (pkg/kubelet/images/image_manager.go). Kubernetes 1.20 added how long the pull took, 1.27 how
long with waiting, 1.31 the size."""


def image_facts(message: str) -> ImageFacts | None:
    """Return what a message of the kubelet states about an image; None if it is about none."""
    found = _IMAGE.match(message)
    if found is None:
        return None
    return ImageFacts(
        image=found[1],
        pulled_in=_duration(found["in"]),
        waited=_duration(found["waited"]),
        size=int(found["size"]) if found["size"] else None,
        present=bool(found["present"]),
    )


def _duration(text: str | None) -> int:
    try:
        return parse_go_duration(text) if text else 0
    except ValueError:
        return 0


class ImageName(NamedTuple):
    """The parts of the name of an image."""

    name: str
    tag: str
    """Empty if it names none."""
    digest: str
    """``sha256:…``; empty if it names none."""


def image_name(image: str) -> ImageName:
    """Split the name of an image: ``registry.example.com:5000/shop/web:v1@sha256:…``."""
    rest, _, digest = image.partition("@")
    name, colon, tag = rest.rpartition(":")
    # A colon before the last slash is that of a port.
    return ImageName(name, tag, digest) if colon and "/" not in tag else ImageName(rest, "", digest)
