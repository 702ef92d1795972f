// The page of a trace: keeps rows, overview, details, address and keyboard together.

import { inCluster } from "./cluster.js";
import { colorOf } from "./colors.js";
import { readAgain } from "./live.js";
import { make } from "./trace-dom.js";
import { Minimap } from "./trace-minimap.js";
import { servicesOf, Spans } from "./trace-model.js";
import { followTrace } from "./trace-news.js";
import { Panel } from "./trace-panel.js";
import { Pointer } from "./trace-pointer.js";
import { Rows } from "./trace-rows.js";
import { applied, criticalPath, filterOf, nextError, placesOf, rowsOf, Tree } from "./trace-tree.js";
import { since, ticks, View } from "./trace-view.js";

const TICK_PX = 84;
const TYPING_MS = 120;

const find = (name) => document.querySelector(`[data-${name}]`);
const stage = find("trace");
const scroller = find("rows");
const filterField = find("filter");
const help = find("help");
const axis = find("ticks");
const grid = find("grid");
const lines = make("div", "lines");
grid.append(lines);

const options = { errors: false, reports: false, collapse: true, critical: false };
const hiddenServices = new Set();
const folded = new Set();
const opened = new Set();

let spans = new Spans(JSON.parse(document.getElementById("columns").textContent));
let tree = new Tree(spans);
let rows = [];
let places = new Int32Array(0);
let kept = applied(tree, null);
let selected = -1;
let selectedGroup = "";
let tag = "";

const view = new View(spans.first, spans.last);
const list = new Rows(scroller, axis, view);
const minimap = new Minimap(find("minimap"), view, () => zoomed());
const pointer = new Pointer({
  stage,
  scroller,
  layer: find("over"),
  view,
  actions: { begin: () => spans.begin, zoomed: () => zoomed(), resized: () => measure() },
});
const panel = new Panel(find("panel"), { select: (span) => select(span), close: () => closePanel() });

// What is shown

function rebuild() {
  tree = new Tree(spans, { reports: options.reports });
  arrange();
}

function arrange() {
  const filter = filterOf({ errors: options.errors, text: filterField.value, hidden: hiddenServices });
  kept = applied(tree, filter);
  rows = rowsOf(tree, kept.shown, { collapse: options.collapse, folded, opened });
  places = placesOf(tree, rows);
  list.selected = selectedRow();
  list.show(tree, rows, options.critical ? criticalPath(tree) : null);
  minimap.show(tree, kept.shown);
  count();
}

function count() {
  const parts = [`${rows.length.toLocaleString("en")} row${rows.length === 1 ? "" : "s"}`];
  if (kept.hidden) parts.push(`${kept.hidden.toLocaleString("en")} hidden`);
  if (spans.count < spans.total) parts.push(`${spans.count.toLocaleString("en")} of ${spans.total.toLocaleString("en")} spans so far`);
  find("count").textContent = parts.join(", ");
  const nothing = find("nothing");
  nothing.hidden = rows.length > 0;
  nothing.textContent = spans.count ? "No span matches. Esc clears the filter." : "This trace has no spans.";
}

function zoomed() {
  find("do='reset'").disabled = view.isWhole;
  drawAxis();
  list.redraw();
  minimap.mark();
}

function drawAxis() {
  const found = ticks(view.from, view.to, axis.clientWidth / TICK_PX);
  const step = found.length > 1 ? found[1] - found[0] : view.length;
  axis.replaceChildren();
  lines.replaceChildren();
  for (const ms of found) {
    const left = `${view.place(ms) * 100}%`;
    const line = make("i", "line");
    line.style.left = left;
    lines.append(line);
    if (view.place(ms) > 1 - 30 / Math.max(axis.clientWidth, 1)) continue;
    const text = make("span", "", since(ms, step));
    text.style.left = left;
    axis.append(text);
  }
}

function measure() {
  stage.style.setProperty("--gutter", `${scroller.offsetWidth - scroller.clientWidth}px`);
  drawAxis();
  list.resize();
}

// Selection

function selectedRow() {
  if (selectedGroup) return rows.findIndex((row) => row.key === selectedGroup);
  return selected < 0 ? -1 : places[tree.node[selected]];
}

/** Selects a span: shows its row and details, and puts it into the address. */
function select(span, { push = true, focus = false } = {}) {
  selected = span;
  selectedGroup = "";
  reveal(span);
  list.select(selectedRow());
  openPanel(focus);
  panel.show(tree, span);
  list.reveal(list.selected, { center: true });
  const hash = `#${spans.ids[span]}`;
  if (location.hash !== hash) history[push ? "pushState" : "replaceState"](null, "", hash);
}

function selectRow(index, how) {
  const row = rows[index];
  if (!row) return;
  if (!row.members) {
    select(row.node, how);
    return;
  }
  selected = row.node;
  selectedGroup = row.key;
  list.select(index);
  openPanel(how?.focus);
  panel.showGroup(tree, row);
  list.reveal(index);
}

