"""Rules files: they add to the built-in rules and override them; every mistake is reported with its line."""

import re
import time
from textwrap import dedent

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kspan.errors import RulesError
from kspan.graph import Rules, built_in_rules, check_rules, parse_rules
from kspan.graph.rules.patterns import Pattern
from kspan.toml_positions import Positions

WIDGET = """
[[rule]]
name = "widget-creates-deployment"
component = "widget-controller"
kind = "Widget"
reason = "Created"
message = 'created Deployment (?P<name>\\S+)'
subject = "Deployment"
means = "creates"
"""


def rules_of(text: str) -> Rules:
    return parse_rules("my.toml", dedent(text))


def mistakes(text: str) -> list[str]:
    _, found = check_rules(dedent(text), built_in_rules())
    return [f"{mistake.line}: {mistake.problem}" for mistake in found]


def without(key: str) -> str:
    return "\n".join(line for line in WIDGET.splitlines() if not line.startswith(f"{key} ="))


def with_line(line: str) -> str:
    """The rule with one key replaced or added."""
    key = line.split(" =", maxsplit=1)[0]
    lines = WIDGET.strip().splitlines()
    at = next((i for i, old in enumerate(lines) if old.startswith(f"{key} =")), len(lines))
    return "\n".join([*lines[:at], line, *lines[at + 1 :]])


# changes of the built-in rules ---------------------------------------------------------------------------------------


def test_a_rule_reads_several_subjects_from_the_lines_of_a_message() -> None:
    rules = rules_of(with_line(r"others = 'created Deployment (?P<name>\S+)'"))
    message = "created Deployment a\nfailed\ncreated Deployment b"
    found = rules.subject("widget-controller", "Widget", "Created", "shop", message)
    assert found is not None
    assert found.name == "a"
    assert rules.others(found, "shop", message) == (("Deployment", "shop", "b"),)


def test_a_rule_with_a_new_name_is_added() -> None:
    rules = rules_of(WIDGET)
    assert len(rules.rules) == len(built_in_rules().rules) + 1
    found = rules.subject("widget-controller", "Widget", "Created", "shop", "Created deployment a")
    assert found is not None
    assert (found.means, found.kind, found.name) == ("creates", "Deployment", "a")
    assert rules.subject("job-controller", "Job", "SuccessfulCreate", "shop", "Created pod: a") is not None


def test_a_rule_with_a_built_in_name_replaces_that_rule() -> None:
    rules = rules_of(WIDGET.replace("widget-creates-deployment", "controller-creates-pod"))
    assert len(rules.rules) == len(built_in_rules().rules)
    assert rules.subject("job-controller", "Job", "SuccessfulCreate", "shop", "Created pod: a") is None


def test_a_built_in_rule_can_be_disabled() -> None:
    rules = rules_of("""
        [[rule]]
        name = "controller-creates-pod"
        enabled = false
    """)
    assert len(rules.rules) == len(built_in_rules().rules) - 1
    assert rules.subject("job-controller", "Job", "SuccessfulCreate", "shop", "Created pod: a") is None


def test_a_rule_of_the_user_comes_before_a_built_in_rule_that_matches_too() -> None:
    rules = rules_of("""
        [[rule]]
        name = "mine"
        component = "*"
        reason = "SuccessfulCreate"
        message = 'Created (?P<kind>\\w+): (?P<name>\\S+)'
        means = "observes"
    """)
    found = rules.subject("job-controller", "Job", "SuccessfulCreate", "shop", "Created Pod: a")
    assert found is not None
    assert (found.means, found.kind) == ("observes", "Pod")


def test_managers_are_added_and_move_to_the_other_list() -> None:
    rules = rules_of("""
        [managers]
        controllers = ["widget-controller", "argocd-controller"]
        people = ["karpenter", "system:serviceaccount:ci:deployer"]
    """)
    assert rules.is_controller("widget-controller")
    assert rules.is_controller("kubelet")
    assert rules.is_controller("argocd-controller")
    assert not rules.is_person("argocd-controller")
    assert rules.is_person("karpenter")
    assert not rules.is_controller("karpenter")
    assert not rules.is_controller("system:serviceaccount:ci:deployer")


