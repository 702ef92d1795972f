"""The prompt of ``kspan sql``: statements over several lines, completion, history, and the commands that people who
know ``psql`` or ``sqlite3`` try first."""

import sys
from collections.abc import Callable

from prompt_toolkit import PromptSession
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.lexers import PygmentsLexer
from pygments.lexers.sql import SqlLexer

from kspan import __version__
from kspan.cli.commands.sql_statement import Asking, add_parameter, answer, show_schema
from kspan.cli.common import state_directory
from kspan.cli.render.table import FORMATS, check_format, write_rows
from kspan.cli.sql_shell.completion import SqlCompleter
from kspan.errors import KspanError, QueryError
from kspan.query.sql.catalog import catalog
from kspan.query.sql.lexer import is_complete
from kspan.store import Store

HELP = """\
Statements end with a semicolon, and can only read. Tab completes, the arrows go through the history.
  \\d, .tables             tables and views
  \\d NAME, .schema NAME   columns of a table, and what they mean
  \\x                      a line for each column, or a line for each row again
  .mode FORMAT            table, record, json, jsonl, csv
  \\set NAME VALUE         the value of :NAME (:since, :until, :now and :cluster are there from the start)
  \\?, .help, help         this help
  \\q, .quit, exit         leave (or Ctrl-D); Ctrl-C stops a statement"""
_LEAVING = frozenset({"\\q", ".quit", ".exit", "exit", "quit", "\\quit"})
_WORDS = frozenset({"help", "exit", "quit"})


def run_prompt(store: Store, asking: Asking) -> None:
    """Reads statements and commands from the terminal until its user leaves."""
    print(f"kspan {__version__}, {store.name} (read-only). \\? shows help, \\d the tables.", file=sys.stderr)
    conversation = Conversation(store, asking)
    session: PromptSession[str] = PromptSession(
        history=_history(),
        completer=SqlCompleter(catalog(store.dialect)),
        lexer=PygmentsLexer(SqlLexer),
        key_bindings=_bindings(store.dialect),
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
        conversation.take(text)


class Conversation:
    """Answers one line or statement after the other; what is wrong with one is said, and the next is taken."""

    def __init__(self, store: Store, asking: Asking) -> None:
        self._store = store
        self._asking = asking
        self._commands: dict[str, Callable[[str], object]] = {
            **dict.fromkeys(("\\d", "\\dt", "\\dv", ".tables", ".schema"), self._describe),
            **dict.fromkeys(("\\?", "\\h", ".help", "help"), lambda _: print(HELP)),
            ".mode": self._mode,
            "\\x": lambda _: self._mode("table" if self._asking.output == "record" else "record"),
            "\\set": self._set,
        }

    def take(self, text: str) -> None:
        """Does what ``text`` says."""
        try:
            if is_command(text):
                self._command(text)
            elif text:
                answer(self._store, text, self._asking)
        except KspanError as error:
            print(f"error: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("stopped", file=sys.stderr)

    def _command(self, text: str) -> None:
        name, _, argument = text.rstrip(" ;").partition(" ")
        command = self._commands.get(name.lower())
        if command is None:
            raise QueryError(f"no command {name}: \\? shows those that there are")
        command(argument.strip())

    def _describe(self, name: str) -> None:
        show_schema(self._store.dialect, name, "table")

    def _mode(self, output: str) -> None:
        check_format(output, [name for name in FORMATS if name != "parquet"])
        self._asking.output = output

    def _set(self, argument: str) -> None:
        name, _, value = argument.partition(" ")
        if not argument:
            write_rows(("name", "value"), sorted(self._asking.parameters.items()), "table", noun="parameter")
        else:
            add_parameter(self._asking.parameters, name, value.strip())


def is_command(text: str) -> bool:
    """Whether a line is one of ours, and no SQL."""
    return text.startswith(("\\", ".")) or text.rstrip(" ;").lower() in _WORDS


def _history() -> History:
    try:
        return FileHistory(str(state_directory() / "sql_history"))
    except KspanError:
        return InMemoryHistory()


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
