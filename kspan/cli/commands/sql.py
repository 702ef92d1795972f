"""``kspan sql``: runs a statement, shows the schema or opens a prompt."""

import sys
import time

from kspan.cli.commands.sql_statement import SqlOptions, add_parameter, run_and_print, show_schema
from kspan.cli.options import parse_duration, parse_size
from kspan.cli.render.table import check_format
from kspan.cli.sources.source import HistoryOptions
from kspan.cli.sources.statements import open_statements
from kspan.errors import SettingsError
from kspan.query.time_args import parse_moment
from kspan.times import LATEST


def run_sql(
    statement: str | None,
    options: HistoryOptions,
    *,
    output: str,
    limit: int | None,
    headers: bool,
    timeout: str,
    max_bytes: str,
    since: str,
    until: str,
    parameters: list[str],
    schema: bool,
) -> None:
    """Run a statement from the argument or standard input, show the schema, or open the prompt."""
    check_format(output)
    seconds = parse_duration(timeout, "--timeout")
    memory = parse_size(max_bytes, "--max-bytes")
    values = {**_presets(since, until), **_parameters(parameters)}
    given = SqlOptions(output, limit, seconds, memory, values, headers)
    if schema:
        with open_statements(options) as statements:
            show_schema(statements.dialect, statement, output)
        return
    if statement in (None, "-"):
        # Imported here because a statement on the command line does not need the readers of recordings.
        from kspan.ingest.files.bytes import standard_input

        standard_input()  # raises InputError if it is closed
    if statement is None and sys.stdin.isatty() and sys.stdout.isatty():
        from kspan.cli.sql_shell.prompt import run_prompt

        with open_statements(options) as statements:
            run_prompt(statements, given)
        return
    text = sys.stdin.read() if statement in (None, "-") else str(statement)
    with open_statements(options) as statements:
        run_and_print(statements, text, given)


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
            raise SettingsError(f"-p: invalid parameter {text!r}: use -p NAME=VALUE, and :NAME in the statement")
        add_parameter(found, name, value)
    return found