/** Unfolds and opens what hides a span; clears the filter if that hides it. */
function reveal(span) {
  const node = tree.node[span];
  if (!kept.shown[node]) clearFilter();
  const path = [node, ...tree.ancestors(node)].reverse();
  for (const up of path) {
    const row = rows[places[up]];
    if (row?.members && !row.isOpen) {
      opened.add(row.key);
      arrange();
    }
    if (up !== node && folded.delete(spans.ids[up])) arrange();
  }
}

function clearFilter() {
  filterField.value = "";
  options.errors = false;
  find("option='errors'").checked = false;
  hiddenServices.clear();
  drawLegend();
  arrange();
}

// On a phone, the details are a sheet above the rows.
list.covered = () => {
  const sheet = find("panel");
  if (getComputedStyle(sheet).position !== "fixed") return 0;
  return Math.max(0, scroller.getBoundingClientRect().bottom - sheet.getBoundingClientRect().top);
};

function openPanel(focus) {
  stage.classList.add("with-details");
  if (list.covered() > 0) stage.scrollIntoView({ block: "start" });
  if (focus) find("panel").focus({ preventScroll: true });
}

function closePanel() {
  stage.classList.remove("with-details");
  scroller.focus({ preventScroll: true });
}

function fromAddress() {
  const span = spans.numbers.get(location.hash.slice(1));
  if (span !== undefined) select(span, { push: false });
  else if (!location.hash || spans.count >= spans.total) showRoot();
}

/** Without a span in the address, a wide window shows the root. */
function showRoot() {
  if (spans.root < 0) return;
  selected = spans.root;
  selectedGroup = "";
  list.select(selectedRow());
  const isWide = matchMedia("(min-width: 901px)").matches;
  stage.classList.toggle("with-details", isWide);
  if (isWide) panel.show(tree, spans.root);
}

// Folding

function toggle(index, open = null) {
  const row = rows[index];
  if (!row?.hasMore || row.isOpen === open) return;
  const next = !row.isOpen;
  if (row.members) opened[next ? "add" : "delete"](row.key);
  else folded[next ? "delete" : "add"](spans.ids[row.node]);
  arrange();
}

function foldAll() {
  const isFolded = folded.size > 0;
  folded.clear();
  opened.clear();
  if (!isFolded) for (const node of tree.order) if (tree.children[node].length && tree.parent[node] >= 0) folded.add(spans.ids[node]);
  find("do='fold'").textContent = isFolded ? "Fold all" : "Unfold all";
  arrange();
  list.reveal(list.selected);
}

// Controls

for (const box of document.querySelectorAll("[data-option]")) {
  options[box.dataset.option] = box.checked;
  box.addEventListener("change", () => {
    options[box.dataset.option] = box.checked;
    if (box.dataset.option === "reports") rebuild();
    else arrange();
    list.reveal(list.selected, { center: true });
    if (selected >= 0 && !selectedGroup && stage.classList.contains("with-details")) panel.show(tree, selected);
  });
}

let typing = 0;
filterField.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(arrange, spans.count > 3000 ? TYPING_MS : 0);
});

const commands = {
  fold: foldAll,
  reset: () => {
    view.reset();
    zoomed();
  },
  help: () => help.showModal(),
};
for (const each of document.querySelectorAll("[data-do]")) each.addEventListener("click", () => commands[each.dataset.do]());

function drawLegend() {
  const found = servicesOf(spans).map((service) => {
    const entry = make("button", `component ${colorOf(service)}`, service || "unknown");
    entry.type = "button";
    entry.setAttribute("aria-pressed", String(!hiddenServices.has(service)));
    entry.title = hiddenServices.has(service) ? "Show its rows" : "Hide its rows";
    entry.addEventListener("click", () => {
      hiddenServices[hiddenServices.has(service) ? "delete" : "add"](service);
      drawLegend();
      arrange();
      [...find("legend").children].find((each) => each.textContent === (service || "unknown"))?.focus();
    });
    return entry;
  });
  find("legend").replaceChildren(...found);
}

const copy = find("copy");
copy.hidden = !navigator.clipboard;
copy.addEventListener("click", async () => {
  await navigator.clipboard.writeText(location.href);
  copy.textContent = "Copied";
  setTimeout(() => (copy.textContent = "Copy link"), 1500);
});
document.addEventListener("click", (event) => {
  const menu = document.querySelector(".menu[open]");
  if (menu && !menu.contains(event.target)) menu.open = false;
});

// Clicks

scroller.addEventListener("click", (event) => {
  const element = event.target.closest("[data-row]");
  if (!element || pointer.dragged) return;
  const index = Number(element.dataset.row);
  if (event.target.closest("[data-twist]")) toggle(index);
  else selectRow(index, { push: true });
});
scroller.addEventListener("dblclick", (event) => {
  const element = event.target.closest("[data-row]");
  if (element && !event.target.closest("[data-twist]") && pointer.placeOf(event) < 0) toggle(Number(element.dataset.row));
});

// Keyboard

