"""The settings file (TOML), and environment variables for every option.

An option takes its value from the flag, the environment (``KSPAN_TRACES_OUTPUT`` for one command, ``KSPAN_OUTPUT`` for
all), the settings file or its default, in this order. The keys of the file are the flags without dashes: at the top
level for all commands that have the flag, in a table named after a command (``[run]``, ``[db.verify]``) for that
command only. The table ``[otlp]`` sets ``OTEL_EXPORTER_OTLP_*``. The file is checked against the commands, so new
commands and options need no code here.
"""

import copy
import os
import re
import types
from collections.abc import Callable, Collection, Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from enum import Enum, EnumMeta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import typer

from kspan.cli.options import parse_duration, parse_size
from kspan.cli.origins import ORIGINS, choices, variables
from kspan.errors import SettingsError
from kspan.paths import exists, expanded, why_unusable
from kspan.toml_positions import Positions

PREFIX: Final = "KSPAN_"
DEMO: Final = "demo"
"""Has a database of its own, which neither the environment nor the top level of the file may replace."""

OTLP: Final[Mapping[str, type]] = {
    "endpoint": str,
    "traces-endpoint": str,
    "protocol": str,
    "headers": str,
    "timeout": int,
    "compression": str,
    "certificate": str,
    "client-certificate": str,
    "client-key": str,
    "insecure": bool,
}
"""Keys of the table ``[otlp]`` and the types of their values."""

_FILE: Final = "kspan.settings_file"
_NOT_SETTABLE: Final = frozenset({"help", "version", "config"})


def default_path() -> Path:
    """Return the path of the settings file that is read without --config: ``~/.config/kspan/config.toml`` on Linux."""
    from platformdirs import user_config_path

    return user_config_path("kspan") / "config.toml"


def remember(context: typer.Context, value: str | None) -> str | None:
    """Store the value of a ``--config`` before the command; the command reads the file when it runs."""
    if value:
        context.meta[_FILE] = value
    return value


def commands(group: Any) -> Iterator[tuple[str, Any]]:
    """Yield all commands below ``group``, such as ("db verify", command)."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", each) for below, each in commands(command))
        else:
            yield name, command


def settable(command: Any) -> dict[str, Any]:
    """Return the options that the environment and a file can set, by key (the flag without its dashes)."""
    options = (param for param in command.params if param.param_type_name == "option")
    found = {max(option.opts, key=len).removeprefix("--"): option for option in options}
    return {key: option for key, option in found.items() if key not in _NOT_SETTABLE}


def add_settings(group: Any) -> None:
    """Add ``--config`` to every command below the group, and an environment variable to every option."""
    (config,) = (param for param in group.params if param.name == "config")
    for name, command in commands(group):
        for key, option in settable(command).items():
            if name != DEMO:
                option.envvar = [_variable(f"{name} {key}"), _variable(key)]
                if accepted := choices(option):
                    option.resolve_envvar_value = _usable(option, accepted)
            # Help pages name the pattern once: a variable behind each option makes them twice as long.
            option.show_envvar = False
        own_config = copy.copy(config)
        # The group's --config has read the variable already. Here the variable would override the group's flag.
        own_config.envvar, own_config.expose_value = None, False
        own_config.callback = _reader(group, name)
        command.params.append(own_config)


def _variable(words: str) -> str:
    return PREFIX + re.sub(r"[ -]", "_", words).upper()


def _usable(option: Any, accepted: Collection[str]) -> Callable[[Any], str | None]:
    """Return how an option reads the environment. A value meant for other commands (``KSPAN_OUTPUT``) is ignored."""
    read = option.resolve_envvar_value
    own, _ = option.envvar

    def resolve(context: Any) -> str | None:
        value: str | None = read(context)
        return value if value in accepted or os.environ.get(own) else None

    return resolve


def variable_names(group: Any) -> set[str]:
    """Return the environment variables of all options below a group."""
    options = (option for _, command in commands(group) for option in settable(command).values())
    return {PREFIX + "CONFIG", *(name for option in options for name in variables(option))}


def _reader(group: Any, name: str) -> Any:
    def read(context: Any, _param: Any, value: str | None) -> None:
        path = value or context.meta.get(_FILE)
        if path is None and not exists(default_path()):
            return
        settings = load(expanded(path or default_path()), group)
        context.default_map = settings.of(name)
        context.meta[ORIGINS] = settings.places(name)
        settings.apply_otlp(os.environ)

    return read


class Settings:
    """The checked content of a settings file: values by command and parameter name, and those of ``[otlp]``."""

    def __init__(
        self, values: dict[str, dict[str, Any]], places: dict[str, dict[str, str]], otlp: dict[str, Any]
    ) -> None:
        self._values = values
        self._places = places
        self._otlp = otlp

    def of(self, command: str) -> dict[str, Any]:
        """Return the values for one command."""
        return self._values.get(command, {})

    def places(self, command: str) -> dict[str, str]:
        """Return where the values for one command are: ``FILE:LINE`` by parameter name."""
        return self._places.get(command, {})

    def apply_otlp(self, environment: MutableMapping[str, str]) -> None:
        """Set the variables that are not set yet."""
        for key, value in self._otlp.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            environment.setdefault(variable(key), text)


def variable(key: str) -> str:
    """Return the environment variable of a key of ``[otlp]``."""
    head, _, rest = key.partition("-")
    middle = f"TRACES_{rest}" if head == "traces" else key
    return f"OTEL_EXPORTER_OTLP_{middle.replace('-', '_').upper()}"


def load(path: Path, group: Any) -> Settings:
    """Read a settings file for the commands below ``group``. Raises SettingsError of one line with file and line."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise SettingsError(f"{path}: {why_unusable(error)}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: not UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: invalid TOML: {error}") from error
    return _Checker(path, Positions(text), dict(commands(group))).check(document)


