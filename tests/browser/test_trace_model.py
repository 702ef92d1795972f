"""What the script of the page of a trace computes: rows, groups, filters, folding, the critical path, the axis.

The modules run in the browser, on traces that the tests make up.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Page

from kspan.query.waterfall.columns import CHANGE, ERROR, EVENT
from tests.browser.reader import Reader

_MODULES = """async ([data, body]) => {
    const model = await import("/static/trace-model.js");
    const tree = await import("/static/trace-tree.js");
    const view = await import("/static/trace-view.js");
    const {Spans} = model;
    const {Tree, applied, criticalPath, filterOf, nextError, placesOf, rowsOf} = tree;
    const spans = data && new Spans(data);
    const id = number => number < 0 ? "" : spans.ids[number];
    const text = row => row.members ? `${row.members.length}x ${spans.text("reason", row.node)}` : id(row.node);
    const lines = rows => rows.map(row => "  ".repeat(row.level - 1) + text(row));
    const tools = {...model, ...tree, ...view, spans, id, lines};
    return questions[body](tools);
}"""

QUESTIONS = """
const drawn = (t, options = {}, filter = null, merge = true) => {
    const tree = new t.Tree(t.spans, {reports: !merge});
    const {shown, hidden} = t.applied(tree, filter);
    const sets = {...options, folded: new Set(options.folded), opened: new Set(options.opened)};
    return {tree, rows: t.rowsOf(tree, shown, sets), shown, hidden};
};
const questions = {
    rows: t => t.lines(drawn(t).rows),
    separate: t => t.lines(drawn(t, {}, null, false).rows),
    all: t => t.lines(drawn(t, {collapse: false}).rows),
    folded: t => t.lines(drawn(t, {folded: ["b"]}).rows),
    opened: t => { const {rows} = drawn(t); const keys = rows.filter(row => row.key).map(row => row.key);
        return t.lines(drawn(t, {opened: keys}).rows); },
    filtered: t => { const found = drawn(t, {collapse: false}, t.filterOf({text: "pulled node-a"}));
        return [t.lines(found.rows), found.hidden]; },
    errors: t => { const found = drawn(t, {collapse: false}, t.filterOf({errors: true}));
        return [t.lines(found.rows), found.hidden]; },
    without: t => t.lines(drawn(t, {collapse: false}, t.filterOf({hidden: new Set(["kubelet"])})).rows),
    nothing: t => t.filterOf({text: "  "}),
    path: t => { const {tree} = drawn(t); const found = t.criticalPath(tree);
        return Object.fromEntries([...found.parts].map(([node, parts]) => [t.id(node), parts])); },
    next: t => { const {tree, shown} = drawn(t); const step = by => from => t.nextError(tree, shown, from, by);
        const found = []; for (let at = -1; (at = step(1)(at)) >= 0;) found.push(t.id(at));
        for (let at = -1; (at = step(-1)(at)) >= 0;) found.push(t.id(at)); return found; },
    places: t => { const {tree, rows} = drawn(t); return [...t.placesOf(tree, rows)]; },
    reported: t => { const {tree} = drawn(t);
        return [...tree.reportedBy].map(([node, events]) => [t.id(node), events.map(t.id)]); },
    ticks: t => [[0, 3500, 6], [0, 0.004, 4], [0, 90_000, 5], [1000, 1010, 5]].map(each => t.ticks(...each)),
    since: t => [[0, 1], [250, 50], [1500, 500], [65_000, 5000], [3_720_000, 60_000], [1234.6, 0.5]].map(
        each => t.since(...each)),
    view: t => { const view = new t.View(0, 1000); view.zoom(0.5, 250); const zoomed = [view.from, view.to];
        const still = view.moment(view.place(250)); view.move(1e9); const end = view.to === view.last;
        view.zoom(1e9, 0); return [zoomed, still, end, view.isWhole]; },
};
"""


def span(
    name: str,
    parent: str = "",
    *,
    what: str = "Pod.Create",
    on: str = "web-0",
    by: str = "kubelet",
    start: float = 0,
    end: float = 0,
    rule: str = "own",
    error: bool = False,
    note: str = "",
    message: str = "",
) -> dict[str, Any]:
    kind, reason = what.split(".")
    change = reason in ("Create", "Update", "Delete")
    flags = (CHANGE if change else EVENT) + (ERROR if error else 0)
    texts = {"kind": kind, "reason": reason, "service": by, "rule": rule, "name": on, "namespace": "shop"}
    texts |= {"container": "", "note": note, "message": message}
    return {"id": name, "parent": parent, "start": start, "end": max(start, end), "flags": flags, "texts": texts}


def data(spans: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The columns of spans, as rows.json has them."""
    texts = [""]
    for each in spans:
        texts += [text for text in each["texts"].values() if text not in texts]
    places = {each["id"]: number for number, each in enumerate(spans)}
    columns: dict[str, Any] = {key: [texts.index(each["texts"][key]) for each in spans] for key in spans[0]["texts"]}
    return columns | {
        "trace_id": "t",
        "open": False,
        "root": spans[0]["id"],
        "begin": 1_800_000_000_000,
        "length": max(each["end"] for each in spans),
        "total": len(spans),
        "texts": texts,
        "id": [each["id"] for each in spans],
        "parent": [places.get(each["parent"], -1) for each in spans],
        "start": [each["start"] for each in spans],
        "end": [each["end"] for each in spans],
        "confidence": [95] * len(spans),
        "flags": [each["flags"] for each in spans],
        "counts": [],
        "marks": [],
    }


