// The lanes of the timeline: reads the occurrences in columns, draws those in view, and lets the reader zoom, move and
// select a range or an occurrence. The table below shows what is in the range.

import { Choice } from "./timeline-choice.js";
import { Following } from "./timeline-follow.js";
import { moves } from "./timeline-keys.js";
import { drawLanes, drawNames } from "./timeline-lanes.js";
import { Occurrences } from "./timeline-model.js";
import { drawOverview, selectsRange } from "./timeline-overview.js";
import { Table } from "./timeline-table.js";
import { View } from "./timeline-view.js";

const section = document.querySelector("[data-lanes]");
const part = (name) => section.querySelector(`[data-${name}]`);
const element = part("view");
const canvas = part("canvas");
const overview = part("overview");
const count = part("count");
const clear = part("clear");

const view = new View(element, part("names"), [Date.parse(section.dataset.since), Date.parse(section.dataset.until)]);
const occurrences = new Occurrences();
const choice = new Choice(view, occurrences, { canvas, tip: part("tip"), said: part("chosen"), redraw, changed });
const following = new Following(part("follow"), occurrences, {
  source: section.dataset.source,
  since: view.whole[0],
  read: readNews,
  say: (text) => (count.textContent = text),
});
const table = new Table(occurrences);

let brush = null;
let isDrawing = false;

moves(section, canvas, view, occurrences, choice, { redraw, changed, select });
selectsRange(overview, view, () => brush, select);
clear.addEventListener("click", () => select(null));
read();

async function read() {
  const cursor = await occurrences.read(section.dataset.source);
  tellCount(cursor);
  occurrences.sortLanes();
  view.fit(occurrences);
  selectFromAddress();
  draw();
  section.removeAttribute("aria-busy");
  if (new URLSearchParams(location.search).get("follow") === "1") following.begin();
}

async function readNews(source) {
  const last = occurrences.newest();
  tellCount(await occurrences.read(source));
  document.querySelector("[data-nothing]")?.remove();
  occurrences.sortLanes();
  view.moveOn(occurrences, last);
  changed();
}

function tellCount(cursor) {
  const all = `${occurrences.length.toLocaleString("en")} ${occurrences.length === 1 ? "occurrence" : "occurrences"}`;
  const text = cursor ? `the first ${all}; narrow the range` : all;
  count.textContent = cursor === null ? "not all could be read" : text;
}

function draw() {
  isDrawing = false;
  element.dataset.from = view.from;
  element.dataset.to = view.to;
  element.dataset.arrows = drawLanes(canvas, view, occurrences, brush, choice.here);
  drawOverview(overview, view, occurrences, brush);
  drawNames(view, occurrences.lanes);
}

function redraw() {
  if (isDrawing) return;
  isDrawing = true;
  requestAnimationFrame(draw);
}

function changed() {
  redraw();
  table.write(brush ?? [view.from, view.to], following.isOn);
}

function select(range) {
  brush = range;
  clear.hidden = !brush;
  const address = new URL(location.href);
  if (brush) address.searchParams.set("range", brush.map(Math.round).join("-"));
  else address.searchParams.delete("range");
  history.replaceState(null, "", address);
  changed();
}

function selectFromAddress() {
  const range = new URLSearchParams(location.search).get("range")?.split("-").map(Number);
  if (range?.length === 2 && range.every(Number.isFinite)) select(range);
}

new ResizeObserver(redraw).observe(element);
document.addEventListener("zone", changed);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
