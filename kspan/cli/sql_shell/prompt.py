"""The prompt of ``kspan sql``: multi-line statements, completion, history, and common commands of psql and sqlite3."""

import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from kspan import __version__
from kspan.cli.commands.sql_statement import SqlOptions, add_parameter, run_and_print, show_schema
from kspan.cli.common import state_directory
from kspan.cli.render.table import FORMATS, check_format, write_rows
from kspan.cli.sources.statements import Statements
from kspan.cli.sql_shell.completion import SqlCompleter
from kspan.errors import KspanError, QueryError
from kspan.paths import check_writable
from kspan.query.sql.catalog import catalog
from kspan.query.sql.lexer import is_complete

HELP = """\
End a statement with a semicolon. Statements can only read. Tab completes; the arrow keys browse the history.
  \\d, .tables             List tables and views
  \\d NAME, .schema NAME   Describe the columns of a table
  \\x                      Switch between one line per row and one line per column
  .mode FORMAT            Print table, record, json, jsonl or csv
  \\set NAME VALUE         Set :NAME (:since, :until, :now and :cluster are predefined)
  \\?, .help, help         Show this help
  \\q, .quit, exit         Leave (or Ctrl-D); Ctrl-C stops a statement"""
_LEAVING = frozenset({"\\q", ".quit", ".exit", "exit", "quit", "\\quit"})
_WORDS = frozenset({"help", "exit", "quit"})


def run_prompt(statements: Statements, options: SqlOptions) -> None:
    """Read and run statements and commands from the terminal until the user leaves."""
    print(f"kspan {__version__}, {statements.name} (read-only). \\? shows help, \\d lists the tables.", file=sys.stderr)
    conversation = Conversation(statements, options)
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=SqlCompleter(catalog(statements.dialect)),
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=_bindings(statements.dialect),
        multiline=True,
        prompt_continuation=lambda width, _line, _soft: "...> ".rjust(width),
    )
    while True:
        try:
            text = session.prompt("kspan> ").strip()
        except KeyboardInterrupt:
            continue
        except EOFError:
            return
        if text.rstrip(" ;").lower() in _LEAVING:
            return
        conversation.run(text)


class Conversation:
    """Runs one line or statement after another. An error is printed and ends only its own statement."""

    def __init__(self, statements: Statements, options: SqlOptions) -> None:
        self._statements = statements
        self._options = options
        self._commands: dict[str, Callable[[str], object]] = {
            **dict.fromkeys(("\\d", "\\dt", "\\dv", ".tables", ".schema"), self._describe),
            **dict.fromkeys(("\\?", "\\h", ".help", "help"), lambda _: print(HELP)),
            ".mode": self._mode,
            "\\x": lambda _: self._mode("table" if self._options.output == "record" else "record"),
            "\\set": self._set,
        }

    def run(self, text: str) -> None:
        """Run a statement or a command."""
        try:
            if is_command(text):
                self._command(text)
            elif text:
                run_and_print(self._statements, text, self._options)
        except KspanError as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)

    def _command(self, text: str) -> None:
        name, _, argument = text.rstrip(" ;").partition(" ")
        command = self._commands.get(name.lower())
        if command is None:
            raise QueryError(f"unknown command {name}: \\? lists the commands")
        command(argument.strip())

    def _describe(self, name: str) -> None:
        show_schema(self._statements.dialect, name, "table")

    def _mode(self, output: str) -> None:
        check_format(output, [name for name in FORMATS if name != "parquet"])
        self._options.output = output

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if not argument:
            write_rows(("name", "value"), sorted(self._options.parameters.items()), "table", noun="parameter")
        else:
            add_parameter(self._options.parameters, name, value.strip())


def is_command(text: str) -> bool:
    """Return whether a line is a command of the prompt and not SQL."""
    return text.startswith(("\\", ".")) or text.rstrip(" ;").lower() in _WORDS


def _history() -> History:
    try:
        path = state_directory() / "sql_history"
    except KspanError:
        return InMemoryHistory()
    return InMemoryHistory() if check_writable(path) else FileHistory(str(path))


def _bindings(dialect: str) -> KeyBindings:
    bindings = KeyBindings()

    @bindings.add("enter")
    def _(event: KeyPressEvent) -> None:
        text = event.current_buffer.text.strip()
        if not text or is_command(text) or is_complete(text, dialect):
            event.current_buffer.validate_and_handle()
        else:
            event.current_buffer.insert_text("\n")

    return bindings