def test_actors_and_disruptions_are_added_overridden_and_removed() -> None:
    rules = rules_of("""
        [actors]
        Rollout = "rollouts-controller"
        Deployment = "my-deployment-controller"
        Job = ""
        [disruptions]
        EvictedByRobot = { actor = "robot", node = "closed" }
        PreemptionByScheduler = { actor = "my-scheduler" }
        DeletionByPodGC = false
    """)
    assert rules.actors["Rollout"] == "rollouts-controller"
    assert rules.actors["Deployment"] == "my-deployment-controller"
    assert "Job" not in rules.actors
    assert "ReplicaSet" in rules.actors
    assert rules.disruptions["EvictedByRobot"].node == ("closed",)
    assert rules.disruptions["PreemptionByScheduler"].actor == "my-scheduler"
    assert "DeletionByPodGC" not in rules.disruptions


def test_an_empty_file_changes_nothing() -> None:
    assert rules_of("# nothing\n").digest == built_in_rules().digest


def test_the_digest_changes_with_the_meaning_of_the_rules() -> None:
    assert rules_of(WIDGET).digest == rules_of(f"# a remark\n{WIDGET}").digest
    assert rules_of(WIDGET).digest != rules_of(WIDGET.replace("Widget", "Gadget")).digest
    assert rules_of("[managers]\npeople = ['x']").digest != built_in_rules().digest


def test_the_built_in_rules_pass_the_same_checks() -> None:
    assert len(built_in_rules().rules) > 40


# mistakes ------------------------------------------------------------------------------------------------------------

