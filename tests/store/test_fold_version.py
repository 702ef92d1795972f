"""Nobody changes what is stored without raising the version of the fold, or the schema without a migration."""

import difflib
from pathlib import Path

import pytest

from kspan.graph.state.version import FOLD_VERSION
from kspan.store.schema.tables import REVISION
from tests.store import fold_version
from tests.store.fold_version import OUTPUT, RULES, SCHEMA, STRUCTS

RAISE = (
    "Databases in use hold rows of the old form. If this change is intended, raise FOLD_VERSION in "
    "kspan/graph/state/version.py to {next}, then run 'make fold-version' and commit tests/data/fold_version.txt."
)
UPDATE = (
    f"Version {FOLD_VERSION} of the fold is not released yet. If this change is intended, run 'make fold-version' and "
    "commit tests/data/fold_version.txt."
)
MIGRATE = (
    "The tables, indexes or views have changed. Put the change into a new migration (alembic -x db=kspan.sqlite "
    "revision -m 'what changes'), set REVISION in kspan/store/schema/tables.py, then run 'make fold-version'."
)


def section(title: str) -> list[str]:
    text, _, _ = fold_version.recorded()
    return text.partition(f"# {title}\n\n")[2].partition("\n# ")[0].splitlines()


def what_to_do() -> str:
    _, _, released = fold_version.recorded()
    return RAISE.format(next=released + 1) if released >= FOLD_VERSION else UPDATE


def difference(expected: list[str], found: list[str]) -> str:
    return "\n".join(difflib.unified_diff(expected, found, "recorded", "now", lineterm="", n=1))


def test_the_version_of_the_fold_is_the_recorded_one() -> None:
    _, version, released = fold_version.recorded()
    assert released <= FOLD_VERSION, "FOLD_VERSION must not go back"
    assert version == FOLD_VERSION, "run 'make fold-version' and commit tests/data/fold_version.txt"


def test_the_stored_structs_are_those_of_the_version_of_the_fold() -> None:
    expected, found = section(STRUCTS), fold_version.structs()
    assert found == expected, f"stored structs changed:\n{difference(expected, found)}\n\n{what_to_do()}"


def test_the_recordings_give_the_rows_of_the_version_of_the_fold() -> None:
    expected, found = section(OUTPUT), fold_version.output()
    assert found == expected, f"the fold writes other rows:\n{difference(expected, found)}\n\n{what_to_do()}"


def test_the_built_in_rules_are_those_of_the_version_of_the_fold() -> None:
    expected, found = section(RULES), fold_version.rules()
    assert found == expected, f"the built-in rules changed:\n{difference(expected, found)}\n\n{what_to_do()}"


def test_the_schema_is_that_of_the_newest_migration() -> None:
    expected, found = section(SCHEMA), fold_version.schema()
    assert found[0].startswith(f"{REVISION} ")
    assert found == expected, f"{difference(expected, found)}\n\n{MIGRATE}"


def test_a_swapped_field_changes_the_description(monkeypatch: pytest.MonkeyPatch) -> None:
    import msgspec

    one = msgspec.defstruct("Stored", [("a", int), ("b", str)], array_like=True)
    other = msgspec.defstruct("Stored", [("b", str), ("a", int)], array_like=True)
    described = []
    for struct in (one, other):
        monkeypatch.setattr(fold_version, "STORED", (struct,))
        described.append(fold_version.structs())
    assert described == [
        ["Stored (array)", "  a: int", "  b: str"],
        ["Stored (array)", "  b: str", "  a: int"],
    ]


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file of its own, and a fold whose output is quick to compute."""
    monkeypatch.setattr(fold_version, "FILE", tmp_path / "fold_version.txt")
    monkeypatch.setattr(fold_version, "output", lambda: ["recording 00ff"])
    return fold_version.FILE


def change_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fold_version, "output", lambda: ["recording 00fe"])


def test_a_version_that_is_not_released_can_be_recorded_again(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fold_version.main([]) == 0
    change_output(monkeypatch)
    assert fold_version.main([]) == 0
    assert "recording 00fe" in file.read_text()


def test_a_released_version_is_not_recorded_again(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fold_version.main(["--release"]) == 0
    assert fold_version.recorded()[1:] == (FOLD_VERSION, FOLD_VERSION)
    assert fold_version.main([]) == 0, "nothing has changed"
    change_output(monkeypatch)
    assert fold_version.main([]) == 1
    assert f"raise FOLD_VERSION in kspan/graph/state/version.py to {FOLD_VERSION + 1}" in capsys.readouterr().err
    monkeypatch.setattr(fold_version, "FOLD_VERSION", FOLD_VERSION + 1)
    assert fold_version.main([]) == 0
    assert fold_version.recorded()[1:] == (FOLD_VERSION + 1, FOLD_VERSION)
