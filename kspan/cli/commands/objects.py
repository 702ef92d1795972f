"""``kspan show`` and ``diff``: print versions of an object from the journal."""

import sys
import time
from collections.abc import Sequence
from typing import Final

from kspan.cli.commands.history import print_json, snapshot
from kspan.cli.render.table import check_format
from kspan.errors import QueryError
from kspan.query.objects.compare import compare, diff_answer
from kspan.query.objects.manifest import decode, readable, to_yaml, unified_diff
from kspan.query.objects.names import parse_object
from kspan.query.objects.versions import Version, version_at
from kspan.query.time_args import parse_moment
from kspan.terminal.screen import Screen, screen
from kspan.terminal.text import harmless
from kspan.times import format_time

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def run_show(
    words: Sequence[str],
    db: str | None,
    *,
    namespace: str,
    at: str,
    uid: str,
    cluster: str,
    output: str,
    managed_fields: bool,
) -> None:
    """Print the manifest of an object."""
    check_format(output, ("yaml", "json"))
    wanted, moment = parse_object(tuple(words), namespace), _moment(at, "--at")
    with snapshot(db, cluster, "read the object") as (connection, name):
        version = version_at(connection, name, wanted, at=moment, uid=uid)
    _note_deletion(version)
    manifest = readable(decode(version.record.payload), managed_fields=managed_fields)
    if output == "json":
        print_json(manifest)
        return
    with screen() as out:
        _print_lines(to_yaml(manifest).splitlines(), out)


def run_diff(
    words: Sequence[str],
    db: str | None,
    *,
    namespace: str,
    since: str,
    until: str,
    status: bool,
    uid: str,
    cluster: str,
    output: str,
) -> None:
    """Print the difference of two versions of an object."""
    check_format(output, ("diff", "json"))
    wanted = parse_object(tuple(words), namespace)
    first, last = _moment(since, "--from"), _moment(until, "--to")
    if first and last and first > last:
        raise QueryError("--from is later than --to: exchange them")
    with snapshot(db, cluster, "read the object") as (connection, name):
        found = compare(connection, name, wanted, first=first, last=last, uid=uid, status=status)
    old, new = found.old, found.new
    _note_deletion(new)
    if old is None:
        also = "" if status else ": use --show-status to compare the status too"
        print(f"kspan: the journal has no earlier version of {_name(new)} that differs{also}", file=sys.stderr)
    elif found.before == found.after:
        print(f"kspan: no difference between {_time(old)} and {_time(new)}", file=sys.stderr)
    if output == "json":
        print_json(diff_answer(found))
        return
    with screen() as out:
        _print_lines(unified_diff(found.before, found.after, (_label(old or new), _label(new))), out)


def _moment(text: str, option: str) -> int:
    return parse_moment(text, time.time_ns(), option) if text else 0


def _print_lines(lines: Sequence[str], out: Screen) -> None:
    """Print lines of YAML or of a diff. ``to_yaml`` has made them harmless."""
    for line in lines:
        out.line((line, _STYLES.get(line[:1], "")))


def _note_deletion(version: Version) -> None:
    if version.deleted:
        print(f"kspan: {_name(version)} was deleted at {_time(version)}: this is its last version", file=sys.stderr)


def _name(version: Version) -> str:
    found = version.object
    return harmless(f"{found.kind} {f'{found.namespace}/' if found.namespace else ''}{found.name}")


def _time(version: Version) -> str:
    return f"{format_time(version.record.recorded_at)[:19]}Z"


def _label(version: Version) -> str:
    record = version.record
    return harmless(f"{record.kind}/{record.name} {_time(version)} (resourceVersion {record.resource_version})")