class _Checker:
    """Checks the content of a file against the commands and their options."""

    def __init__(self, path: Path, positions: Positions, known: Mapping[str, Any]) -> None:
        self._path = path
        self._positions = positions
        self._options = {name: settable(command) for name, command in known.items()}
        self._commands = known

    def check(self, document: Mapping[str, Any]) -> Settings:
        values: dict[str, dict[str, Any]] = {name: {} for name in self._commands}
        places: dict[str, dict[str, str]] = {name: {} for name in self._commands}
        otlp: dict[str, Any] = {}
        tables = []
        for keys, value in _flat(document, self._commands):
            if keys == ("otlp",) and isinstance(value, dict):
                otlp = {name: self._otlp(name, item) for name, item in value.items()}
            elif " ".join(keys) in self._commands and isinstance(value, dict):
                tables.append((keys, value))
            else:
                for command, name in self._parameters(keys[-1], value):
                    values[command][name] = value
                    places[command][name] = f"{self._path}:{self._positions.line(keys)}"
        for keys, table in tables:
            command = " ".join(keys)
            for key, value in table.items():
                name = self._option(keys, key, value)
                values[command][name] = value
                places[command][name] = f"{self._path}:{self._positions.line((*keys, key))}"
        return Settings(values, places, otlp)

    def _parameters(self, key: str, value: Any) -> list[tuple[str, str]]:
        """Return the commands, and their parameters, that a top-level key sets.

        A flag can take a list in one command and a single value in another: the value must fit one of them.
        """
        owners = [name for name, options in self._options.items() if key in options and name != DEMO]
        if not owners:
            flags = {flag for options in self._options.values() for flag in options}
            self._fail_unknown((key,), {*flags, *self._options, "otlp"})
        problems = {name: self._problem(name, key, value) for name in owners}
        if all(problems.values()):
            self._fail((key,), problems[owners[0]])
        return [(name, self._options[name][key].name) for name in owners if not problems[name]]

    def _option(self, table: tuple[str, ...], key: str, value: Any) -> str:
        command = " ".join(table)
        if key not in self._options[command]:
            self._fail_unknown((*table, key), set(self._options[command]))
        if problem := self._problem(command, key, value):
            self._fail((*table, key), problem)
        name: str = self._options[command][key].name
        return name

    def _problem(self, command: str, key: str, value: Any) -> str:
        option = self._options[command][key]
        if problem := _problem(_hint(self._commands[command], option.name), value):
            return problem
        if (accepted := choices(option)) and value not in accepted:
            return f"must be one of {', '.join(accepted)}, not {_shown(value)}"
        try:
            if option.metavar == "DURATION":
                parse_duration(value, key)
            elif option.metavar == "SIZE":
                parse_size(value, key)
        except SettingsError as error:
            return str(error).removeprefix(f"{key}: ")
        return ""

    def _otlp(self, key: str, value: Any) -> Any:
        if key not in OTLP:
            self._fail_unknown(("otlp", key), set(OTLP))
        if type(value) is not OTLP[key]:
            self._fail(("otlp", key), f"must be {_TYPES[OTLP[key]]}, not {_shown(value)}")
        return value

    def _fail_unknown(self, keys: tuple[str, ...], known: set[str]) -> NoReturn:
        close = get_close_matches(keys[-1], sorted(known), 1)
        self._fail(keys, f"unknown setting{f'; did you mean {close[0]!r}?' if close else ''}")

    def _fail(self, keys: tuple[str, ...], problem: str) -> NoReturn:
        raise SettingsError(f"{self._path}:{self._positions.line(keys)}: {'.'.join(keys)}: {problem}")


def _flat(document: Mapping[str, Any], known: Collection[str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the keys of a document. A table of a table is one of a command with two words: ``[db.stats]``."""
    for key, value in document.items():
        below = {f"{key} {name}": name for name in value} if isinstance(value, dict) else {}
        of_commands = {words: name for words, name in below.items() if words in known}
        yield from (((key, name), value[name]) for name in of_commands.values())
        if not of_commands or len(of_commands) < len(below):
            rest = {name: value[name] for words, name in below.items() if words not in known}
            yield (key,), rest if of_commands else value


_TYPES: Final = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _hint(command: Any, parameter: str) -> Any:
    """Return the type of a command's parameter, without ``Annotated`` and ``None``."""
    hint = get_type_hints(command.callback)[parameter]
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (arm for arm in get_args(hint) if arm is not types.NoneType)
    return hint


def _problem(hint: Any, value: Any) -> str:
    """Return the reason why a value is not of this type; empty if it is."""
    if get_origin(hint) is list:
        (item,) = get_args(hint)
        fits = isinstance(value, list) and not any(_problem(item, each) for each in value)
        return "" if fits else f'must be a list, such as ["..."], not {_shown(value)}'
    if choices := _choices(hint):
        return "" if value in choices else f"must be one of {', '.join(choices)}, not {_shown(value)}"
    if hint is Path:
        hint = str
    if type(value) is hint or (hint is float and type(value) is int):
        return ""
    return f"must be {_TYPES.get(hint, 'something else')}, not {_shown(value)}"


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return [str(value.value) for value in list[Enum](hint)] if isinstance(hint, EnumMeta) else []


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
