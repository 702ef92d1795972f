"""``kspan sql``: a statement, the schema, or a prompt."""

import sys
import time

from kspan.cli.commands.sql_statement import Asking, add_parameter, answer, show_schema
from kspan.cli.common import open_existing
from kspan.cli.options import parse_duration
from kspan.cli.render.table import check_format
from kspan.errors import SettingsError
from kspan.query.time_args import parse_moment
from kspan.times import LATEST


def run_sql(
    statement: str | None,
    db: str | None,
    *,
    output: str,
    limit: int | None,
    timeout: str,
    since: str,
    until: str,
    cluster: str,
    parameters: list[str],
    schema: bool,
) -> None:
    """Answers a statement from the argument or standard input, shows the schema, or opens the prompt."""
    check_format(output)
    seconds = parse_duration(timeout, "--timeout")
    asking = Asking(output, limit, seconds, cluster, {**_presets(since, until), **_parameters(parameters)})
    if schema:
        with open_existing(db, read_only=True) as store:
            show_schema(store.dialect, statement, output)
        return
    if statement in (None, "-"):
        # Questions are quicker without the readers of recordings, and with a statement none is needed.
        from kspan.ingest.files.bytes import standard_input

        standard_input()  # refuses a closed one
    if statement is None and sys.stdin.isatty() and sys.stdout.isatty():
        from kspan.cli.sql_shell.prompt import run_prompt

        with open_existing(db, read_only=True) as store:
            run_prompt(store, asking)
        return
    text = sys.stdin.read() if statement in (None, "-") else str(statement)
    with open_existing(db, read_only=True) as store:
        answer(store, text, asking)


def _presets(since: str, until: str) -> dict[str, str | int]:
    now = time.time_ns()
    return {
        "since": parse_moment(since, now, "--since") if since else 0,
        "until": parse_moment(until, now, "--until") if until else LATEST,
        "now": now,
    }


def _parameters(given: list[str]) -> dict[str, str | int]:
    found: dict[str, str | int] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise SettingsError(f"-p {text!r} is no parameter: write -p name=value, and :name in the statement")
        add_parameter(found, name, value)
    return found