@pytest.fixture
def page(reader: Reader, served: Callable[[str], str]) -> Page:
    return reader.open(served("recordings") + "/why")


def ask(page: Page, question: str, spans: Sequence[dict[str, Any]] = ()) -> Any:
    body = _MODULES.replace("return questions", QUESTIONS + "return questions")
    return page.evaluate(body, [data(spans) if spans else None, question])


ROLLOUT = [
    span("a", what="Deployment.Update", on="web", by="kubectl", end=900),
    span("r", "a", what="Deployment.ScalingReplicaSet", on="web", by="deployment-controller", start=10),
    span("b", "r", what="ReplicaSet.Update", on="web-1", by="deployment-controller", start=10, end=800, rule="subject"),
    span("s", "b", what="ReplicaSet.SuccessfulCreate", on="web-1", by="replicaset-controller", start=20),
    span("c", "s", what="Pod.Create", on="web-1-x", by="replicaset-controller", start=20, end=700, rule="subject"),
    span("d", "c", what="Pod.Scheduled", on="web-1-x", by="default-scheduler", start=30),
    span("e", "c", what="Pod.Pulled", on="web-1-x", start=400, message="Image present on node-a"),
    span("f", "c", what="Pod.Ready", on="web-1-x", start=700),
]


def test_an_event_and_what_it_reports_about_another_object_are_one_row(page: Page) -> None:
    assert ask(page, "rows", ROLLOUT) == ["a", "  b", "    c", "      d", "      e", "      f"]
    assert ask(page, "reported", ROLLOUT) == [["b", ["r"]], ["c", ["s"]]]
    assert ask(page, "separate", ROLLOUT) == [
        "a",
        "  r",
        "    b",
        "      s",
        "        c",
        "          d",
        "          e",
        "          f",
    ]


@pytest.mark.parametrize(
    "other",
    [
        span("c", "s", what="Pod.Create", on="web-1-x", by="replicaset-controller", start=20, rule="owner"),
        span("c", "s", what="Pod.Create", on="web-1-x", by="job-controller", start=20, rule="subject"),
        span("c", "s", what="Pod.Failed", on="web-1-x", by="replicaset-controller", start=20, rule="subject"),
        span("c", "s", what="ReplicaSet.Update", on="web-1", by="replicaset-controller", start=20, rule="subject"),
    ],
    ids=["another rule", "another component", "an Event", "the same object"],
)
def test_an_event_and_something_else_are_two_rows(page: Page, other: dict[str, Any]) -> None:
    report = span("s", what="ReplicaSet.SuccessfulCreate", on="web-1", by="replicaset-controller")
    assert ask(page, "rows", [report, other]) == ["s", "  c"]


def test_other_effects_of_a_report_stay_below_the_merged_row(page: Page) -> None:
    more = span("g", "s", what="Pod.Evicted", on="web-1-y", start=15, rule="own")
    assert ask(page, "rows", [*ROLLOUT, more])[:5] == ["a", "  b", "    c", "      g", "      d"]


def pulls(count: int, *, error: bool = False, note: str = "", message: str = "") -> list[dict[str, Any]]:
    return [
        span(f"p{i}", "c", what="Pod.Pulled", on=f"web-{i}", start=i + 1, error=error, note=note, message=message)
        for i in range(count)
    ]


def test_equal_siblings_are_one_row_until_it_is_opened(page: Page) -> None:
    root = span("c", end=99)
    ready = span("x", "c", what="Pod.Ready", start=3)
    assert ask(page, "rows", [root, *pulls(2)]) == ["c", "  p0", "  p1"]
    assert ask(page, "rows", [root, *pulls(7), ready]) == ["c", "  7x Pulled", "  x"]
    assert ask(page, "opened", [root, *pulls(3)]) == ["c", "  3x Pulled", "    p0", "    p1", "    p2"]
    assert ask(page, "all", [root, *pulls(3)]) == ["c", "  p0", "  p1", "  p2"]
    assert ask(page, "places", [root, *pulls(3)]) == [0, 1, 1, 1]


