"""The page of a trace as a reader uses it: with a mouse, the keyboard, on a phone, in both schemes, while live."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from kspan.graph import built_in_rules
from kspan.ingest.journal_builder import JournalBatch
from kspan.pipeline.projector import Projector
from kspan.store import open_store
from kspan.store.schema import tables as schema
from tests.browser.chromium import PHONE
from tests.browser.reader import Reader
from tests.browser.serving import serving
from tests.causality.actors import new_pod, new_replicas, rolled_out, run
from tests.causality.cluster import Cluster

Urls = Callable[[str, str], str]


@pytest.fixture
def page(reader: Reader, url_of: Urls) -> Page:
    """The rollback of a rolling update: 61 spans, none failed."""
    return reader.open(url_of("recordings", "trace"))


@pytest.fixture
def crash(reader: Reader, database: Callable[[str], Path], served: Callable[[str], str]) -> Page:
    """A container that crashes again and again."""
    spans = schema.spans.c
    query = select(spans.trace_id).where(spans.reason == "BackOff", spans.object_name.startswith("crash-")).limit(1)
    return reader.open(served("recordings") + "/traces/" + one(database("recordings"), query))


def one(db: Path, query: object) -> str:
    with open_store(str(db), read_only=True) as store, store.reading("look") as connection:
        return str(connection.execute(query).scalar_one())  # type: ignore[call-overload]


def rows(page: Page) -> Locator:
    return page.locator("[data-row]")


def titles(page: Page) -> list[str]:
    """What happened and to what, for each row in sight."""
    found = rows(page).evaluate_all(
        "all => all.sort((a, b) => a.dataset.row - b.dataset.row).map(row => [row.querySelector('.verb').textContent,"
        " row.querySelector('.name').title].join(' '))"
    )
    return [str(title) for title in found]


def selected(page: Page) -> Locator:
    return page.locator("[data-row][aria-selected=true]")


def numbers(page: Page) -> list[int]:
    """The numbers beside the axis: of rows, and of hidden ones."""
    return [
        int(number.replace(",", "")) for number in re.findall(r"[\d,]*\d", page.locator("[data-count]").inner_text())
    ]


def lane(page: Page) -> dict[str, float]:
    box = page.locator("[data-ticks]").bounding_box()
    assert box is not None
    return {"x": box["x"], "y": box["y"], "width": box["width"]}


def test_a_row_says_what_happened_to_what_and_what_changed(page: Page) -> None:
    first = rows(page).first
    expect(first).to_contain_text("Update")
    expect(first.locator(".name")).to_have_text("web")
    expect(first.locator(".note")).to_have_attribute("title", re.compile("web:v2 → .*web:v1"))
    expect(first.locator(".kind")).to_have_text("De")
    expect(first.locator(".bar")).to_be_visible()
    expect(page.get_by_role("treeitem", name="Pod Scheduled").first.locator(".moment")).to_be_visible()
    assert first.get_attribute("aria-level") == "1"


def test_an_event_that_reports_something_is_a_row_of_its_own_only_on_request(page: Page) -> None:
    merged = numbers(page)[0]
    assert not any(title.startswith("ScalingReplicaSet") for title in titles(page))
    page.get_by_label("reports").check()
    assert numbers(page) == [61]
    assert merged < 61
    assert any(title.startswith("ScalingReplicaSet") for title in titles(page))


def test_a_filter_hides_rows_keeps_their_ancestors_and_says_how_many_are_hidden(page: Page) -> None:
    all_rows = numbers(page)[0]
    page.keyboard.press("/")
    expect(page.locator("[data-filter]")).to_be_focused()
    page.keyboard.type("pod.scheduled")
    expect(page.locator("[data-count]")).to_contain_text("hidden")
    shown, hidden = numbers(page)
    assert shown + hidden == all_rows
    verbs = [title.split(" ")[0] for title in titles(page)]
    assert set(verbs) == {"Update", "Create", "Scheduled"}
    assert verbs[0] == "Update"
    page.keyboard.press("Escape")
    assert numbers(page) == [all_rows]


def test_a_filter_that_matches_nothing_says_so(page: Page) -> None:
    page.locator("[data-filter]").fill("no such thing")
    expect(page.get_by_text("No span matches.")).to_be_visible()


def test_components_can_be_hidden(page: Page) -> None:
    button = page.get_by_role("button", name="kubelet")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "false")
    assert len(numbers(page)) == 2
    assert not any(title.startswith("Pulled") for title in titles(page))
    button.click()
    assert len(numbers(page)) == 1


def test_rows_fold_one_by_one_and_all_at_once(page: Page) -> None:
    all_rows = numbers(page)[0]
    page.locator("[data-row='1'] [data-twist]").click()
    assert numbers(page)[0] < all_rows
    expect(page.locator("[data-row='1']")).to_have_attribute("aria-expanded", "false")
    page.locator("[data-row='1'] [data-twist]").click()
    assert numbers(page) == [all_rows]
    page.get_by_role("button", name="Fold all").click()
    assert max(int(row.get_attribute("aria-level") or "9") for row in rows(page).all()) == 2
    page.get_by_role("button", name="Unfold all").click()
    assert numbers(page) == [all_rows]


def test_dragging_in_the_lanes_zooms_and_a_key_shows_everything_again(page: Page) -> None:
    box = lane(page)
    reset = page.get_by_role("button", name="Reset zoom")
    expect(reset).to_be_disabled()
    before = page.locator("[data-ticks]").inner_text()
    page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 120, steps=4)
    page.mouse.up()
    expect(reset).to_be_enabled()
    assert page.locator("[data-ticks]").inner_text() != before
    expect(page.locator("[data-minimap] .brush")).to_be_visible()
    assert page.url.count("#") == 0, "a drag selects no row"
    page.keyboard.press("z")
    expect(reset).to_be_disabled()
    assert page.locator("[data-ticks]").inner_text() == before


def test_the_wheel_with_ctrl_zooms_about_the_pointer(page: Page) -> None:
    box = lane(page)
    x, y = box["x"] + box["width"] * 0.6, box["y"] + 100
    page.mouse.move(x, y)
    at = page.locator(".cursor .at")
    expect(at).to_be_visible()
    before = at.inner_text().split(" · ")[1]
    page.keyboard.down("Control")
    page.mouse.wheel(0, -400)
    page.keyboard.up("Control")
    expect(page.get_by_role("button", name="Reset zoom")).to_be_enabled()
    page.mouse.move(x + 1, y)
    page.mouse.move(x, y)
    after = at.inner_text().split(" · ")[1]
    assert abs(float(after[6:]) - float(before[6:])) < 0.02, "the moment below the pointer stays there"


def test_the_overview_has_a_brush_that_zooms_and_moves(page: Page) -> None:
    box = page.locator("[data-minimap]").bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2

    def drag(start: float, end: float) -> None:
        page.mouse.move(box["x"] + box["width"] * start, y)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * end, y, steps=4)
        page.mouse.up()

    def brush() -> list[float]:
        found = page.locator("[data-minimap] .brush").bounding_box()
        assert found is not None
        return [round((found["x"] - box["x"]) / box["width"], 1), round(found["width"] / box["width"], 1)]

    drag(0.2, 0.5)
    assert brush() == [0.2, 0.3]
    drag(0.3, 0.5)
    assert brush() == [0.4, 0.3]
    page.mouse.dblclick(box["x"] + box["width"] * 0.5, y)
    expect(page.locator("[data-minimap] .brush")).to_be_hidden()


def test_the_keyboard_moves_folds_opens_and_explains_itself(page: Page) -> None:
    page.keyboard.press("j")
    expect(selected(page)).to_have_attribute("data-row", "1")
    page.keyboard.press("ArrowDown")
    expect(selected(page)).to_have_attribute("data-row", "2")
    page.keyboard.press("k")
    page.keyboard.press("ArrowLeft")
    expect(selected(page)).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowRight")
    expect(selected(page)).to_have_attribute("aria-expanded", "true")
    page.keyboard.press("ArrowRight")
    expect(selected(page)).to_have_attribute("data-row", "2")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    expect(selected(page)).to_have_attribute("data-row", "1")
    page.keyboard.press("Enter")
    expect(page.locator("[data-panel]")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("[data-panel]")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(page.get_by_role("dialog")).to_contain_text("next, previous error")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_e_goes_from_error_to_error(crash: Page) -> None:
    crash.keyboard.press("e")
    first = crash.url
    expect(selected(crash)).to_have_class(re.compile(r"\berror\b"))
    expect(crash.locator("[data-panel] .message").first).to_be_visible()
    crash.keyboard.press("e")
    assert crash.url != first
    expect(selected(crash)).to_have_class(re.compile(r"\berror\b"))
    crash.keyboard.press("Shift+E")
    assert crash.url == first


def test_errors_only_leaves_errors_and_their_ancestors(crash: Page) -> None:
    crash.get_by_label("errors only").check()
    found = rows(crash).all()
    assert 0 < len(found) < 40
    last = found[-1]
    expect(last).to_have_class(re.compile(r"\berror\b"))


def test_the_details_show_the_change_the_cause_and_how_certain_it_is(page: Page) -> None:
    rows(page).first.click()
    panel = page.locator("[data-panel]")
    expect(panel.get_by_role("heading", name="Deployment.Update")).to_be_visible()
    expect(panel.locator(".diff .remove")).to_have_text("\u2212 registry.example.com/shop/web:v2")
    expect(panel.locator(".diff .add")).to_have_text("+ registry.example.com/shop/web:v1")
    expect(panel.locator(".because")).to_contain_text("a person or a tool changed it")
    page.get_by_role("treeitem", name="Create web-").first.click()
    because = panel.locator(".because")
    expect(because.locator(".reference").first).to_contain_text("Update")
    expect(because).to_contain_text("reported by")
    expect(because).to_contain_text("SuccessfulCreate")
    expect(because.locator("meter")).to_have_attribute("title", re.compile(r"confidence 0\.\d\d, rule owner"))
    because.locator(".reference").first.click()
    expect(panel.get_by_role("heading", name="ReplicaSet.Update")).to_be_visible()
    expect(selected(page)).to_contain_text("Update")


def test_attributes_can_be_searched(page: Page) -> None:
    rows(page).first.click()
    panel = page.locator("[data-panel]")
    panel.get_by_label("Search attributes").fill("resource_version")
    assert panel.locator(".attributes dt:visible").all_inner_texts() == ["k8s.object.resource_version"]


def test_the_selected_span_is_in_the_address_and_back_returns_to_it(page: Page, reader: Reader) -> None:
    rows(page).nth(3).click()
    third = page.url
    rows(page).nth(5).click()
    assert page.url != third
    page.go_back()
    expect(selected(page)).to_have_attribute("data-row", "3")
    page.go_forward()
    expect(selected(page)).to_have_attribute("data-row", "5")
    again = reader.open(third)
    expect(selected(again)).to_have_attribute("data-row", "3")


def test_a_link_to_an_event_that_reports_something_selects_its_row(
    page: Page, reader: Reader, database: Callable[[str], Path]
) -> None:
    trace_id = page.url.rsplit("/", 1)[1]
    spans = schema.spans.c
    query = select(spans.span_id).where(spans.trace_id == trace_id, spans.reason == "SuccessfulCreate").limit(1)
    opened = reader.open(f"{page.url}#{one(database('recordings'), query)}")
    expect(opened.locator("[data-panel]").get_by_role("heading", name="ReplicaSet.SuccessfulCreate")).to_be_visible()
    expect(opened.locator("[data-panel] .because")).to_contain_text("reports")
    expect(selected(opened)).to_contain_text("Create")


def test_a_link_leads_to_the_trace_before_an_episode_and_back(
    reader: Reader, database: Callable[[str], Path], served: Callable[[str], str]
) -> None:
    query = select(schema.traces.c.trace_id).where(schema.FOLLOWING).limit(1)
    episode = served("recordings") + "/traces/" + one(database("recordings"), query)
    page = reader.open(episode)
    page.locator(".facts").get_by_role("link").first.click()
    expect(page.locator("[data-rows][aria-busy=false] [data-row]").first).to_be_visible()
    assert page.url != episode
    page.locator(".facts").get_by_text("continued by").get_by_role("link").click()
    page.wait_for_url(episode)


def test_the_critical_path_dims_what_the_end_did_not_wait_for(page: Page) -> None:
    assert page.locator(".row.aside").count() == 0
    page.get_by_label("critical path").check()
    on = page.locator("[data-row]:not(.aside)")
    assert page.locator(".row.aside").count() > 0
    assert on.count() > 3
    expect(on.first.locator(".path").first).to_be_visible()


def test_equal_rows_are_one_until_it_is_unfolded_and_only_rows_in_sight_are_elements(
    reader: Reader, url_of: Urls
) -> None:
    page = reader.open(url_of("spans-2000", "trace"))
    group = page.locator("[data-row]", has_text="400\u00d7 Create")
    expect(group).to_be_visible()
    assert numbers(page)[0] < 20
    group.click()
    expect(page.locator("[data-panel]").get_by_role("heading", name="400\u00d7 Pod.Create")).to_be_visible()
    page.keyboard.press("ArrowRight")
    assert numbers(page)[0] > 1_000
    assert rows(page).count() < 80
    page.keyboard.press("End")
    expect(selected(page)).to_be_visible()
    assert rows(page).count() < 80
    assert titles(page)[-1] != titles(page)[0]


def test_a_span_in_a_closed_group_is_shown_when_a_link_names_it(
    reader: Reader, url_of: Urls, database: Callable[[str], Path]
) -> None:
    spans = schema.spans.c
    query = select(spans.span_id).where(spans.object_name.endswith("-00321"), spans.reason == "Started")
    page = reader.open(f"{url_of('spans-2000', 'trace')}#{one(database('spans-2000'), query)}")
    expect(selected(page)).to_be_in_viewport()
    expect(selected(page)).to_contain_text("Started")


def test_an_address_with_an_unknown_span_shows_the_root(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("recordings", "trace") + "#0123456789abcdef")
    expect(selected(page)).to_have_attribute("data-row", "0")
    expect(page.locator("[data-panel]").get_by_role("heading", name="Deployment.Update")).to_be_visible()


def test_the_line_between_names_and_lanes_can_be_dragged_and_stays_there(page: Page) -> None:
    box = lane(page)
    page.mouse.move(box["x"], box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 120, box["y"] + 200, steps=4)
    page.mouse.up()
    assert lane(page)["x"] == pytest.approx(box["x"] + 120, abs=6)
    page.reload()
    expect(page.locator("[data-rows][aria-busy=false] [data-row]").first).to_be_visible()
    assert lane(page)["x"] == pytest.approx(box["x"] + 120, abs=6)


def test_times_follow_the_zone_of_the_reader(page: Page) -> None:
    rows(page).first.click()
    start = page.locator("[data-panel] .pairs dd").first
    expect(start).to_have_text("2026-11-22 10:25:49.727")
    page.get_by_role("button", name="UTC", exact=True).click()
    expect(start).to_have_text("2026-11-22 11:25:49.727")
    expect(page.locator(".facts time").first).to_have_text("2026-11-22 11:25:49")


def test_on_a_phone_the_details_are_a_sheet_from_below(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("recordings", "trace"), viewport=PHONE, is_mobile=True, has_touch=True)
    panel = page.locator("[data-panel]")
    expect(panel).to_be_hidden()
    rows(page).nth(4).tap()
    expect(panel).to_be_visible()
    box = panel.bounding_box()
    assert box is not None
    assert (box["x"], round(box["width"]), round(box["y"] + box["height"])) == (0, PHONE["width"], PHONE["height"])
    row = selected(page).bounding_box()
    assert row is not None
    assert row["y"] + row["height"] <= box["y"], "the row stays in sight"
    panel.get_by_label("Close the details").tap()
    expect(panel).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_bars_and_words_stand_out_in_both_schemes(reader: Reader, url_of: Urls, scheme: str) -> None:
    page = reader.open(url_of("recordings", "trace"), color_scheme=scheme)
    colors = page.evaluate("""() => {
        const light = color => {
            const canvas = new OffscreenCanvas(1, 1).getContext("2d");
            canvas.fillStyle = color;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).reduce((a, b) => a + b) / 765;
        };
        const of = (selector, name) => light(getComputedStyle(document.querySelector(selector))[name]);
        const page = of(".trace", "backgroundColor");
        return {page, bar: of(".row .bar", "backgroundColor"), ink: of(".verb", "color")};
    }""")
    assert (colors["page"] > 0.8) is (scheme == "light")
    assert abs(colors["page"] - colors["ink"]) > 0.6
    assert abs(colors["page"] - colors["bar"]) > 0.25


def test_without_a_script_the_spans_are_a_nested_list(reader: Reader, url_of: Urls) -> None:
    page = reader.open(url_of("recordings", "trace"), java_script_enabled=False)
    items = page.locator(".spans li")
    assert items.count() == 61
    expect(items.first).to_contain_text("Update")
    expect(items.first.locator("li").first).to_be_visible()
    expect(page.locator("[data-rows]")).to_be_hidden()


@pytest.fixture
def live(tmp_path: Path) -> Iterator[tuple[str, Callable[[], None]]]:
    """The address of an open trace, and what makes it grow."""
    db = tmp_path / "live.sqlite"
    c = Cluster()
    web, _, _ = rolled_out(c, "web", 1)
    c.first_list()
    c.update(web, image="registry.example.com/web:v2")
    rs = new_replicas(c, web, "web-2", 2)
    run(c, new_pod(c, rs, "web-2-first"))
    written = 0

    def write() -> None:
        nonlocal written
        c.wait(6)
        c.create("ConfigMap", f"time-passes-{written}", by="kubectl-create")
        c.receive_all()
        with open_store(str(db)) as store:
            projector = Projector(store, "live", built_in_rules())
            projector.add(JournalBatch([record]) for record in c.records[written:])
            projector.flush()
        written = len(c.records)

    def grow() -> None:
        run(c, new_pod(c, rs, "web-2-second"))
        write()

    write()
    trace_id = one(db, select(schema.spans.c.trace_id).where(schema.spans.c.object_name == "web-2-first").limit(1))
    with serving(db) as address:
        yield f"{address}/traces/{trace_id}", grow


def test_an_open_trace_grows_and_keeps_what_is_selected_and_folded(
    live: tuple[str, Callable[[], None]], reader: Reader
) -> None:
    address, grow = live
    page = reader.open(address)
    expect(page.locator(".facts")).to_contain_text("still open")
    first = page.locator("[data-row]", has_text="Createweb-2-first")
    first.locator("[data-twist]").click()
    first.click()
    spans = page.locator(".facts").inner_text()
    grow()
    expect(page.locator("[data-row]", has_text="Createweb-2-second")).to_be_visible()
    expect(selected(page)).to_contain_text("web-2-first")
    expect(first).to_have_attribute("aria-expanded", "false")
    expect(page.locator(".facts")).not_to_have_text(spans)
