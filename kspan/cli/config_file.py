"""The settings file, and the environment: where flags that were not given get their values from.

The order is flags, environment (``KSPAN_*``, ``OTEL_EXPORTER_OTLP_*``), file, defaults. A file is TOML. Its keys are
the flags without their dashes: at the top for every command that has such a flag, in a table named as the command
(``[run]``, ``["db verify"]``) for that one; ``[otlp]`` has what the ``OTEL_EXPORTER_OTLP_*`` variables say. All of it
is checked against the commands themselves, so a new command or flag needs nothing here.
"""

import copy
import os
import types
from collections.abc import Iterator, Mapping, MutableMapping
from difflib import get_close_matches
from enum import Enum, EnumMeta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

import typer

from kspan.cli.options import parse_duration
from kspan.errors import SettingsError
from kspan.toml_positions import Positions

PREFIX: Final = "KSPAN_"
DEMO: Final = "demo"
"""Uses a database of its own: neither the environment nor the top of the file may point it at the user's."""

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
"""Keys of the table ``[otlp]``, and what is written there."""

_FILE: Final = "kspan.settings_file"
_NOT_SET_HERE: Final = frozenset({"help", "version", "config"})


def default_path() -> Path:
    """Where the file is looked for that nobody names: ``~/.config/kspan/config.toml`` on Linux."""
    from platformdirs import user_config_path

    return user_config_path("kspan") / "config.toml"


def remember(context: typer.Context, value: str | None) -> str | None:
    """The callback of ``--config`` before the command: the command will read the file, if it is run at all."""
    if value:
        context.meta[_FILE] = value
    return value


