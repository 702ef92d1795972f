"""``kspan run`` and ``kspan record``."""

import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from kspan.cli.commands import answer
from kspan.cli.commands.serve import Asking, make_access
from kspan.cli.common import check_cluster_name, database_url, fold_settings, known_cluster, load_rules
from kspan.cli.options import Auth, parse_duration
from kspan.errors import SettingsError
from kspan.paths import STDOUT, check_writable
from kspan.times import SECOND

_LEVELS: Final = ("debug", "info", "warning", "error")


def run_daemon(
    db: str | None,
    export: Sequence[str],
    *,
    max_trace_spans: int,
    kubeconfig: str | None,
    context: str | None,
    watch: Sequence[str],
    namespaces: Sequence[str],
    all_kinds: bool,
    additional_kinds: bool,
    watch_secrets: bool,
    cluster: str,
    cluster_name: str,
    rules: str | None,
    listen: str,
    asking: Asking,
    retention: str,
    redact_env: bool,
    hold: str,
    settle: str,
    max_trace_age: str,
    report_failure_after: str,
    contexts: Sequence[str],
    span_labels: Sequence[str] = (),
    log_level: str,
) -> int:
    """Watch a cluster until SIGTERM or SIGINT, and return the exit code (1 if a part failed).

    Raises KspanError if the daemon cannot start.
    """
    if log_level not in _LEVELS:
        raise SettingsError(f"--log-level: invalid level {log_level!r}: use {', '.join(_LEVELS[:-1])} or {_LEVELS[-1]}")
    check_cluster_name(cluster_name)
    retention_s = parse_duration(retention, "--retention")
    asking.check()
    if asking.auth is not None:
        # Without any option, health and metrics are served, which a Pod needs.
        asking.check_reach(listen)
    settings = fold_settings(hold, settle, max_trace_age, report_failure_after, contexts, span_labels)

    from kspan.daemon.daemon import Options
    from kspan.daemon.main import run
    from kspan.emit.targets import parse_target
    from kspan.ingest.watch import Selection, connect
    from kspan.store import open_store
    from kspan.terminal import logging_setup
    from kspan.web.apart.process import Program
    from kspan.web.server import parse_listen
    from kspan.web.tls import certificate_files

    targets = list({target.name: target for target in map(parse_target, export)}.values())
    host, _ = parse_listen(listen)
    tls = certificate_files(asking.tls_cert, asking.tls_key)
    selection = Selection(tuple(watch), tuple(namespaces), all_kinds, additional_kinds, watch_secrets)
    compiled = load_rules(rules)
    private = asking.mode is Auth.KUBERNETES
    setup = answer.Setup(database_url(db), asking.serve_sql, private, log_level)
    logging_setup.set_up(log_level)
    connection = connect(kubeconfig, context)
    try:
        access = make_access(host, asking, connection)
        with open_store(database_url(db)) as store:
            return run(
                store,
                connection,
                selection,
                compiled,
                targets,
                Options(
                    listen=listen,
                    access=access,
                    tls=tls,
                    answering=Program(answer.MODULE, msgspec.msgpack.encode(setup)),
                    cluster=known_cluster(store, cluster),
                    cluster_name=cluster_name,
                    max_trace_spans=max_trace_spans,
                    retention=int(retention_s * SECOND),
                    redact_env=redact_env,
                    settings=settings,
                ),
            )
    finally:
        connection.close()


def run_record(
    path: str,
    *,
    duration: str,
    kubeconfig: str | None,
    context: str | None,
    watch: Sequence[str],
    namespaces: Sequence[str],
    all_kinds: bool,
    additional_kinds: bool,
    watch_secrets: bool,
    redact_env: bool,
    force: bool,
) -> None:
    """Write a recording for ``duration`` (``0``: until SIGTERM or SIGINT)."""
    seconds = parse_duration(duration, "--for")
    to_stdout = path == "-"
    path = str(STDOUT) if to_stdout else path
    if problem := check_writable(Path(path)):
        raise SettingsError(f"{path}: {problem}")
    if Path(path).exists() and not force and not to_stdout:
        raise SettingsError(f"{path}: file exists; use --force to overwrite it")

    from kspan.ingest.watch import Selection, check_names, connect, record
    from kspan.terminal import logging_setup

    selection = Selection(tuple(watch), tuple(namespaces), all_kinds, additional_kinds, watch_secrets)
    logging_setup.set_up("warning")
    stop = threading.Event()
    connection = connect(kubeconfig, context)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        check_names(connection, selection)
        recorded = record(connection, selection, path, seconds, stop, redact_env=redact_env)
    finally:
        connection.close()
    print(
        f"kspan: recorded {recorded.frames} frames of {len(recorded.resources)} resources "
        f"in {recorded.seconds:.0f} s: {path}",
        file=sys.stderr,
    )
