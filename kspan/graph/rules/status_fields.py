"""Fields of a status that make controllers act, as the spec does: requests of people, and what is published. Pure."""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from kspan.graph.rules.rules import StatusFields

Signals = tuple[str, ...]
"""The values of such fields as JSON (empty: not set), and a checksum of the rest of the status."""

_members = msgspec.json.Decoder(dict[str, msgspec.Raw])
_any = msgspec.json.Decoder()

_UNSET = ("", "null", "[]", "{}", '""')


class ChangedFields(NamedTuple):
    """The difference between the fields of two statuses."""

    before: dict[str, Any]
    after: dict[str, Any]
    written: tuple[str, ...]
    """Names of the fields that have a new value."""
    alone: bool
    """True if the rest of the status is the same."""

    @property
    def exist(self) -> bool:
        """True if a field differs."""
        return self.before != self.after


def read_signals(status: bytes, fields: StatusFields) -> Signals:
    """Read the fields of a status (JSON)."""
    try:
        members = _members.decode(status) if status else {}
    except msgspec.MsgspecError:
        return ()
    values = tuple(_value(members, path.split(".")) for path in fields.field)
    first = {path.partition(".")[0] for path in fields.field}
    rest = msgspec.json.encode({name: raw for name, raw in members.items() if name not in first})
    return (*values, str(zlib.crc32(rest)))


def _value(members: Mapping[str, msgspec.Raw], names: Sequence[str]) -> str:
    raw = members.get(names[0])
    try:
        for name in names[1:]:
            raw = _members.decode(raw).get(name) if raw is not None else None
    except msgspec.MsgspecError:
        return ""
    text = bytes(raw).decode(errors="replace") if raw is not None else ""
    return "" if text in _UNSET else text


def changed_fields(before: Signals, after: Signals, fields: StatusFields) -> ChangedFields:
    """Compare the fields of two statuses."""
    old, new, written = dict[str, Any](), dict[str, Any](), []
    known = before or ("",) * len(after)
    for name, was, now in zip(fields.field, known, after, strict=False):
        if was != now:
            old |= {name: _any.decode(was)} if was else {}
            new |= {name: _any.decode(now)} if now else {}
            written += [name] if now else []
    return ChangedFields(old, new, tuple(written), before[-1:] == after[-1:])


def revision_of(signals: Signals) -> str:
    """The revision that an object publishes in the first of its fields; empty without one."""
    value = _any.decode(signals[0]) if signals and signals[0] else ""
    return value if isinstance(value, str) else ""