ONE_MISTAKE = {
    "invalid TOML": ("[[rule]]\nname = \n", "2: invalid TOML: Invalid value"),
    "a string that does not end": ('a = "b', "1: invalid TOML: "),
    "an unknown table": ("[rules]\n", "1: unknown table 'rules': did you mean rule?"),
    "rule in single brackets": ("[rule]\nname = 'x'\n", "1: rule must be a list of tables: write [[rule]]"),
    "a list in the place of a table": ("actors = []\n", "1: actors must be a table: write [actors]"),
    "no name": (without("name"), "2: name is missing: every rule needs one"),
    "no component": (without("component"), "2: component is missing"),
    "no reason": (without("reason"), "2: reason is missing"),
    "no meaning": (without("means"), "2: means is missing"),
    "no subject": (without("subject"), "2: subject is missing: set it to the kind of the object"),
    "an unknown key": (with_line('subjekt = "Pod"'), "9: unknown key 'subjekt': did you mean subject?"),
    "an unknown meaning": (with_line('means = "makes"'), "8: invalid means 'makes' (known: creates, "),
    "a number for a string": (with_line("subject = 3"), "7: subject must be a string, not a number"),
    "a number for a name": (with_line("component = [1]"), "3: component must be a string or a list of strings"),
    "a string for true or false": (with_line('starts = "yes"'), "9: starts must be true or false, not a string"),
    "a string for enabled": (with_line('enabled = "no"'), "9: enabled must be true or false, not a string"),
    "an invalid expression": (with_line("message = '(?P<name>'"), "6: invalid regular expression in message: mis"),
    "no name in the message": (with_line("message = 'x'"), "6: message needs a group (?P<name>...)"),
    "an unknown group": (with_line("message = '(?P<name>a)(?P<nam>b)'"), "6: unknown group 'nam': did you mean name?"),
    "an invalid expression for others": (with_line("others = '('"), "9: invalid regular expression in others: mis"),
    "others without a name": (with_line("others = 'and (?P<kind>a)'"), "9: others needs a group (?P<name>...)"),
    "others of a meaning without them": (
        WIDGET.strip().replace('"creates"', '"observes"') + "\nothers = '(?P<name>a)'",
        "9: others needs a means that changes the subjects: creates, deletes, applies",
    ),
    "a group twice": (with_line("message = '(?P<name>a)|(?P<name>b)'"), "6: duplicate group 'name'"),
    "a look-ahead": (with_line("message = '(?=a)(?P<name>b)'"), "6: invalid regular expression in message: inv"),
    "a backreference": (with_line(r"message = '(?P<name>b)\1'"), "6: invalid regular expression in message: inv"),
    "a repetition that explodes": (
        with_line("message = '(((?P<name>a){100}){100}){100}'"),
        "6: invalid regular expression in message: invalid repetition size",
    ),
    "an unknown source": (
        with_line('subject_from = "nodename"').replace('subject = "Deployment"\n', ""),
        "8: invalid subject_from 'nodename': did you mean nodeName?",
    ),
    "two subjects": (with_line('subject_from = "self"'), "7: subject and subject_from cannot be used together"),
    "an unknown scope": (with_line('scope = "node"'), "9: invalid scope 'node' (known: cluster)"),
    "an unknown beneficiary": (with_line('by = "me"'), "9: invalid by 'me' (known: related)"),
    "an explanation after a verb that does not exist": (
        WIDGET.strip().replace('"creates"', '"explains"\nafter = "create"').replace('subject = "Deployment"\n', ""),
        '8: with means = "explains", after must be Create, Update or Delete, or the reason of an Event',
    ),
    "an explanation without the change": (
        with_line('means = "explains"').replace('subject = "Deployment"\n', ""),
        '1: with means = "explains", after must be Create, Update or Delete',
    ),
    "an observation of something else than a change": (
        with_line('means = "observes"') + '\nafter = "Deleted"',
        '9: with means = "observes", after must be Create, Update or Delete, or omitted',
    ),
    "an explanation by another object": (
        with_line('means = "explains"') + '\nafter = "Delete"',
        '7: with means = "explains", subject must be omitted: there is no other object',
    ),
    "an unknown disabled rule": (
        '[[rule]]\nname = "controller-create-pod"\nenabled = false',
        "2: unknown built-in rule 'controller-create-pod': did you mean controller-creates-pod?",
    ),
    "a disabled rule with more keys": (
        '[[rule]]\nname = "controller-creates-pod"\nenabled = false\nmeans = "creates"',
        "4: means is not allowed in a rule with enabled = false",
    ),
    "a duplicate name": (
        WIDGET + WIDGET.replace("Widget", "Gadget"),
        "12: duplicate name 'widget-creates-deployment': the rule on line 3 has it",
    ),
    "an unknown key of managers": (
        "[managers]\ncontroller = []", "2: unknown key 'controller': did you mean controllers?"
    ),
    "a manager on both sides": (
        '[managers]\ncontrollers = ["a"]\npeople = ["a"]', "3: 'a' is in controllers and in people: remove one"
    ),
    "an actor that is not a string": ("[actors]\nJob = 3", "2: Job must be a string, not a number"),
    "an unknown change of a Node": ('[disruptions]\nX = { node = ["gone"] }', "2: unknown change of a Node 'gone'"),
    "an unknown key of a disruption": ("[disruptions.X]\nactors = 'a'", "2: unknown key 'actors': did you mean actor?"),
    "a disruption that is not a table": ("[disruptions]\nX = 1", "2: X must be a table, or false to remove it"),
    "an unknown disruption": ("[disruptions]\nX = false", "2: unknown built-in reason 'X' (known: "),
}  # fmt: skip


@pytest.mark.parametrize("what", ONE_MISTAKE)
def test_a_mistake_is_reported_with_its_line_and_reason(what: str) -> None:
    text, expected = ONE_MISTAKE[what]
    found = mistakes(text if text.startswith("\n") or not text.startswith(" ") else dedent(text))
    assert len(found) == 1
    assert found[0].startswith(expected), found[0]


def test_every_mistake_is_reported_not_only_the_first() -> None:
    found = mistakes("""\
        [[rule]]
        name = "a"
        component = 3
        reason = "b"
        message = '(?P<nam>x'
        means = "makes"

        [actors]
        Job = false
        [tables]
    """)
    assert [line.split(":")[0] for line in found] == ["3", "5", "6", "9", "10"]


def test_a_file_with_mistakes_is_refused_in_one_line_that_names_the_first() -> None:
    with pytest.raises(RulesError, match=re.escape("my.toml:1: ")) as caught:
        rules_of("[[rule]]\nname = 3\n[tables]\n")
    assert "\n" not in str(caught.value)
    assert "(6 more: see 'kspan rules check my.toml')" in str(caught.value)