def commands(group: Any) -> Iterator[tuple[str, Any]]:
    """All commands below ``group``, as ("db verify", command)."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from ((f"{name} {below}", each) for below, each in commands(command))
        else:
            yield name, command


def settable(command: Any) -> dict[str, Any]:
    """The options of a command that the environment and a file can set, by key (the flag without its dashes)."""
    options = (param for param in command.params if param.param_type_name == "option")
    found = {max(option.opts, key=len).removeprefix("--"): option for option in options}
    return {key: option for key, option in found.items() if key not in _NOT_SET_HERE}


def equip(group: Any) -> None:
    """Gives every command below the group ``--config`` too, and every option an environment variable."""
    (config,) = (param for param in group.params if param.name == "config")
    for name, command in commands(group):
        if name != DEMO:
            for key, option in settable(command).items():
                option.envvar = option.envvar or PREFIX + key.replace("-", "_").upper()
        again = copy.copy(config)
        # Before the command the variable counts already; a flag there must not lose against it here.
        again.envvar, again.expose_value = None, False
        again.callback = _reading(group, name)
        command.params.append(again)


def _reading(group: Any, name: str) -> Any:
    def read(context: Any, _param: Any, value: str | None) -> None:
        path = value or context.meta.get(_FILE)
        if path is None and not default_path().exists():
            return
        settings = load(Path(path or default_path()).expanduser(), group)
        context.default_map = settings.of(name)
        settings.apply_otlp(os.environ)

    return read


class Settings:
    """What a file says, checked: for each command its values by parameter name, and those of ``[otlp]``."""

    def __init__(self, values: dict[str, dict[str, Any]], otlp: dict[str, Any]) -> None:
        self._values = values
        self._otlp = otlp

    def of(self, command: str) -> dict[str, Any]:
        """The values for one command."""
        return self._values.get(command, {})

    def apply_otlp(self, environment: MutableMapping[str, str]) -> None:
        """Sets the variables that are not set."""
        for key, value in self._otlp.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            environment.setdefault(variable(key), text)


def variable(key: str) -> str:
    """The environment variable of a key of ``[otlp]``."""
    head, _, rest = key.partition("-")
    middle = f"TRACES_{rest}" if head == "traces" else key
    return f"OTEL_EXPORTER_OTLP_{middle.replace('-', '_').upper()}"


def load(path: Path, group: Any) -> Settings:
    """Reads a file for the commands below ``group``. Raises SettingsError of one line, with the file and the place."""
    import tomllib

    try:
        text = path.read_text(encoding="utf-8")
        return _Reader(path, text, dict(commands(group))).read(tomllib.loads(text))
    except OSError as error:
        raise SettingsError(f"{path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SettingsError(f"{path}: is no UTF-8 text") from error
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is no TOML: {error}") from error


class _Reader:
    """Checks a document against the commands."""

    def __init__(self, path: Path, text: str, known: Mapping[str, Any]) -> None:
        self._path = path
        self._text = text
        self._options = {name: settable(command) for name, command in known.items()}
        self._commands = known

    def read(self, document: Mapping[str, Any]) -> Settings:
        values: dict[str, dict[str, Any]] = {name: {} for name in self._commands}
        sections: dict[str, dict[str, Any]] = {}
        otlp: dict[str, Any] = {}
        for key, value in document.items():
            if key == "otlp" and isinstance(value, dict):
                otlp = {name: self._otlp(name, item) for name, item in value.items()}
            elif key in self._commands and isinstance(value, dict):
                sections[key] = dict(self._option(key, name, item) for name, item in value.items())
            else:
                for command, name in self._takers(key, value):
                    values[command][name] = value
        return Settings({name: found | sections.get(name, {}) for name, found in values.items()}, otlp)

    def _takers(self, key: str, value: Any) -> list[tuple[str, str]]:
        """The commands, and their parameters, that a key at the top is for: a flag may be a list in some alone."""
        owners = [name for name, options in self._options.items() if key in options and name != DEMO]
        if not owners:
            flags = {flag for options in self._options.values() for flag in options}
            self._unknown("", key, {*flags, *self._options, "otlp"})
        problems = {name: self._problem(name, key, value) for name in owners}
        if all(problems.values()):
            self._fail("", key, problems[owners[0]])
        return [(name, self._options[name][key].name) for name in owners if not problems[name]]

    def _option(self, section: str, key: str, value: Any) -> tuple[str, Any]:
        if key not in self._options[section]:
            self._unknown(section, key, set(self._options[section]))
        if problem := self._problem(section, key, value):
            self._fail(section, key, problem)
        return self._options[section][key].name, value

    def _problem(self, command: str, key: str, value: Any) -> str:
        option = self._options[command][key]
        if problem := _problem(_hint(self._commands[command], option.name), value):
            return problem
        try:
            if _takes_duration(option):
                parse_duration(value, key)
        except SettingsError as error:
            return str(error).removeprefix(f"{key} ")
        return ""

    def _otlp(self, key: str, value: Any) -> Any:
        if key not in OTLP:
            self._unknown("otlp", key, set(OTLP))
        if type(value) is not OTLP[key]:
            self._fail("otlp", key, f"must be {_WORDS[OTLP[key]]}, not {_shown(value)}")
        return value

    def _unknown(self, section: str, key: str, known: set[str]) -> NoReturn:
        close = get_close_matches(key, sorted(known), 1)
        what = "is no setting" if not section else f"is no setting of [{section}]"
        self._fail(section, key, f"{what}{f'; did you mean {close[0]!r}?' if close else ''}", named=repr(key))

    def _fail(self, section: str, key: str, problem: str, named: str = "") -> NoReturn:
        path = (section, key) if section else (key,)
        line = Positions(self._text).line(path)
        raise SettingsError(f"{self._path}:{line}: {named or '.'.join(path)} {problem}")


_WORDS: Final = {str: "a string", int: "a whole number", float: "a number", bool: "true or false"}


def _hint(command: Any, parameter: str) -> Any:
    """The type of a command's parameter, without what surrounds it."""
    hint = get_type_hints(command.callback)[parameter]
    if get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if get_origin(hint) in (Union, types.UnionType):
        (hint,) = (arm for arm in get_args(hint) if arm is not types.NoneType)
    return hint


def _problem(hint: Any, value: Any) -> str:
    """Why a value is none of this type; empty if it is one."""
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
    return f"must be {_WORDS.get(hint, 'something else')}, not {_shown(value)}"


def _takes_duration(option: Any) -> bool:
    # TIME can be a moment, too; those have no default.
    return option.metavar == "TIME" and bool(option.default)


def _choices(hint: Any) -> list[str]:
    if get_origin(hint) is Literal:
        return [str(choice) for choice in get_args(hint)]
    return [str(value.value) for value in list[Enum](hint)] if isinstance(hint, EnumMeta) else []


def _shown(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