const keys = {
  j: () => step(1),
  k: () => step(-1),
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  PageDown: () => step(page()),
  PageUp: () => step(-page()),
  Home: () => selectRow(0, { push: false }),
  End: () => selectRow(rows.length - 1, { push: false }),
  ArrowLeft: () => {
    const index = list.selected;
    if (rows[index]?.isOpen) toggle(index, false);
    else if (rows[index]?.above) selectRow(rows.indexOf(rows[index].above), { push: false });
  },
  ArrowRight: () => {
    const index = list.selected;
    if (rows[index]?.hasMore && !rows[index].isOpen) toggle(index, true);
    else if (rows[index]?.hasMore) selectRow(index + 1, { push: false });
  },
  Enter: () => selectRow(list.selected, { push: true, focus: true }),
  " ": () => toggle(list.selected),
  e: () => error(1),
  E: () => error(-1),
  "/": () => focusFilter(),
  f: () => focusFilter(),
  z: () => commands.reset(),
  "+": () => zoomBy(0.6),
  "=": () => zoomBy(0.6),
  "-": () => zoomBy(1 / 0.6),
  "?": () => commands.help(),
  Escape: () => {
    const isFiltered = filterField.value || options.errors || hiddenServices.size;
    if (!isFiltered) {
      closePanel();
      return;
    }
    clearFilter();
    list.reveal(list.selected, { center: true });
  },
};

const ONLY_IN_ROWS = new Set(["ArrowDown", "ArrowUp", "ArrowLeft", "ArrowRight", "PageDown", "PageUp", "Home", "End", "Enter", " "]);

function page() {
  return Math.max(1, Math.floor(scroller.clientHeight / list.height) - 1);
}

function step(by) {
  const from = list.selected < 0 ? (by > 0 ? -1 : rows.length) : list.selected;
  selectRow(Math.min(Math.max(from + by, 0), rows.length - 1), { push: false });
}

function error(by) {
  const found = nextError(tree, kept.shown, selected < 0 ? -1 : tree.node[selected], by);
  if (found >= 0) select(found, { push: false });
}

function zoomBy(factor) {
  const node = selected < 0 ? -1 : tree.node[selected];
  const place = node < 0 ? 0.5 : view.place(spans.start[node]);
  view.zoom(factor, view.moment(place >= 0 && place <= 1 ? place : 0.5));
  zoomed();
}

function focusFilter() {
  filterField.focus();
  filterField.select();
}

// Before the page's own keys, of which / is for the why box.
document.addEventListener(
  "keydown",
  (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
    const { target } = event;
    if (target === filterField) {
      if (event.key === "Enter" || event.key === "ArrowDown") {
        event.preventDefault();
        scroller.focus();
        step(1);
      } else if (event.key === "Escape") {
        event.preventDefault();
        if (filterField.value) keys.Escape();
        else scroller.focus();
      }
      return;
    }
    if (target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]")) return;
    const inRows = target === document.body || scroller.contains(target);
    if (ONLY_IN_ROWS.has(event.key) && !inRows) return;
    const command = keys[event.key];
    if (!command) return;
    event.preventDefault();
    command();
  },
  true,
);

// News: an open trace is read again; what a reader selected, folded and scrolled to stays.

async function load() {
  const answer = await fetch(inCluster(`/traces/${stage.dataset.trace}/rows.json`), tag ? { headers: { "If-None-Match": tag } } : {});
  if (answer.status === 304) return false;
  if (!answer.ok) throw new Error(String(answer.status));
  tag = answer.headers.get("ETag") ?? "";
  replace(new Spans(await answer.json()));
  return true;
}

function replace(next) {
  const keptId = selected < 0 ? "" : spans.ids[selected];
  const { index, offset } = list.anchor;
  const top = rows[index];
  const topKey = top?.key ?? "";
  const topId = top ? spans.ids[top.node] : "";
  const wasWhole = view.isWhole;
  spans = next;
  view.setRange(spans.first, spans.last);
  if (wasWhole) view.reset();
  selected = spans.numbers.get(keptId) ?? -1;
  panel.forget();
  rebuild();
  const at = rows.findIndex((row) => (topKey ? row.key === topKey : !row.members && spans.ids[row.node] === topId));
  if (index > 0 && at >= 0) scroller.scrollTop = at * list.height + offset;
  drawLegend();
  zoomed();
  if (selected < 0) fromAddress();
  else if (stage.classList.contains("with-details") && !selectedGroup) panel.show(tree, selected);
}

async function begin() {
  drawLegend();
  arrange();
  zoomed();
  fromAddress();
  new ResizeObserver(measure).observe(scroller);
  addEventListener("popstate", fromAddress);
  if (spans.count < spans.total) {
    try {
      await load();
    } catch {
      find("count").textContent = `the first ${spans.count} of ${spans.total} spans: the others cannot be read. Reload the page.`;
    }
  }
  scroller.setAttribute("aria-busy", "false");
  followTrace(spans.traceId, () => spans.open, async () => {
    if (await load()) await readAgain();
  });
}

begin();