def test_the_error_for_a_single_mistake_is_the_mistake() -> None:
    with pytest.raises(RulesError) as caught:
        rules_of("\n[tables]\n")
    assert str(caught.value).startswith("my.toml:2: ")
    assert "more" not in str(caught.value)


# rules that never match ----------------------------------------------------------------------------------------------

SHADOWED = [
    ("", "Created pod: (?P<name>.+)"),
    (".*", "Created pod: (?P<name>.+)"),
    ("Created pod", "Created pod: (?P<name>.+)"),
    ("Created (pod|job)", "Created pod: (?P<name>.+)"),
    (r"Created pod: (?P<name>\S+)", r"Created pod: (\S+) on (?P<name>\S+)"),
    (r"created pod: (?:\S+)", r"created pod: (?P<name>\S+)"),
    ("a|b", "a|b(?P<name>c)"),
    ("CREATED", "created (?P<name>x)"),
]
NOT_SHADOWED = [
    ("Created pods", "Created pod: (?P<name>.+)"),
    ("Created pod$", "Created pod(?P<name>.*)"),
    ("a", "a*(?P<name>b)"),
    ("a", "ab(?P<name>c)|(?P<namespace>d)"),
    ("a(?P<name>b)", "a(?P<name>b)?"),
    (r"Created pod: (?P<name>\S+) on", r"Created pod: (?P<name>\S+)"),
    (r"x\b", "x(?P<name>y)"),
    ("a", "a(?s)b|(?P<name>c)"),
    ("x", r"x\Q(\E|(?P<name>b)"),
    ("[(?:]", "[(](?P<name>y)"),
]


@pytest.mark.parametrize("first, second", SHADOWED)
def test_a_rule_that_can_never_match_is_a_mistake(first: str, second: str) -> None:
    found = mistakes(two_rules(first, second))
    assert found == ["9: rule 'second' can never match: earlier rules match the same Events (first)"]


@pytest.mark.parametrize("first, second", NOT_SHADOWED)
def test_a_rule_that_may_match_is_accepted(first: str, second: str) -> None:
    assert mistakes(two_rules(first, second)) == []


def two_rules(first: str, second: str) -> str:
    head = '[[rule]]\nname = "{}"\ncomponent = ["a", "b"]\nkind = "K"\nreason = "R"\n'
    return (
        f"{head.format('first')}message = '{first}'\nsubject_from = 'self'\nmeans = 'creates'\n"
        f"{head.format('second')}message = '{second}'\nsubject = 'Pod'\nmeans = 'creates'\n"
    )


_ATOMS = st.sampled_from(
    ["a", "b", "ab", r"\d", r"\S", "[ab]", "[^a]", ".", r"\.", "(?P<name>a)", "(a|b)", "(?:ab)", "()"]
)
_PIECES = st.tuples(_ATOMS, st.sampled_from(["", "", "", "*", "+", "?", "{2}", "*?"])).map("".join)
_SEQUENCES = st.lists(_PIECES, max_size=4).map("".join)
_PATTERNS = st.lists(_SEQUENCES, min_size=1, max_size=2).map("|".join)


@given(first=_PATTERNS, rest=_SEQUENCES, data=st.data())
@settings(max_examples=300, deadline=None)
def test_a_covered_pattern_matches_nothing_more(first: str, rest: str, data: st.DataObject) -> None:
    """Otherwise a rule that can match would be reported as a mistake."""
    second = data.draw(st.one_of(st.just(first + rest), _PATTERNS))
    second = second.replace("(?P<name>", "(")
    covering, covered = Pattern(first.replace("(?P<name>", "(")), Pattern(second)
    if covering.covers(covered):
        message = data.draw(st.from_regex(rf"\A(?i:{second})"))
        if covered.match(message) is not None:
            assert covering.match(message) is not None, (first, second, message)


@pytest.mark.parametrize("change", ['component = ["a", "c"]', 'kind = ["K", "L"]', 'reason = "S"'])
def test_a_rule_for_more_events_than_the_one_before_it_is_accepted(change: str) -> None:
    first, second = two_rules("", "(?P<name>x)").split("[[rule]]")[1:]
    key = change.split(" =", maxsplit=1)[0]
    second = re.sub(rf"{key} = .*", change, second)
    assert mistakes(f"[[rule]]{first}[[rule]]{second}") == []


