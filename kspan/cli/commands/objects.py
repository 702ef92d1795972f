"""``kspan show`` and ``diff``: print versions of an object."""

import sys
import time
from collections.abc import Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from kspan.cli.commands.history import print_json
from kspan.cli.render.table import check_format
from kspan.cli.sources.source import HistoryOptions, asked
from kspan.errors import KspanError, QueryError
from kspan.query.objects.compare import ComparedAnswer, SideAnswer, VersionAnswer
from kspan.query.objects.manifest import to_yaml, unified_diff
from kspan.query.objects.names import parse_object
from kspan.query.time_args import parse_moment
from kspan.terminal.screen import Screen, screen
from kspan.terminal.text import harmless

_STYLES: Final = {"+": "green", "-": "red", "@": "cyan"}


def run_show(
    words: Sequence[str],
    options: HistoryOptions,
    *,
    namespace: str,
    at: str,
    uid: str,
    output: str,
    managed_fields: bool,
) -> None:
    """Print the manifest of an object."""
    check_format(output, ("yaml", "json"))
    wanted, moment = parse_object(tuple(words), namespace), _moment(at, "--at")
    with asked(options) as source:
        version = source.version(wanted, at=moment, uid=uid, managed_fields=managed_fields)
    _note_deletion(version, version)
    if output == "json":
        print_json(version.manifest)
        return
    with screen() as out:
        _print_lines(to_yaml(version.manifest).splitlines(), out)


def run_diff(
    words: Sequence[str],
    options: HistoryOptions,
    *,
    namespace: str,
    since: str,
    until: str,
    status: bool,
    uid: str,
    output: str,
) -> None:
    """Print the difference of two versions of an object."""
    check_format(output, ("diff", "json"))
    wanted = parse_object(tuple(words), namespace)
    first, last = _moment(since, "--from"), _moment(until, "--to")
    if first and last and first > last:
        raise QueryError("--from is later than --to: exchange them")
    with asked(options) as source:
        answer = source.compare(wanted, first=first, last=last, uid=uid, status=status, manifests=True)
    found, old, new = answer.compared, answer.from_, answer.to
    if found is msgspec.UNSET:
        raise KspanError("the answer has no manifests")
    _note_deletion(found, new)
    if found.is_first:
        also = "" if status else ": use --show-status to compare the status too"
        print(f"kspan: the journal has no earlier version of {_name(found)} that differs{also}", file=sys.stderr)
    elif found.before == found.after:
        print(f"kspan: no difference between {_time(old)} and {_time(new)}", file=sys.stderr)
    if output == "json":
        print_json(replace(answer, compared=msgspec.UNSET))
        return
    with screen() as out:
        _print_lines(unified_diff(found.before, found.after, (_label(found, old), _label(found, new))), out)


def _moment(text: str, option: str) -> int:
    return parse_moment(text, time.time_ns(), option) if text else 0


def _print_lines(lines: Sequence[str], out: Screen) -> None:
    """Print lines of YAML or of a diff. ``to_yaml`` has made them harmless."""
    for line in lines:
        out.line((line, _STYLES.get(line[:1], "")))


def _note_deletion(found: ComparedAnswer | VersionAnswer, version: SideAnswer | VersionAnswer) -> None:
    if version.deleted:
        print(f"kspan: {_name(found)} was deleted at {_time(version)}: this is its last version", file=sys.stderr)


def _name(found: ComparedAnswer | VersionAnswer) -> str:
    return harmless(f"{found.kind} {f'{found.namespace}/' if found.namespace else ''}{found.name}")


def _time(version: SideAnswer | VersionAnswer) -> str:
    return f"{version.time[:19]}Z"


def _label(found: ComparedAnswer, side: SideAnswer) -> str:
    return harmless(f"{found.kind}/{found.name} {_time(side)} (resourceVersion {side.resource_version})")
