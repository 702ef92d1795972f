"""A projection is opened with the fold, the rules and the settings that are recorded with it."""

from pathlib import Path

import msgspec
import pytest

from kspan.errors import StoreError
from kspan.graph import Rules, built_in_rules, parse_rules
from kspan.graph.state.version import FOLD_VERSION
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline import open_projection as opening
from kspan.pipeline.projector import Projector
from kspan.pipeline.rebuild import Difference, rebuild, verify
from kspan.settings import FoldInputs, FoldSettings
from kspan.store import FoldPeriod, Store, open_store
from kspan.store.tables.retention import prune
from kspan.times import SECOND
from tests.recordings import journal, rows

SCENARIO = "02-rolling-update"
CLUSTER, RECORDS = journal(SCENARIO)
HALF = len(RECORDS) // 2

OTHER_RULES = """
[[rule]]
name = "controller-creates-pod"
enabled = false
"""
OTHER_SETTINGS = FoldSettings(hold=2 * SECOND, settle=SECOND, context_annotations=())


def append(
    store: Store, start: int, end: int, rules: Rules | None = None, settings: FoldSettings | None = None
) -> None:
    """Fold some records of the recording in a process of their own."""
    projector = Projector(store, CLUSTER, rules or built_in_rules(), settings)
    projector.add(JournalBatch([record]) for record in RECORDS[start:end])
    projector.flush()
    if end == len(RECORDS):
        projector.run_out()


def notices(store: Store, rules: Rules | None = None, settings: FoldSettings | None = None) -> tuple[str, ...]:
    return tuple(notice.text for notice in Projector(store, CLUSTER, rules or built_in_rules(), settings).notices)


def changed(what: str) -> str:
    return (
        f"the history was made with other settings ({what}): new records use the current ones; "
        "'kspan db rebuild --db sqlite://' applies them to the whole history"
    )


def pretend_version(store: Store, version: int) -> None:
    """Record another version of the fold with the projection."""
    (period,) = store.fold_periods(CLUSTER)
    store.start_fold_period(CLUSTER, 1, msgspec.structs.replace(period.inputs, fold_version=version))


@pytest.fixture
def other_rules() -> Rules:
    return parse_rules("my.toml", OTHER_RULES)


def test_the_first_projector_records_version_rules_and_settings() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF, settings=OTHER_SETTINGS)
        inputs = FoldInputs(FOLD_VERSION, built_in_rules().digest, OTHER_SETTINGS)
        assert store.fold_periods(CLUSTER) == [FoldPeriod(1, inputs)]


def test_a_restart_without_a_change_records_nothing_and_reports_nothing() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        append(store, HALF, len(RECORDS))
        assert len(store.fold_periods(CLUSTER)) == 1
        assert notices(store) == ()
        assert list(verify(store, CLUSTER, built_in_rules())) == []


def test_changed_settings_are_recorded_from_the_next_record_on_and_reported_once() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        assert notices(store, settings=OTHER_SETTINGS) == (
            changed("hold 5s → 2s, settle 10s → 1s, context-annotations tracing.k8s.io/traceparent → none"),
        )
        append(store, HALF, len(RECORDS), settings=OTHER_SETTINGS)
        assert [period.from_seq for period in store.fold_periods(CLUSTER)] == [1, HALF + 1]
        assert notices(store, settings=OTHER_SETTINGS) == ()


def test_the_settings_of_a_rebuild_are_those_of_the_whole_history() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        rebuild(store, CLUSTER, built_in_rules(), OTHER_SETTINGS)
        assert notices(store, settings=OTHER_SETTINGS) == ()


def test_verify_replays_each_period_with_its_own_settings() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        append(store, HALF, len(RECORDS), settings=OTHER_SETTINGS)
        assert list(verify(store, CLUSTER, built_in_rules())) == []
        changed = rows(store, CLUSTER)
        rebuild(store, CLUSTER, built_in_rules())
        assert rows(store, CLUSTER) != changed, "the settings make no difference here, so the test shows nothing"


def test_verify_replays_each_period_with_its_own_rules(other_rules: Rules) -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        append(store, HALF, len(RECORDS), rules=other_rules)
        assert list(verify(store, CLUSTER, other_rules)) == []