def test_a_rule_for_any_message_after_one_for_some_messages_is_accepted() -> None:
    text = two_rules("Created", "x").replace("message = 'x'\nsubject = 'Pod'", "message = ''\nsubject_from = 'self'")
    assert mistakes(text) == []


def test_several_rules_together_can_shadow_one() -> None:
    first, second = two_rules("", "(?P<name>x)").split("[[rule]]")[1:]
    halves = [first.replace('["a", "b"]', f'"{c}"').replace("first", f"first-{c}") for c in "ab"]
    text = "".join(f"[[rule]]{rule}" for rule in (*halves, second))
    assert mistakes(text) == [
        "17: rule 'second' can never match: earlier rules match the same Events (first-a, first-b)"
    ]


# hostile messages ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", ["(a+)+b", "(a|aa)+$", "(.*)*x", "a{0,900}a{0,90}b"])
def test_no_pattern_is_slow_on_a_hostile_message(pattern: str) -> None:
    message = "a" * 100_000
    started = time.process_time()
    Pattern(pattern).match(message)
    assert time.process_time() - started < 5  # with a backtracking engine it would not end


@pytest.mark.parametrize(
    "message", ["", "\0", "é" * 10, "\x1b[31m", "(combined from similar events): ", "x" * 1_000_000]
)
def test_any_message_is_read_without_an_error(message: str) -> None:
    for rule in built_in_rules().rules:
        rule.read("shop", message)


# positions -----------------------------------------------------------------------------------------------------------


def test_keys_are_found_on_their_lines_whatever_is_between_them() -> None:
    text = dedent('''\
        # a remark with [brackets] = "and quotes
        [[rule]]
        "name" = """
        [[rule]]
        ""\\""""""
        list = [ # ]
          "]", 'x#"',
        ]
        a.b.c = { x = "}", y = [1] } # x
        [[rule]]
        [rule.sub]
        key = 1
        [[rule.more]]
        'odd key' = 2
    ''')
    lines = Positions(text)
    expected = {
        ("rule", 0): 2, ("rule", 0, "name"): 3, ("rule", 0, "list"): 6, ("rule", 0, "a", "b"): 9,
        ("rule", 0, "a", "b", "c", "x"): 9, ("rule", 0, "missing"): 2, ("rule", 1): 10, ("rule", 1, "sub", "key"): 12,
        ("rule", 1, "more", 0, "odd key"): 14, ("nothing",): 1,
    }  # fmt: skip
    assert {path: lines.line(path) for path in expected} == expected


# failures ------------------------------------------------------------------------------------------------------------

FAILURE = """
[[failure]]
name = "widget-broken"
kind = "Widget"
status = "Broken"
event = "WidgetBroken"
message = 'Widget is broken'
until = "WidgetRepaired"
patience = "30s"
"""


def failure_with(line: str) -> str:
    """The failure with one key replaced, added, or (without a value) removed."""
    key = line.partition(" =")[0]
    lines = [old for old in FAILURE.strip().splitlines() if not old.startswith(f"{key} =")]
    return "\n".join([*lines, line] if "=" in line else lines)


def test_a_failure_is_added_and_known_by_status_and_event() -> None:
    failures = rules_of(FAILURE).failures
    assert len(failures.rules) == len(built_in_rules().failures.rules) + 1
    by_status, by_event = (
        failures.in_status("Widget", "Broken"),
        failures.in_event("Widget", "WidgetBroken", "widget IS broken"),
    )
    assert by_status is not None
    assert by_status is by_event
    assert by_status.patience == 30_000_000_000
    assert failures.in_status("Gadget", "Broken") is None
    assert failures.in_event("Widget", "WidgetBroken", "fine") is None
    assert failures.ends("widget-broken", "WidgetRepaired")
    assert not failures.ends("widget-broken", "WidgetBroken")


def test_a_failure_with_a_built_in_name_replaces_that_one() -> None:
    failures = rules_of(FAILURE.replace("widget-broken", "crash-loop")).failures
    assert len(failures.rules) == len(built_in_rules().failures.rules)
    assert failures.in_status("Pod", "CrashLoopBackOff") is None


