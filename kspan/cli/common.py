"""Helpers shared by the commands: databases, rules, settings of the fold, progress bars."""

import contextlib
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from kspan.cli.options import parse_duration
from kspan.errors import QueryError, RulesError, SettingsError, StoreError
from kspan.paths import is_missing, why_unusable
from kspan.query.fleet.choose import UnknownClusterError, choose
from kspan.settings import FoldSettings
from kspan.store import Store, open_store
from kspan.store.location import locate
from kspan.times import SECOND

if TYPE_CHECKING:
    from kspan.graph import Rules

Advance = Callable[[int], None]

DEFAULTS = FoldSettings()

LONGEST_NAME: Final = 253
"""Characters of the name of a cluster, as of the names of objects."""


def state_directory() -> Path:
    """Return the directory of this user's databases, and create it if needed. Raises SettingsError."""
    from platformdirs import user_state_path

    path = user_state_path("kspan")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(
            f"cannot create the state directory {path}: {why_unusable(error)}; choose a database with --db"
        ) from error
    return path


def database_url(db: str | None) -> str:
    """Return the database of ``--db``, or the default one."""
    return db or f"sqlite:///{state_directory() / 'kspan.sqlite'}"


@contextlib.contextmanager
def report_interruption() -> Iterator[None]:
    """On Ctrl-C, print that committed work is kept. Typer then exits silently."""
    try:
        yield
    except KeyboardInterrupt:
        print("kspan: interrupted; committed records are kept, run the command again to continue", file=sys.stderr)
        raise


def load_rules(path: str | None) -> "Rules":
    """Return the built-in rules, extended and overridden by those of a file. Raises RulesError."""
    # Imported here because queries do not need the graph, and start faster without its libraries.
    from kspan.graph import built_in_rules, parse_rules

    return built_in_rules() if path is None else parse_rules(path, read_rules_file(path))


def read_rules_file(path: str) -> str:
    """Return the text of a rules file; ``-`` is standard input. Raises RulesError, or InputError if stdin is closed."""
    from kspan.ingest.files.bytes import standard_input

    try:
        raw = standard_input().read() if path == "-" else Path(path).read_bytes()
        return raw.decode("utf-8-sig")
    except OSError as error:
        raise RulesError(f"{path}: {why_unusable(error)}") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise RulesError(f"{path}:{line}: not UTF-8 text") from error


def fold_settings(
    hold: str | None,
    settle: str | None,
    max_trace_age: str | None,
    report_failure_after: str | None,
    contexts: Sequence[str] | None,
    span_labels: Sequence[str] | None = None,
    base: FoldSettings = DEFAULTS,
) -> FoldSettings:
    """Return the settings of the fold; an option that is None keeps the value of ``base``.

    ``settle_after_warning`` keeps its ratio to ``settle``. Raises SettingsError for an invalid duration, and if
    --max-trace-age or --report-failure-after is too short.
    """
    settings = FoldSettings(
        hold=_nanoseconds(hold, "--hold", base.hold),
        settle=_nanoseconds(settle, "--settle", base.settle),
        settle_after_warning=base.settle_after_warning,
        max_trace_age=_nanoseconds(max_trace_age, "--max-trace-age", base.max_trace_age),
        report_failure_after=_nanoseconds(report_failure_after, "--report-failure-after", base.report_failure_after),
        report_again_after=base.report_again_after,
        context_annotations=base.context_annotations if contexts is None else tuple(contexts),
        span_labels=base.span_labels if span_labels is None else tuple(dict.fromkeys(span_labels)),
    )
    if settings.max_trace_age <= settings.hold + settings.settle:
        raise SettingsError("--max-trace-age must be longer than --hold and --settle together")
    if 0 < settings.report_failure_after <= settings.hold:
        raise SettingsError("--report-failure-after must be longer than --hold")
    if settle is None:
        return settings
    after_warning = settings.settle * DEFAULTS.settle_after_warning // DEFAULTS.settle
    return msgspec.structs.replace(settings, settle_after_warning=after_warning)


def _nanoseconds(text: str | None, option: str, default: int) -> int:
    return default if text is None else int(parse_duration(text, option) * SECOND)


def open_existing(db: str | None, *, read_only: bool = False) -> Store:
    """Open an existing database: a mistyped path must not create one. Raises StoreError."""
    url = database_url(db)
    path = locate(url).path
    if path is not None and is_missing(path):
        if not path.parent.is_dir():
            raise StoreError(f"{path}: the directory {path.parent} does not exist")
        option = f" --db {path}" if db else ""
        create = f"create it with 'kspan run{option}' or 'kspan replay FILE{option}'"
        raise StoreError(f"{path}: no such database; {create}{'' if db else ', or choose another with --db'}")
    return open_store(url, read_only=read_only)


def the_cluster(store: Store, wanted: str) -> str:
    """Return the uid of the cluster with the uid or name ``wanted``, or of the only one. Raises StoreError."""
    clusters = store.named_clusters()
    if not clusters and not wanted:
        raise StoreError(f"{store.name}: the database is empty: run 'kspan run' or 'kspan replay' first")
    try:
        return choose(clusters, wanted, "--cluster")
    except QueryError as error:
        raise StoreError(f"{store.name}: {error}") from error


def known_cluster(store: Store, wanted: str) -> str:
    """Return the uid of a cluster that the database has, or ``wanted`` as the uid of a new one. Raises StoreError."""
    try:
        return choose(store.named_clusters(), wanted, "--cluster") if wanted else ""
    except UnknownClusterError:
        return wanted
    except QueryError as error:
        raise StoreError(f"{store.name}: {error}") from error


def check_cluster_name(name: str) -> None:
    """Raise SettingsError for a --cluster-name that cannot be typed again."""
    if len(name) > LONGEST_NAME or not name.isprintable():
        raise SettingsError(f"--cluster-name: use at most {LONGEST_NAME} printable characters")


@contextlib.contextmanager
def progress_bar(label: str, total: int | None, *, shown: bool) -> Iterator[Advance]:
    """Show a progress bar on standard error if it is a terminal. With ``total`` None the bar has no end."""
    if not shown or not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(label, total=total)
        yield lambda n: bar.advance(task, n)