def test_verify_names_the_rules_that_it_needs(other_rules: Rules) -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        append(store, HALF, len(RECORDS), rules=other_rules)
        with pytest.raises(StoreError) as caught:
            list(verify(store, CLUSTER, built_in_rules()))
    assert str(caught.value) == (
        f"sqlite://: the history from record {HALF + 1} on was made with rules that are neither the built-in ones nor "
        f"those of --rules (digest {other_rules.digest}): give their file with --rules, or "
        "run 'kspan db rebuild --db sqlite://' to apply the current ones"
    )


def test_rules_and_settings_that_folded_no_record_are_not_a_change(other_rules: Rules) -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        assert notices(store, rules=other_rules) == (changed("rules"),)
        assert notices(store) == ()
        assert len(store.fold_periods(CLUSTER)) == 1


def test_a_projection_of_an_older_fold_is_rebuilt_when_it_is_opened() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        expected = rows(store, CLUSTER)
        pretend_version(store, FOLD_VERSION - 1)
        with store.writing("spoil the stored state", CLUSTER) as connection:
            connection.exec_driver_sql("UPDATE objects SET state = x'90' WHERE remembered")
        records = store.last_sequence(CLUSTER)
        (notice,) = Projector(store, CLUSTER, built_in_rules()).notices
        assert notice.text == f"the history was written by an older kspan: rebuilt it from {records} journal records"
        assert not notice.warning
        assert rows(store, CLUSTER) == expected
        assert store.fold_version(CLUSTER) == FOLD_VERSION
        assert notices(store) == ()


def test_a_long_journal_is_not_rebuilt_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "QUICK_REBUILD", 10)
    database = tmp_path / "kspan.sqlite"
    with open_store(str(database)) as store:
        append(store, 0, HALF)
        pretend_version(store, FOLD_VERSION - 1)
        with pytest.raises(StoreError) as caught:
            notices(store)
        assert str(caught.value) == (
            f"{database}: was written by an older kspan (fold version {FOLD_VERSION - 1}, this one has {FOLD_VERSION}) "
            f"and has more than 10 journal records: run 'kspan db rebuild --db {database}'"
        )
        rebuild(store, CLUSTER, built_in_rules())
        assert notices(store) == ()


def test_a_pruned_journal_is_not_rebuilt_when_it_is_opened(tmp_path: Path) -> None:
    database = tmp_path / "kspan.sqlite"
    with open_store(str(database)) as store:
        append(store, 0, len(RECORDS))
        prune_all(store)
        pretend_version(store, FOLD_VERSION - 1)
        before = rows(store, CLUSTER)
        with pytest.raises(StoreError) as caught:
            append(store, 0, 0)
        assert str(caught.value) == (
            f"{database}: was written by an older kspan (fold version {FOLD_VERSION - 1}, this one has {FOLD_VERSION})"
            f", and retention has deleted a part of its journal: run 'kspan db rebuild --db {database}'; traces that "
            "began before the retention lose their beginning"
        )
        assert rows(store, CLUSTER) == before


def test_a_projection_of_a_newer_fold_is_refused_and_left_as_it_is() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        pretend_version(store, FOLD_VERSION + 1)
        before = rows(store, CLUSTER)
        versions = rf"\(fold version {FOLD_VERSION + 1}, this one has {FOLD_VERSION}\)"
        with pytest.raises(StoreError, match=rf"newer kspan {versions}: update kspan, or run 'kspan db rebuild"):
            notices(store)
        assert rows(store, CLUSTER) == before
        assert store.fold_version(CLUSTER) == FOLD_VERSION + 1


def test_damaged_state_is_reported_with_the_command_that_repairs_it(tmp_path: Path) -> None:
    database = tmp_path / "kspan.sqlite"
    with open_store(str(database)) as store:
        append(store, 0, HALF)
        with store.writing("damage the stored state", CLUSTER) as connection:
            connection.exec_driver_sql("UPDATE objects SET state = x'90' WHERE remembered")
        with pytest.raises(StoreError, match=rf"is damaged \(.+\): run 'kspan db rebuild --db {database}'"):
            notices(store)
        rebuild(store, CLUSTER, built_in_rules())
        assert notices(store) == ()


