"""The own words of an occurrence. The message of a root span is the verdict about its trace, if that failed. Pure."""

from typing import Final

from kspan import vocabulary
from kspan.k8s.containers import OOM_KILLED, Ended, sentence
from kspan.model import SpanRow

TERMINATED: Final = "ContainerTerminated"
RESTARTED: Final = "ContainerRestarted"

CHANGES: Final = frozenset(["Create", "Update", "Delete"])


def is_verdict(span: SpanRow) -> bool:
    """Return whether the error and the message of a root are the verdict about its trace."""
    reason = span.attributes.get(vocabulary.OUTCOME_REASON)
    return bool(span.error and reason and reason == span.message)


def is_end(span: SpanRow) -> bool:
    """Return whether a span is the end of a container, as the status of a Pod shows it."""
    return span.object_kind == "Pod" and span.reason == TERMINATED and not span.event_uid


def own_message(span: SpanRow) -> str:
    """Return the message of an occurrence, also of a root whose trace failed; empty if it has none."""
    if not is_verdict(span):
        return span.message
    own = span.attributes.get(vocabulary.EVENT_MESSAGE) or span.attributes.get(vocabulary.CONDITION_MESSAGE)
    return str(own or "") or (sentence(_run(span)) if is_end(span) else "")


def _run(span: SpanRow) -> Ended:
    """The run of a container whose end a span is."""
    known = span.attributes
    return Ended(
        container=container_of(span),
        field_path="",
        number=run_of(span) - 1,
        id="",
        reason=str(known.get(vocabulary.CONTAINER_TERMINATED_REASON, "")),
        exit_code=exit_code(span),
        signal=0,
        message=str(known.get(vocabulary.TERMINATION_MESSAGE, "")),
        started="",
        finished="",
    )


def own_error(span: SpanRow) -> bool:
    """Return whether an occurrence is an error itself, and not only the root of a trace that failed."""
    return span.error and not (is_verdict(span) and span.reason in CHANGES and not span.event_uid)


def end_in_words(span: SpanRow) -> str:
    """Return how a container ended: ``container web was OOMKilled (exit 137) in run 2``."""
    known = span.attributes
    name, reason, code = container_of(span), str(known.get(vocabulary.CONTAINER_TERMINATED_REASON, "")), exit_code(span)
    if reason == "Completed" or not (reason or code):
        how = "completed"
    else:
        how = "was OOMKilled" if reason == OOM_KILLED else f"ended with {reason or 'Error'}"
    return f"container {name} {how} (exit {code}){_in_run(span)}"


def killed_in_words(span: SpanRow) -> str:
    """Return how a container ended that its kubelet stopped: ``container web was killed (exit 0)``.

    One that ran out of memory while it was being stopped has ended for that.
    """
    if span.attributes.get(vocabulary.CONTAINER_TERMINATED_REASON) == OOM_KILLED:
        return end_in_words(span)
    return f"container {container_of(span)} was killed by the kubelet (exit {exit_code(span)}){_in_run(span)}"


def disruption_of(deletion: SpanRow) -> tuple[str, str]:
    """Return reason and message of the condition DisruptionTarget of a deleted Pod; empty if it has none."""
    for event in deletion.events:
        known = event.attributes
        if known.get(vocabulary.CONDITION_TYPE) == "DisruptionTarget":
            return str(known.get(vocabulary.CONDITION_REASON, "")), str(known.get(vocabulary.CONDITION_MESSAGE, ""))
    return "", ""


def container_of(span: SpanRow) -> str:
    """Return the container that an occurrence is about; empty if it is about none."""
    return str(span.attributes.get(vocabulary.CONTAINER_NAME, ""))


def exit_code(span: SpanRow) -> int:
    """Return the exit code of the end of a container."""
    code = span.attributes.get(vocabulary.EXIT_CODE, 0)
    return code if isinstance(code, int) else 0


def run_of(span: SpanRow) -> int:
    """Return the number of the run of a container that ended, from 1."""
    restarts = span.attributes.get(vocabulary.CONTAINER_RESTART_COUNT, 0)
    return (restarts if isinstance(restarts, int) else 0) + 1


def _in_run(span: SpanRow) -> str:
    return f" in run {run_of(span)}" if run_of(span) > 1 else ""
