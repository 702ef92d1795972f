"""What a version of the fold stands for: stored structs, rows of the recordings, and built-in rules; and the schema.

``make fold-version`` writes it to ``tests/data/fold_version.txt``, and ``test_fold_version`` compares it.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from kspan.graph import Fold, built_in_rules
from kspan.graph.state.records import Clock, ObjectState, Occurrence, Trace
from kspan.graph.state.version import FOLD_VERSION
from kspan.model import Delta, LogRecord, RecordType, SpanEvent, SpanLink
from kspan.pipeline.rebuild import TABLES
from kspan.settings import FoldSettings
from kspan.store import open_store
from kspan.store.schema.tables import REVISION
from tests.recordings import RUN_OUT, SCENARIOS, journal

FILE = Path(__file__).parents[1] / "data" / "fold_version.txt"

STORED = (Occurrence, ObjectState, Trace, Clock, SpanEvent, SpanLink, FoldSettings)
"""The structs that columns of the database hold. Those that they contain are found."""

STRUCTS, OUTPUT = "Stored structs", "Digests of the rows of each recording"
RULES, SCHEMA = "Digest of the built-in rules", "Digest of the schema"

BATCH = 50
"""Records between two digests, so that open traces and waiting occurrences are part of them."""


def structs() -> list[str]:
    """Name, encoding and fields of each stored struct, in the order in which they are stored."""
    return list(_structs(STORED, set()))


def _structs(types: tuple[Any, ...], seen: set[Any]) -> Iterator[str]:
    for struct in types:
        if struct in seen:
            continue
        seen.add(struct)
        info = inspect.type_info(struct)
        assert isinstance(info, inspect.StructType)
        yield f"{struct.__name__} ({'array' if info.array_like else 'object'})"
        inner: list[Any] = []
        for field in info.fields:
            yield f"  {field.encode_name}: {_text(field.type, inner)}"
        yield from _structs(tuple(inner), seen)


def _text(kind: inspect.Type, inner: list[Any]) -> str:
    """The type in a readable form; the structs in it are added to ``inner``."""
    match kind:
        case inspect.StructType():
            inner.append(kind.cls)
            return kind.cls.__name__
        case inspect.ListType():
            return f"list[{_text(kind.item_type, inner)}]"
        case inspect.VarTupleType():
            return f"tuple[{_text(kind.item_type, inner)}, ...]"
        case inspect.TupleType():
            return f"tuple[{', '.join(_text(item, inner) for item in kind.item_types)}]"
        case inspect.DictType():
            return f"dict[{_text(kind.key_type, inner)}, {_text(kind.value_type, inner)}]"
        case inspect.UnionType():
            return " | ".join(_text(member, inner) for member in kind.types)
        case inspect.EnumType():
            return f"{kind.cls.__name__}({', '.join(repr(member.value) for member in kind.cls)})"
    return type(kind).__name__.removesuffix("Type").lower()


def output() -> list[str]:
    """A digest of all rows that the fold writes for each recording."""
    return [f"{scenario} {_digest_of(scenario)}" for scenario in SCENARIOS]


def _digest_of(scenario: str) -> str:
    cluster, records = journal(scenario)
    fold, digest = Fold(cluster, built_in_rules()), sha256()
    number = 0
    for number, record in enumerate(records, 1):
        fold.apply(number, record)
        if number % BATCH == 0:
            _add(digest, fold.take_delta())
    fold.apply(number + 1, LogRecord(RecordType.TICK, fold.now + RUN_OUT))
    _add(digest, fold.take_delta())
    return digest.hexdigest()[:32]


def _add(digest: Any, delta: Delta) -> None:
    """Add the rows of a delta: in the order of their content, for their order in the delta means nothing."""
    for table in TABLES:
        written = [*getattr(delta, table), *getattr(delta, f"updated_{table}", ())]
        for row in sorted(map(msgspec.msgpack.encode, written)):
            digest.update(row)
    for dropped in (delta.dropped_spans, delta.dropped_pending, delta.dropped_traces):
        digest.update(msgspec.msgpack.encode(sorted(dropped)))
    digest.update(delta.clock)


def rules() -> list[str]:
    """The digest that is stored with a projection. A change without a new version would be reported to every user."""
    return [built_in_rules().digest]


def schema() -> list[str]:
    """A digest of the tables, indexes and views that the migrations make on SQLite."""
    with open_store("sqlite://") as store, store.reading("read the schema") as connection:
        query = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY type, name"
        statements = "\n".join(connection.exec_driver_sql(query).scalars())
    return [f"{REVISION} {sha256(statements.encode()).hexdigest()[:32]}"]


def current(released: int) -> str:
    """The text of the file as the program is now. ``released``: the version of the fold in the newest release."""
    parts = {STRUCTS: structs(), OUTPUT: output(), RULES: rules(), SCHEMA: schema()}
    sections = (f"\n# {title}\n\n" + "".join(f"{line}\n" for line in lines) for title, lines in parts.items())
    return f"fold version {FOLD_VERSION}, released {released}\n" + "".join(sections)


def recorded() -> tuple[str, int, int]:
    """(text, version, released version) of the file."""
    text = FILE.read_text(encoding="utf-8")
    _, _, version, _, released = text.splitlines()[0].replace(",", "").split()
    return text, int(version), int(released)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.store.fold_version", description=__doc__)
    parser.add_argument("--release", action="store_true", help="record that the version is part of a release")
    options = parser.parse_args(arguments)
    text, version, released = recorded() if FILE.exists() else ("", 0, 0)
    new = current(released)
    if text != new and version == FOLD_VERSION == released:
        print(
            f"Version {FOLD_VERSION} of the fold was released: raise FOLD_VERSION in kspan/graph/state/version.py "
            f"to {FOLD_VERSION + 1}, then run this again.",
            file=sys.stderr,
        )
        return 1
    FILE.write_text(current(FOLD_VERSION) if options.release else new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