def test_a_built_in_failure_can_be_disabled() -> None:
    failures = rules_of("[[failure]]\nname = 'scheduling'\nenabled = false").failures
    assert failures.in_status("Pod", "Unschedulable") is None
    assert failures.in_status("Pod", "CrashLoopBackOff") is not None


def test_failures_are_part_of_the_digest() -> None:
    assert rules_of(FAILURE).digest != rules_of(FAILURE.replace("30s", "31s")).digest != built_in_rules().digest


@pytest.mark.parametrize(
    "text, expected",
    [
        (failure_with("patience"), "1: patience is missing: set a duration such as 30s"),
        (failure_with("patience = 30"), "8: patience must be a string, not a number"),
        (failure_with("patience = '30'"), "8: invalid patience '30': use a duration such as 30s or 1m"),
        (failure_with("patience = '0'"), "8: invalid patience '0': use a duration such as 30s or 1m"),
        (failure_with("stauts = 'x'"), "9: unknown key 'stauts': did you mean status?"),
        (failure_with("status = 1"), "8: status must be a string or a list of strings, not a number"),
        (failure_with("message = '('"), "8: invalid regular expression in message: missing ): ("),
        (failure_with("message = '(?P<name>x)'"), "8: unknown group 'name': groups have no meaning here"),
        (failure_with("final = 'yes'"), "9: final must be true or false, not a string"),
        (
            "[[failure]]\nname = 'x'\npatience = '1s'",
            "1: status and event are missing: set the reasons by which the failure is known",
        ),
        (
            "[[failure]]\nname = 'x'\nstatus = 'y'\nuntil = 'z'\npatience = '1s'",
            "4: until is only allowed together with event",
        ),
        ("[[failure]]\nstatus = 'y'\npatience = '1s'", "1: name is missing: every failure needs one"),
        (
            "[[failure]]\nname = 'crash-lop'\nenabled = false",
            "2: unknown built-in failure 'crash-lop': did you mean crash-loop?",
        ),
        ("[failure]\nname = 'x'", "1: failure must be a list of tables: write [[failure]]"),
        (
            "[[failure]]\nname = 'x'\nstatus = 'y'\npatience = '1s'\n" * 2,
            "6: duplicate name 'x': the failure on line 2 has it",
        ),
    ],
)
def test_a_mistake_in_a_failure_is_reported_with_its_line(text: str, expected: str) -> None:
    assert mistakes(text) == [expected]


@pytest.mark.parametrize(
    "kind, reason, message, name",
    [
        ("Pod", "Failed", 'Failed to pull image "x:1": rpc error', "image-pull"),
        ("Pod", "Failed", "Error: ErrImagePull", "image-pull"),
        ("Pod", "Failed", "Error: ImagePullBackOff", "image-pull"),
        ("Pod", "BackOff", 'Back-off pulling image "x:1"', "image-pull"),
        ("Pod", "ErrImageNeverPull", 'Container image "x:1" is not present with pull policy of Never', "image-pull"),
        ("Pod", "BackOff", "Back-off restarting failed container app in pod web_shop(1)", "crash-loop"),
        ("Pod", "BackOff", "Back-off restarting failed container", "crash-loop"),
        ("Pod", "Failed", 'Error: configmap "conf" not found', "container-config"),
        ("Pod", "FailedScheduling", "0/2 nodes are available: 2 Insufficient cpu.", "scheduling"),
        ("Pod", "FailedMount", 'MountVolume.SetUp failed for volume "a"', "volume"),
        ("ReplicaSet", "FailedCreate", 'pods "a" is forbidden: exceeded quota: small', "replica-refused"),
        ("StatefulSet", "FailedCreate", "create Pod db-0 in StatefulSet db failed error", "pod-refused"),
        ("Job", "BackoffLimitExceeded", "Job has reached the specified backoff limit", "job"),
        ("Pod", "Unhealthy", "Readiness probe failed: connection refused", ""),
        ("Pod", "Failed", "Something else", ""),
    ],
)
def test_the_built_in_failures_read_the_events_of_their_reporters(
    kind: str, reason: str, message: str, name: str
) -> None:
    found = built_in_rules().failures.in_event(kind, reason, message)
    assert (found.name if found is not None else "") == name
