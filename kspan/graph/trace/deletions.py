"""The reason why a deletion or another change is not finished, in words. Pure."""

from collections.abc import Iterable

from kspan.graph.state.records import ObjectState, Occurrence
from kspan.vocabulary import REMAINING


def unfinished(obj: ObjectState, members: Iterable[Occurrence]) -> str:
    """Why an object has not finished what the trace with these members began, in words."""
    what = f"{obj.kind} {obj.name}"
    if not obj.deleting:
        return f"{what} did not finish"
    deletion = next((occ for occ in members if occ.uid == obj.uid and occ.verb == "Delete"), None)
    held = ", ".join(f.name for f in deletion.finalizers if not f.removed) if deletion is not None else ""
    held = f": held by {held}" if held else ""
    message = _remaining(deletion) if deletion is not None and obj.kind == "Namespace" else ""
    return f"{what} is still being deleted{held}{f': {message}' if message else ''}"


def _remaining(deletion: Occurrence) -> str:
    """The newest message that names what remains in a Namespace; empty if none does."""
    newest = {note.type: note for note in deletion.notes}
    found = (newest[kind] for kind in REMAINING if kind in newest)
    return next((note.message for note in found if note.status == "True" and note.message), "")
