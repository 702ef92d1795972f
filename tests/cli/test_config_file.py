"""Settings come from flags, the environment, a file and defaults, in this order."""

import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from kspan.cli import config_file
from kspan.cli.app import program
from kspan.errors import SettingsError
from tests.forking import forked, starting
from tests.recordings import recording

DOCUMENT = Path(__file__).parents[2] / "docs" / "settings.md"
RECORDING = recording("01-deployment-create")


def kspan(folder: Path, *args: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command with an empty home directory, these environment variables and those for the interpreter."""
    given = {"PATH": os.environ["PATH"], **starting(), "HOME": str(folder)}
    return subprocess.run(
        [*forked(), *map(str, args)],
        capture_output=True,
        text=True,
        env=given | environment,
        check=False,
        cwd=folder,
    )


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_the_order_is_flag_environment_file_default(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", 'db = "file.sqlite"\n[replay]\nexport = ["none"]\n')
    runs: list[tuple[str, tuple[str | Path, ...], dict[str, str]]] = [
        ("flag", ("--db", "flag.sqlite"), {"KSPAN_DB": "variable.sqlite"}),
        ("variable", (), {"KSPAN_DB": "variable.sqlite"}),
        ("file", (), {}),
    ]
    for expected, args, environment in runs:
        done = kspan(tmp_path, "replay", RECORDING, "--config", config, *args, **environment)
        assert done.returncode == 0, done.stderr
        assert done.stdout == "", "export = none came from the file"
        assert [path.name for path in tmp_path.glob("*.sqlite")] == [f"{expected}.sqlite"]
        (tmp_path / f"{expected}.sqlite").unlink()
    done = kspan(tmp_path, "replay", RECORDING, "--db", "sqlite://")
    assert "Deployment.Create" in done.stdout, "the default is the console"


@pytest.mark.parametrize("way", ["before", "after", "variable", "home"])
def test_the_file_is_given_before_or_after_the_command_or_found_at_home(tmp_path: Path, way: str) -> None:
    config = write(tmp_path / ".config" / "kspan" / "config.toml", '["db stats"]\noutput = "json"\n')
    assert kspan(tmp_path, "replay", RECORDING, "--db", "db.sqlite", "--export", "none").returncode == 0
    if way != "home":
        config = config.rename(tmp_path / "other.toml")
    named: list[str | Path] = ["--config", config]
    before, after = named if way == "before" else [], named if way == "after" else []
    environment = {"KSPAN_CONFIG": str(config)} if way == "variable" else {}
    done = kspan(tmp_path, *before, "db", "stats", "--db", "db.sqlite", *after, **environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["traces"]


def test_config_overrides_kspan_config(tmp_path: Path) -> None:
    good = write(tmp_path / "good.toml", 'db = "good.sqlite"\n')
    for args in (("--config", good, "replay", RECORDING), ("replay", RECORDING, "--config", good)):
        done = kspan(tmp_path, *args, "--export", "none", KSPAN_CONFIG="missing.toml")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "good.sqlite").exists()


def test_a_list_in_the_environment_is_separated_by_spaces(tmp_path: Path) -> None:
    done = kspan(tmp_path, "replay", RECORDING, "--db", "sqlite://", KSPAN_EXPORT="file:one.jsonl file:two.jsonl")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes() != b""


def test_the_demo_does_not_use_the_database_of_the_user(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", 'db = "mine.sqlite"\n')
    done = kspan(tmp_path, "--config", config, "demo", KSPAN_DB="mine.sqlite")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "mine.sqlite").exists()


def test_help_does_not_need_a_valid_settings_file(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", "nonsense")
    assert kspan(tmp_path, "run", "--help", KSPAN_CONFIG=str(config)).returncode == 0


@pytest.mark.parametrize(
    "text, expected",
    [
        ('\nretentoin = "7d"', ":2: retentoin: unknown setting; did you mean 'retention'?"),
        ('db = "x"\n[run]\nhold = "soon"', ":3: run.hold: invalid duration 'soon': use 90s, 30m, 12h or 7d"),
        ('[run]\nnamespace = "x"', ":2: run.namespace: must be a list, such as [\"...\"], not 'x'"),
        ("[run]\nwatch = [1]", ':2: run.watch: must be a list, such as ["..."], not [1]'),
        ('[run]\nall-kinds = "yes"', ":2: run.all-kinds: must be true or false, not 'yes'"),
        ("[record]\nretention = '7d'", ":2: record.retention: unknown setting"),
        ("[runs]\nhold = '1s'", ":1: runs: unknown setting; did you mean 'run'?"),
        ("run = 3", ":1: run: unknown setting"),
        ('[run]\n["db stats"]\noutput = 4', ":3: db stats.output: must be a string, not 4"),
        ("db = true", ":1: db: must be a string, not true"),
        ("[db.stats]\noutput = 'csv'", ":2: db.stats.output: must be one of table, json, not 'csv'"),
        ("[db.stat]\noutput = 'json'", ":1: db: must be a string, not {'stat'"),
        ("output = 'xml'", ":1: output: must be one of "),
        ('[otlp]\ntimeout = "10"', ":2: otlp.timeout: must be a whole number, not '10'"),
        ("[otlp]\nendpiont = ''", ":2: otlp.endpiont: unknown setting; did you mean 'endpoint'?"),
        ("max_trace_age = '1m'", ":1: max_trace_age: unknown setting; did you mean 'max-trace-age'?"),
        ("config = 'x'", ":1: config: unknown setting"),
        ("[run]\nretention = '7d'\n[record]\nretention = '7d'", ":4: record.retention: unknown setting"),
        ("[record]\nnamespace = ['x']\n[run]\nnamespace = 5", ":4: run.namespace: must be a list"),
        ("db = 'x'\nrun.hold = 5", ":2: run.hold: must be a string, not 5"),
        ("x = = 3", ": invalid TOML: Invalid value (at line 1, column 5)"),
        ("x = '\ud800'", ": not UTF-8 text"),
    ],
)
def test_a_mistake_in_the_file_is_one_line_with_file_and_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "c.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(SettingsError) as error:
        config_file.load(path, program())
    assert str(error.value).startswith(f"{path}{expected}")
    assert "\n" not in str(error.value)


def test_a_mistake_in_the_file_ends_the_command_with_exit_code_2(tmp_path: Path) -> None:
    for args in (("--config", write(tmp_path / "c.toml", "x = 1")), ("--config", tmp_path / "missing.toml")):
        done = kspan(tmp_path, "db", "stats", *args)
        assert done.returncode == 2
        assert done.stderr.startswith(f"kspan: error: {args[1]}:")
        assert len(done.stderr.splitlines()) == 1


def test_the_environment_overrides_the_otlp_settings_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", '[otlp]\nendpoint = "https://file"\ntimeout = 3\ninsecure = true\n')
    environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": "https://variable"}
    config_file.load(path, program()).apply_otlp(environment)
    assert environment == {
        "OTEL_EXPORTER_OTLP_ENDPOINT": "https://variable",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "3",
        "OTEL_EXPORTER_OTLP_INSECURE": "true",
    }
    assert config_file.variable("traces-endpoint") == "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"


def documented() -> dict[str, str]:
    """Return the rows of the table in the document by flag."""
    return {row[1]: row[0] for row in re.finditer(r"^\| `--([a-z-]+)` \|.*$", DOCUMENT.read_text(), re.MULTILINE)}


def test_the_document_describes_every_flag_and_no_other() -> None:
    known = {key for _, command in config_file.commands(program()) for key in config_file.settable(command)}
    assert sorted(documented()) == sorted(known), "docs/settings.md and the flags of the commands"


def test_the_document_shows_the_defaults_of_the_daemon() -> None:
    run = dict(config_file.commands(program()))["run"]
    for key, option in config_file.settable(run).items():
        if isinstance(option.default, str) and option.default:
            assert f"| `--{key}` | `{option.default}` |" in documented()[key]


def test_every_flag_has_an_environment_variable() -> None:
    for name, command in config_file.commands(program()):
        for key, option in config_file.settable(command).items():
            shared = "KSPAN_" + key.upper().replace("-", "_")
            own = f"KSPAN_{name.replace(' ', '_').upper()}_{shared.removeprefix('KSPAN_')}"
            assert option.envvar == (None if name == config_file.DEMO else [own, shared]), f"{name} --{key}"


def test_a_value_in_the_environment_or_a_file_that_a_command_cannot_use_is_meant_for_others(tmp_path: Path) -> None:
    assert kspan(tmp_path, "replay", RECORDING, "--db", "db.sqlite", "--export", "none").returncode == 0
    config = write(tmp_path / "c.toml", 'output = "csv"\n')
    for given in ({"KSPAN_OUTPUT": "csv"}, {"KSPAN_CONFIG": str(config)}):
        assert kspan(tmp_path, "traces", "--db", "db.sqlite", **given).stdout.startswith("trace_id,")
        assert kspan(tmp_path, "db", "stats", "--db", "db.sqlite", **given).stdout.startswith("database ")
    both = {"KSPAN_OUTPUT": "csv", "KSPAN_TRACES_OUTPUT": "json"}
    assert kspan(tmp_path, "traces", "--db", "db.sqlite", **both).stdout.startswith("[{")
    assert kspan(tmp_path, "timeline", "--db", "db.sqlite", **both).stdout.startswith("time,")


def test_an_error_names_the_variable_or_the_line_that_a_value_comes_from(tmp_path: Path) -> None:
    config = write(tmp_path / "c.toml", '[traces]\nsince = "bad"\n')
    cases: list[tuple[tuple[str, ...], dict[str, str], str]] = [
        (("--since", "bad"), {"KSPAN_SINCE": "1h"}, "kspan: error: --since: invalid time 'bad'"),
        ((), {"KSPAN_SINCE": "bad"}, "kspan: error: KSPAN_SINCE (--since): invalid time 'bad'"),
        ((), {"KSPAN_CONFIG": str(config)}, f"kspan: error: {config}:2 (--since): invalid time 'bad'"),
        ((), {"KSPAN_TRACES_LIMIT": "x"}, "(from KSPAN_TRACES_LIMIT)"),
        ((), {"KSPAN_TRACES_OUTPUT": "yaml"}, "KSPAN_TRACES_OUTPUT (--output): invalid format 'yaml'"),
    ]
    for args, environment, expected in cases:
        done = kspan(tmp_path, "traces", *args, "--db", "none.sqlite", **environment)
        assert (done.returncode, expected in done.stderr) == (2, True), done.stderr


def test_a_variable_that_resembles_one_is_reported_and_those_of_kubernetes_are_not(tmp_path: Path) -> None:
    misspelt = {"KSPAN_OUTPT": "json", "KSPAN_SERVICE_HOST": "10.0.0.1", "KSPAN_PORT_8474_TCP": "x", "KSPAN_X": "y"}
    done = kspan(tmp_path, "rules", "list", "-o", "json", **misspelt)
    assert done.stderr == "kspan: unknown environment variable KSPAN_OUTPT; did you mean KSPAN_OUTPUT?\n"


def test_a_table_of_a_command_of_two_words_is_written_with_or_without_quotes(tmp_path: Path) -> None:
    for header in ('["db stats"]', "[db.stats]"):
        settings = config_file.load(write(tmp_path / "c.toml", f'{header}\noutput = "json"\n'), program())
        assert settings.of("db stats") == {"output": "json"}
        assert settings.places("db stats") == {"output": f"{tmp_path / 'c.toml'}:2"}


def test_the_document_names_every_otlp_key_with_its_variable() -> None:
    text = DOCUMENT.read_text()
    for key in config_file.OTLP:
        assert f"| `{config_file.variable(key)}` | `{key}` |" in text


def test_the_example_in_the_document_is_valid(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    settings = config_file.load(write(tmp_path / "example.toml", example), program())
    assert settings.of("run") == {
        "db": "/var/lib/kspan/kspan.sqlite",
        "cluster_name": "staging",
        "export": ["otlp", "file:/var/lib/kspan/traces.jsonl"],
        "namespace": ["shop", "payments"],
        "retention": "30d",
        "listen": "0.0.0.0:8474",
        "redact_env": True,
    }
    assert settings.of("db stats") == {"db": "/var/lib/kspan/kspan.sqlite", "output": "json"}
    assert settings.of("demo") == {}


def test_every_command_accepts_config() -> None:
    for _, command in config_file.commands(program()):
        assert any(param.name == "config" for param in command.params)
