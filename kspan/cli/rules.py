"""``kspan rules check`` and ``list``."""

import sys

from kspan.cli.common import load_rules, read_rules_file
from kspan.cli.output import check_format, write_rows
from kspan.graph import Rule, built_in_rules, check_rules


def run_check(path: str) -> int:
    """0 where a rules file is right; 2, with a line for each mistake, where it is not."""
    base = built_in_rules()
    rules, mistakes = check_rules(read_rules_file(path), base)
    source = "<stdin>" if path == "-" else path
    for mistake in mistakes:
        print(f"{source}:{mistake.line}: {mistake.problem}")
    if mistakes:
        several = "s" if len(mistakes) > 1 else ""
        print(f"kspan: error: {source}: {len(mistakes)} mistake{several}", file=sys.stderr)
        return 2
    old, new = ({rule.name: rule for rule in found.rules} for found in (base, rules))
    added, gone = len(new.keys() - old.keys()), len(old.keys() - new.keys())
    changed = sum(old[name] is not new[name] for name in old.keys() & new.keys())
    print(
        f"{source}: ok: {len(new)} rules ({added} added, {changed} overridden, {gone} disabled, "
        f"{len(old) - changed - gone} built-in unchanged)"
    )
    return 0


def run_list(path: str | None, output: str) -> None:
    """Prints the rules as they are in force; a table only what of them fits in one."""
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