def test_a_rebuild_goes_back_to_this_version_of_the_fold() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        expected = rows(store, CLUSTER)
        pretend_version(store, FOLD_VERSION + 1)
        rebuild(store, CLUSTER, built_in_rules())
        assert notices(store) == ()
        assert rows(store, CLUSTER) == expected


def test_verify_refuses_the_projection_of_another_fold() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        pretend_version(store, FOLD_VERSION + 1)
        with pytest.raises(StoreError, match="another version of kspan"):
            list(verify(store, CLUSTER, built_in_rules()))


def prune_all(store: Store) -> None:
    last = max(record.recorded_at for run in store.replay(CLUSTER) for _, record in run)
    prune(store, CLUSTER, last + 1)


def test_verify_compares_only_traces_and_spans_if_the_journal_was_pruned() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, len(RECORDS))
        (trace, *_) = store.projection_rows(CLUSTER, "traces")
        with store.writing("pretend that retention has processed a record", CLUSTER) as connection:
            connection.exec_driver_sql("UPDATE fold_state SET pruned_to = 1")
        assert list(verify(store, CLUSTER, built_in_rules())) == []
        with store.writing("damage a trace", CLUSTER) as connection:
            connection.exec_driver_sql("UPDATE traces SET span_count = 99 WHERE trace_id = ?", (trace["trace_id"],))
        expected = Difference("traces", trace["trace_id"], "does not agree with its spans", ("span_count",))
        assert list(verify(store, CLUSTER, built_in_rules())) == [expected]


def test_verify_names_the_table_with_a_row_that_cannot_be_read() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, len(RECORDS))
        with store.writing("damage a trace", CLUSTER) as connection:
            connection.exec_driver_sql("UPDATE traces SET state = 'lost'")
        found = list(verify(store, CLUSTER, built_in_rules()))
    assert Difference("traces", "a row", "unreadable") in found


def test_retention_forgets_periods_without_records() -> None:
    with open_store("sqlite://") as store:
        append(store, 0, HALF)
        append(store, HALF, len(RECORDS), settings=OTHER_SETTINGS)
        prune_all(store)
        assert [period.inputs.settings for period in store.fold_periods(CLUSTER)] == [OTHER_SETTINGS]
        assert notices(store, settings=OTHER_SETTINGS) == ()


# damage --------------------------------------------------------------------------------------------------------------

DAMAGE = {
    "settings that are no JSON": "UPDATE fold_history SET settings = '{'",
    "settings of another type": 'UPDATE fold_history SET settings = \'{"hold": "long"}\'',
    "a version that is no number": "UPDATE fold_history SET fold_version = 'x'",
    "a missing version": "DELETE FROM fold_history",
    "half of the newest versions": "UPDATE fold_state SET newest = substr(newest, 1, 5)",
    "no newest versions": "UPDATE fold_state SET newest = x'80'",
    "half of the clock": "UPDATE fold_state SET clock = substr(clock, 1, 5)",
    "another clock": "UPDATE fold_state SET clock = x'9101'",
    "another position": "UPDATE fold_state SET last_seq = last_seq - 1",
}
NOTICED_WHEN_OPENED = DAMAGE.keys() - {"a missing version", "no newest versions", "another clock"}
"""The first is an upgrade from an unknown version; the others are valid values that only a replay shows to be wrong."""


@pytest.mark.parametrize("what", DAMAGE)
def test_damage_of_what_the_fold_continues_from_is_found_and_repaired(what: str, tmp_path: Path) -> None:
    database = tmp_path / "kspan.sqlite"
    with open_store(str(database)) as store:
        append(store, 0, HALF)
        before, history = store.position(CLUSTER), store.fold_periods(CLUSTER)
        with store.writing("damage it", CLUSTER) as connection:
            connection.exec_driver_sql(DAMAGE[what])
        assert {found.table for found in verify(store, CLUSTER, built_in_rules())} <= {"fold_history", "fold_state"}
        assert list(verify(store, CLUSTER, built_in_rules())) != []
        if what in NOTICED_WHEN_OPENED:
            with pytest.raises(StoreError, match=rf"run 'kspan db rebuild --db {database}'"):
                notices(store)
        rebuild(store, CLUSTER, built_in_rules())
        assert (store.position(CLUSTER), store.fold_periods(CLUSTER)) == (before, history)
        assert list(verify(store, CLUSTER, built_in_rules())) == []
        assert notices(store) == ()
