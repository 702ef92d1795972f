"""``kspan rules explain``: the Events that no rule matches, with rules to start from that are valid."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from kspan.graph import Rules, built_in_rules, check_rules, parse_rules
from kspan.ingest import read_frames
from kspan.pipeline.replay import replay
from kspan.query.rules.rule_template import rule_template
from kspan.query.rules.unmatched_events import Explained, Need, explain
from kspan.store import open_store
from tests.cli.commands.test_commands import CAPTURE, kspan, refused
from tests.recordings import RECORDINGS, SCENARIOS, recording

WIDGETS = recording("13-custom-controller")
CASES = RECORDINGS.parent / "cases"
CORE_EVENTS = RECORDINGS.parent / "inputs" / "events-core-list.json"


def explained(file: Path, rules: Rules | None = None) -> Explained:
    rules = rules or built_in_rules()
    with open_store("sqlite://") as store:
        done = replay(store, read_frames([str(file)]), rules)
        return explain(store, done.cluster, rules)


def needs(found: Explained) -> dict[str, str]:
    return {f"{group.component} {group.kind}.{group.reason}": group.need.value for group in found.groups}


def test_events_about_another_object_and_about_the_own_object_are_distinguished() -> None:
    found = needs(explained(WIDGETS))
    assert found["widget-controller Widget.DeploymentCreated"] == "refines"
    assert found["widget-controller Widget.DeploymentUpdated"] == "refines"
    assert found["default-scheduler Pod.Scheduled"] == "mentions", "it names a Node, but nothing happened to that"
    assert found["kubelet Pod.Started"] == "nothing"
    assert "replicaset-controller ReplicaSet.SuccessfulCreate" not in found, "a rule matches it"


def test_the_outcome_of_a_trace_is_not_taken_for_the_message_of_its_root() -> None:
    """The root is an Event that a rule matches; its trace failed, and its status says why."""
    found = explained(CASES / "explain.json")
    assert found.groups == []
    assert (found.events, found.matched, found.objects) == (3, 3, 1)


def test_events_that_need_a_rule_most_come_first() -> None:
    groups = explained(WIDGETS).groups
    order = [list(Need).index(group.need) for group in groups]
    assert order == sorted(order)
    for need in Need:
        counts = [group.count for group in groups if group.need is need]
        assert counts == sorted(counts, reverse=True)


def test_every_occurrence_and_repeat_is_counted() -> None:
    found = explained(WIDGETS)
    assert found.matched + sum(group.count for group in found.groups) == found.events
    ready = next(group for group in found.groups if group.reason == "Ready")
    assert ready.count == 2
    assert ready.shape == "<n>/<n> available"


@pytest.mark.parametrize("file, warned", [(CASES / "first-occurrence.json", True), (CASES / "explain.json", False)])
def test_an_input_without_objects_is_named(file: Path, warned: bool) -> None:
    done = kspan("rules", "explain", str(file))
    assert ("the input has only Events, no objects" in done.stderr) is warned
    assert done.returncode == 0


def test_the_template_is_the_rule_that_a_person_would_write() -> None:
    group = next(group for group in explained(WIDGETS).groups if group.reason == "DeploymentCreated")
    (rule,) = tomllib.loads(group.rule)["rule"]
    assert rule == {
        "name": "widget-controller-widget-deploymentcreated",
        "component": "widget-controller",
        "kind": "Widget",
        "reason": "DeploymentCreated",
        "message": "created (?P<name>[a-z0-9]([a-z0-9.-]*[a-z0-9])?)",
        "subject": "Deployment",
        "means": "creates",
    }


def test_with_the_templates_the_events_match_and_are_parents_of_the_changes() -> None:
    before = explained(WIDGETS)
    text = "".join(group.rule for group in before.groups if group.need is Need.REFINES)
    after = explained(WIDGETS, parse_rules("my.toml", text))
    assert after.matched == before.matched + 2
    assert "refines" not in needs(after).values()


@pytest.mark.parametrize("file", [*map(recording, SCENARIOS), CAPTURE, CORE_EVENTS], ids=lambda path: path.parent.name)
def test_every_template_is_valid_and_matches_its_example(file: Path) -> None:
    for group in explained(file).groups:
        assert bool(group.rule) == (group.need in (Need.JOINS, Need.REFINES, Need.LOST))
        if group.rule:
            rules, mistakes = check_rules(group.rule, built_in_rules())
            assert mistakes == []
            found = rules.subject(group.component, group.kind, group.reason, "shop", group.example)
            assert found is not None
            assert not group.subject or found.kind == group.subject


HOSTILE = [
    ("Created 'x' \"y\" \\ thing-1", ("Pod", "shop", "thing-1"), "thing-1"),
    ("a.b*c(d)[e]{f}^$|?+ thing-1.", ("Pod", "shop", "thing-1"), "thing-1"),
    ("in shop/thing-1 now", ("Pod", "shop", "thing-1"), "thing-1"),
    ("line one\nand two\t\x00\x1b[31m thing-1", ("Node", "", "thing-1"), "thing-1"),
    ("übergroß 12 ½ thing-1", ("Pod", "shop", "thing-1"), "thing-1"),
    ("'" * 3 + "thing-1" + '"' * 3, ("Pod", "shop", "thing-1"), "thing-1"),
    ("\x7f thing-1", ("Pod", "shop", "thing-1"), "thing-1"),
]


@pytest.mark.parametrize("message, subject, name", HOSTILE)
@pytest.mark.parametrize("verb", ["Create", "Update", "Delete", ""])
def test_any_message_has_a_valid_template(message: str, subject: tuple[str, str, str], name: str, verb: str) -> None:
    text = rule_template('it\'s a "component"', "Kind", "Rea\\son\x1b", message, subject, verb)
    rules, mistakes = check_rules(text, built_in_rules())
    assert mistakes == []
    found = rules.subject('it\'s a "component"', "Kind", "Rea\\son\x1b", "shop", message)
    assert found is not None
    assert found.name == name
    assert found.namespace == subject[1]


# the command ---------------------------------------------------------------------------------------------------------


def test_the_output_is_a_valid_rules_file(tmp_path: Path) -> None:
    done = kspan("rules", "explain", WIDGETS)
    assert done.returncode == 0
    assert "28 match a rule" in done.stderr
    path = tmp_path / "my.toml"
    path.write_text(done.stdout)
    assert "4 added" in kspan("rules", "check", path).stdout
    again = kspan("rules", "explain", WIDGETS, "--rules", path)
    assert "0 could use one" in again.stderr
    assert "[[rule]]" not in again.stdout


def test_the_json_output_is_a_list_of_groups() -> None:
    found: list[dict[str, Any]] = json.loads(kspan("rules", "explain", WIDGETS, "-o", "json").stdout)
    assert found[0]["need"] == "refines"
    assert set(found[0]) == {
        "need", "component", "kind", "reason", "shape", "count", "example", "subject", "verb", "rule"
    }  # fmt: skip
    assert "-o" in kspan("rules", "explain", "--help").stdout
    assert "toml or json" in refused(kspan("rules", "explain", WIDGETS, "-o", "yaml"))


def test_a_list_of_events_on_standard_input_is_enough() -> None:
    done = kspan("rules", "explain", "-", stdin=CORE_EVENTS.read_bytes())
    assert done.returncode == 0
    assert "DeploymentCreated" in done.stdout.split("[[rule]]")[0]


def test_hostile_text_is_escaped(tmp_path: Path) -> None:
    event = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"uid": "e", "name": "e", "namespace": "shop", "resourceVersion": "5"},
        "involvedObject": {"kind": "Wid\x1b[31mget", "name": "a", "namespace": "shop", "uid": "a"},
        "reason": "R\x1b]0;title\x07",
        "message": "one\n[[rule]]\ntwo \x1b[2J",
        "source": {"component": "c"},
        "firstTimestamp": "2026-11-22T10:25:03Z",
        "lastTimestamp": "2026-11-22T10:25:03Z",
    }
    done = kspan(
        "rules", "explain", "-", stdin=json.dumps({"kind": "List", "apiVersion": "v1", "items": [event]}).encode()
    )
    assert done.returncode == 0
    assert "\x1b" not in done.stdout
    path = tmp_path / "my.toml"
    path.write_text(done.stdout)
    assert kspan("rules", "check", path).returncode == 0
