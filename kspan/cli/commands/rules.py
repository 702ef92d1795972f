"""``kspan rules check``, ``list`` and ``explain``."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from kspan.cli.common import load_rules, progress_bar, read_rules_file
from kspan.cli.render.table import check_format, write_rows
from kspan.cli.render.values import encode_json
from kspan.graph import Rule, Rules, built_in_rules, check_rules
from kspan.terminal.counted import counted

if TYPE_CHECKING:
    from kspan.query.rules.unmatched_events import Explained, Group


def run_check(path: str) -> int:
    """Check a rules file and print its mistakes. Return 0 if it is valid, else 2."""
    base = built_in_rules()
    rules, mistakes = check_rules(read_rules_file(path), base)
    source = "<stdin>" if path == "-" else path

    from kspan.terminal.text import harmless

    for mistake in mistakes:
        print(harmless(f"{source}:{mistake.line}: {mistake.problem}"))
    if mistakes:
        print(f"kspan: error: {source}: {counted(len(mistakes), 'mistake')}", file=sys.stderr)
        return 2
    old, new = ({rule.name: rule for rule in found.rules} for found in (base, rules))
    added, disabled = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    changed = sum(old[name] is not new[name] for name in old.keys() & new.keys())
    print(
        f"{source}: ok: {counted(len(new), 'rule')} ({added} added, {changed} overridden, {disabled} disabled, "
        f"{len(old) - changed - disabled} built-in unchanged)"
    )
    return 0


def run_list(path: str | None, output: str) -> None:
    """Print the rules in their order; a table shows only the most important fields."""
    check_format(output)
    rules, built_in = load_rules(path), {id(rule) for rule in built_in_rules().rules}
    sources = ("built-in" if id(rule) in built_in else path for rule in rules.rules)
    if output == "table":
        columns = ["name", "component", "kind", "reason", "means", "subject", "from"]
        rows = [[*_cells(rule), source] for rule, source in zip(rules.rules, sources, strict=True)]
    else:
        columns = [*Rule.__struct_fields__, "from"]
        rows = [[*rule.as_row().values(), source] for rule, source in zip(rules.rules, sources, strict=True)]
    write_rows(columns, rows, output, noun="rule")


def _cells(rule: Rule) -> list[str]:
    subject = rule.subject or (f"<{rule.subject_from}>" if rule.subject_from else "<kind>")
    if rule.means == "explains":
        subject = f"<{rule.after}>"
    return [rule.name, *map(_first, (rule.component, rule.kind, rule.reason)), rule.means, subject]


def _first(names: tuple[str, ...]) -> str:
    more = f" +{len(names) - 1}" if len(names) > 1 else ""
    return names[0] + more if names else "*"


def run_explain(files: Sequence[str], path: str | None, output: str, *, skip_bad: bool, progress: bool) -> None:
    """Print the Events that no rule matches: as a rules file to start from, or as JSON."""
    check_format(output, ("toml", "json"))
    rules = load_rules(path)

    from kspan.errors import InputError
    from kspan.ingest.files.open import read_frames, total_size
    from kspan.pipeline.replay import replay
    from kspan.query.rules.unmatched_events import explain
    from kspan.store import open_store

    def on_skip(error: InputError) -> None:
        print(f"kspan: skipped: {error}", file=sys.stderr)

    with open_store("sqlite://") as store, progress_bar("reading", total_size(files), shown=progress) as advance:
        frames = read_frames(files, skip_bad=skip_bad, on_progress=advance, on_skip=on_skip)
        done = replay(store, frames, rules, on_bad=on_skip if skip_bad else None)
        found = explain(store, done.cluster, rules)
    if output == "json":
        sys.stdout.write(encode_json([_as_json(group) for group in found.groups]).decode() + "\n")
    else:
        _print_toml(found, rules)
    print(f"kspan: {_summary(found)}", file=sys.stderr)
    if found.events and not found.objects:
        print(f"kspan: {_NO_OBJECTS}", file=sys.stderr)


_NO_OBJECTS = (
    "warning: the input has only Events, no objects: which changes they report is a guess ('kspan record' records "
    "objects as well, and 'kubectl get … -o json --show-managed-fields' prints them)"
)


def _as_json(group: "Group") -> dict[str, object]:
    return {name: getattr(group, name) for name in group.__struct_fields__}


def _summary(found: "Explained") -> str:
    from kspan.query.rules.unmatched_events import Need

    fine = sum(group.count for group in found.groups if group.need in (Need.MENTIONS, Need.NOTHING))
    open_ = found.events - found.matched - fine
    return (
        f"{counted(found.events, 'occurrence')} of Events: {found.matched} match a rule, {fine} need none (their cause "
        f"is a change of their own object), {open_} could use one"
    )


def _print_toml(found: "Explained", rules: Rules) -> None:
    """Print rules, and everything else as comments. A rule is omitted if an earlier rule matches its Events."""
    from kspan.query.rules.unmatched_events import Need

    text, names = "", {rule.name for rule in rules.rules}
    for need in Need:
        groups = [group for group in found.groups if group.need is need]
        if groups:
            print(f"# {_HEADINGS[need]}\n")
        for group in groups:
            print(_comment(group))
            rule = _with_unused_name(group.rule, names)
            if rule and not check_rules(text + rule, built_in_rules())[1]:
                text += rule
                print(rule)
            elif rule:
                print("# A rule above matches it too.\n")
        if groups and not any(group.rule for group in groups):
            print()


_HEADINGS = {
    "joins": "These name another object, whose change at that time is in another trace: a rule would join the traces.",
    "refines": "These name another object, whose change at that time is in the same trace: a rule would put it below.",
    "lost": "These have no known cause: a rule can name it.",
    "mentions": "These name another object that did not change at that time: they need no rule.",
    "nothing": "These are caused by changes of their own object: they need no rule.",
}


def _comment(group: "Group") -> str:
    from kspan.terminal.text import harmless

    head = f"# {group.count} x  {group.component}  {group.kind}.{group.reason}"
    lines = [head, f"#   {group.shape}"] + ([f"#   example: {group.example[:300]}"] if group.rule else [])
    return "\n".join(harmless(line) for line in lines)


def _with_unused_name(rule: str, names: set[str]) -> str:
    """Return the rule with a number behind its name if another rule has the name."""
    if not rule:
        return ""
    line = rule.splitlines()[1]
    name = line.removeprefix('name = "').removesuffix('"')
    free, number = name, 1
    while free in names:
        number += 1
        free = f"{name}-{number}"
    names.add(free)
    return rule.replace(line, f'name = "{free}"', 1)
