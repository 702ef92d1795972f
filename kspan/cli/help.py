"""The layout of help pages: commands in sections, plain argument names, options without their variables."""

import contextlib
import re
from typing import Any, Final

from typer.core import TyperCommand, TyperGroup

from kspan.cli import remote_option
from kspan.cli.origins import origin, with_origin
from kspan.errors import QueryError, SettingsError

COLLECT: Final = "Collect"
ASK: Final = "Ask"
MAINTAIN: Final = "Maintain"

SETTINGS: Final = (
    "Environment variables (KSPAN_DB for --db) and a settings file (--config) can set every option: docs/settings.md."
)


class Command(TyperCommand):
    """A command whose usage shows its arguments before ``[OPTIONS]``, and whose errors say where a value comes from."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments. An error about a value names the variable or file that it comes from."""
        given = list(args)  # the parser empties it
        try:
            rest = super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "param", None)
            if option is not None and (place := origin(ctx, option)):
                error.message = f"{error.message} (from {place})"  # type: ignore[attr-defined]
            elif message := getattr(error, "message", ""):
                error.message = remote_option.with_hint(message, ctx, given)  # type: ignore[attr-defined]
            raise
        with contextlib.suppress(SettingsError) if ctx.resilient_parsing else contextlib.nullcontext():
            remote_option.check(ctx)
            if "remote" in ctx.params:
                ctx.params["remote"] = remote_option.chosen(ctx)
        return rest

    def invoke(self, ctx: Any) -> Any:
        """Run the command. An error about a value names the variable or file that it comes from."""
        try:
            return super().invoke(ctx)
        except (SettingsError, QueryError) as error:
            error.args = (with_origin(str(error), ctx),)
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the words after the command's name in its usage line."""
        return [*map(_usage, _arguments(self)), "[OPTIONS]"]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections Arguments and Options."""
        arguments = [(_usage(argument), argument.help or "") for argument in _arguments(self)]
        options = [param for param in self.get_params(ctx) if param.param_type_name == "option"]
        records = [_without_range(record) for option in options if (record := option.get_help_record(ctx))]
        for heading, rows in (("Arguments", arguments), ("Options", records)):
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class Group(TyperGroup):
    """A command with subcommands, listed in sections by their ``rich_help_panel``."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments, in which ``--remote`` needs no value."""
        rest: list[str] = super().parse_args(ctx, remote_option.with_value(args))
        return rest

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Find the command. An error about its name may be one about the value of a ``--remote`` before it."""
        try:
            return super().resolve_command(ctx, args)
        except Exception as error:
            if message := getattr(error, "message", ""):
                error.message = remote_option.with_hint(message, ctx, args)  # type: ignore[attr-defined]
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section of commands for each panel, in the order in which the commands were added."""
        sections: dict[str, list[Any]] = {}
        for name in self.list_commands(ctx):
            command: Any = self.get_command(ctx, name)
            sections.setdefault(getattr(command, "rich_help_panel", None) or "Commands", []).append(command)
        width = max(len(command.name) for commands in sections.values() for command in commands)
        for heading, commands in sections.items():
            with formatter.section(heading):
                limit = formatter.width - width - 6
                formatter.write_dl([(each.name.ljust(width), each.get_short_help_str(limit)) for each in commands])


def _without_range(record: tuple[str, str]) -> tuple[str, str]:
    """Return the help of an option without click's notation for a range (``x>=0``)."""
    flags, text = record
    return flags, re.sub(r"\s*\[x>=\d+\]|; x>=\d+(?=\])", "", text)


def _arguments(command: Any) -> list[Any]:
    return [param for param in command.params if param.param_type_name == "argument"]


def _usage(argument: Any) -> str:
    name: str = argument.metavar or argument.name.upper()
    repeated = f"{name}..." if argument.nargs != 1 else name
    return repeated if argument.required else f"[{repeated}]"