def test_failures_and_what_changed_something_else_are_not_in_a_group_with_others(page: Page) -> None:
    root = span("c", end=99)
    failed = [{**each, "id": f"f{i}"} for i, each in enumerate(pulls(3, error=True))]
    other = [{**each, "id": f"n{i}"} for i, each in enumerate(pulls(2, note="replicas: 1 → 2"))]
    rows = ask(page, "rows", [root, *pulls(3), *failed, *other])
    assert rows == ["c", "  3x Pulled", "  3x Pulled", "  n0", "  n1"]
    third = {**pulls(1, error=True, message="another reason")[0], "id": "g"}
    assert ask(page, "rows", [root, *failed[:2], third]) == ["c", "  f0", "  f1", "  g"]
    said = {**pulls(1, message="in other words")[0], "id": "g"}
    assert ask(page, "rows", [root, *pulls(2), said]) == ["c", "  3x Pulled"]


def test_siblings_with_effects_are_a_group_only_if_they_are_many_and_nothing_failed_below(page: Page) -> None:
    root = span("c", what="ReplicaSet.Create", on="web", end=99)

    def pods(count: int) -> list[dict[str, Any]]:
        return [
            each
            for i in range(count)
            for each in (
                span(f"p{i}", "c", on=f"web-{i}", start=i + 1),
                span(f"q{i}", f"p{i}", what="Pod.Pulled", on=f"web-{i}", start=i + 2, error=i == 1),
            )
        ]

    assert len(ask(page, "rows", [root, *pods(5)])) == 11
    assert ask(page, "rows", [root, *pods(10)]) == ["c", "  9x Create", "  p1", "    q1"]


def test_a_folded_row_hides_what_is_below_it(page: Page) -> None:
    assert ask(page, "folded", ROLLOUT) == ["a", "  b"]


def test_a_filter_hides_rows_keeps_ancestors_and_counts(page: Page) -> None:
    assert ask(page, "filtered", ROLLOUT) == [["a", "  b", "    c", "      e"], 2]
    failing = [*ROLLOUT, span("z", "b", what="Pod.Failed", error=True, start=800)]
    assert ask(page, "errors", failing) == [["a", "  b", "    z"], 4]
    assert ask(page, "without", ROLLOUT) == ["a", "  b", "    c", "      d"]
    assert ask(page, "nothing", ROLLOUT) is None


def test_errors_are_visited_in_the_order_of_rows_in_both_directions(page: Page) -> None:
    root = span("c", end=99)
    spans = [
        root,
        span("x", "c", what="Pod.Failed", start=1, error=True),
        span("y", "c", what="Pod.Pulled", start=2),
        span("z", "y", what="Pod.BackOff", start=3, error=True),
    ]
    assert ask(page, "next", spans) == ["x", "z", "z", "x"]


def test_the_critical_path_has_the_steps_that_the_end_waited_for_and_no_others(page: Page) -> None:
    path = ask(page, "path", [*ROLLOUT, span("w", "b", what="Pod.Delete", on="old", start=300, end=500)])
    assert path.keys() == {"a", "b", "c", "d", "e", "f"}
    assert path["a"] == [[0, 10], [800, 900]]
    assert path["b"] == [[10, 20], [700, 800]]
    assert path["c"] == [[20, 30], [30, 400], [400, 700]]
    assert path["f"] == [[700, 700]]
    parts = sorted(part for parts in path.values() for part in parts if part[0] < part[1])
    assert parts[0][0] == 0
    assert parts[-1][1] == 900
    assert all(first[1] == second[0] for first, second in pairwise(parts)), "no gap, no overlap"


def test_a_cycle_of_causes_is_drawn_once(page: Page) -> None:
    spans = [span("a", "b"), span("b", "a", start=1), span("c", "b", start=2)]
    assert ask(page, "rows", spans) == ["a", "  b", "    c"]


def test_the_axis_has_round_moments_and_exact_words(page: Page) -> None:
    assert ask(page, "ticks") == [
        [0, 1000, 2000, 3000],
        pytest.approx([0, 0.001, 0.002, 0.003, 0.004]),
        [0, 30_000, 60_000, 90_000],
        [1000, 1002, 1004, 1006, 1008, 1010],
    ]
    assert ask(page, "since") == ["0", "250ms", "1.5s", "1m05s", "1h02m", "1.235s"]


def test_zooming_keeps_the_moment_and_stays_within_the_trace(page: Page) -> None:
    (start, end), still, at_end, whole = ask(page, "view")
    assert (start, end) == (pytest.approx(119, abs=1), pytest.approx(631, abs=1))
    assert still == pytest.approx(250)
    assert at_end
    assert whole
