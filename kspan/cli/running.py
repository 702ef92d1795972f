"""``kspan run`` and ``kspan record``."""

import re
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from kspan.cli.common import database_url, load_rules
from kspan.errors import SettingsError
from kspan.settings import FoldSettings
from kspan.times import SECOND

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d|w)")
_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_LEVELS: Final = ("debug", "info", "warning", "error")


def parse_duration(text: str, option: str) -> float:
    """Seconds of ``90s``, ``1h30m``, ``7d``, or ``0``. Raises SettingsError that names the option."""
    rest = text.strip().lower()
    parts = _DURATION.findall(rest)
    if rest == "0":
        return 0.0
    if not parts or "".join(number + unit for number, unit in parts) != rest:
        raise SettingsError(f"{option} {text!r} is no duration: write 90s, 30m, 12h, 7d or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


def run_daemon(
    db: str | None,
    export: Sequence[str],
    *,
    kubeconfig: str | None,
    context: str | None,
    watch: Sequence[str],
    namespaces: Sequence[str],
    all_kinds: bool,
    cluster: str,
    cluster_name: str,
    rules: str | None,
    listen: str,
    retention: str,
    redact_env: bool,
    hold: str,
    settle: str,
    log_level: str,
) -> int:
    """Watches a cluster until SIGTERM or SIGINT; the exit code (1: a part of it died). What is wrong from the start is
    raised, as a KspanError."""
    if log_level not in _LEVELS:
        raise SettingsError(f"--log-level {log_level!r}: use {', '.join(_LEVELS)}")
    kept = parse_duration(retention, "--retention")
    waiting = _waiting(parse_duration(hold, "--hold"), parse_duration(settle, "--settle"))

    from kspan.daemon import logs
    from kspan.daemon.http import parse_listen
    from kspan.daemon.run import Options, run
    from kspan.emit.exporters import parse_target
    from kspan.ingest.kube import Selection, connect
    from kspan.store import open_store

    targets = list({target.name: target for target in map(parse_target, export)}.values())
    parse_listen(listen)
    compiled = load_rules(rules)
    logs.set_up(log_level)
    connection = connect(kubeconfig, context)
    try:
        with open_store(database_url(db)) as store:
            return run(
                store,
                connection,
                Selection(tuple(watch), tuple(namespaces), all_kinds),
                compiled,
                targets,
                Options(
                    listen=listen,
                    cluster=cluster,
                    cluster_name=cluster_name,
                    retention=int(kept * SECOND),
                    redact_env=redact_env,
                    settings=waiting,
                ),
            )
    finally:
        connection.close()


def _waiting(hold: float, settle: float) -> FoldSettings:
    """Both in seconds. The longer settling after a Warning keeps its proportion."""
    defaults = FoldSettings()
    after_warning = settle * defaults.settle_after_warning / defaults.settle
    return FoldSettings(
        hold=int(hold * SECOND), settle=int(settle * SECOND), settle_after_warning=int(after_warning * SECOND)
    )


def run_record(
    path: str,
    *,
    duration: str,
    kubeconfig: str | None,
    context: str | None,
    watch: Sequence[str],
    namespaces: Sequence[str],
    all_kinds: bool,
    force: bool,
) -> None:
    """Records what the watches deliver for ``duration`` (``0``: until SIGTERM or SIGINT)."""
    seconds = parse_duration(duration, "--for")
    if Path(path).exists() and not force:
        raise SettingsError(f"{path}: is there already; --force replaces it")

    from kspan.daemon import logs
    from kspan.ingest.kube import Selection, connect, record

    logs.set_up("warning")
    stop = threading.Event()
    connection = connect(kubeconfig, context)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        selection = Selection(tuple(watch), tuple(namespaces), all_kinds)
        recorded = record(connection, selection, path, seconds, stop)
    finally:
        connection.close()
    print(
        f"kspan: {recorded.frames} frames of {len(recorded.resources)} resources in {recorded.seconds:.0f} s to {path}",
        file=sys.stderr,
    )
