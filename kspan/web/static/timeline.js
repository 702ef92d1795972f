// The lanes of the timeline: reads the occurrences in columns, draws those in view, and lets the reader zoom, move and
// select a range. The table below shows what is in the range.

import { badgeOf, resolved } from "./colors.js";
import { clock, moment, showTimes } from "./times.js";

const LANE = 22;
const RULER = 24;
const MOST = 100_000;
const ROWS = 300;

const section = document.querySelector("[data-lanes]");
const view = section.querySelector("[data-view]");
const canvas = section.querySelector("[data-canvas]");
const overview = section.querySelector("[data-overview]");
const names = section.querySelector("[data-names]");
const tip = section.querySelector("[data-tip]");
const count = section.querySelector("[data-count]");
const clear = section.querySelector("[data-clear]");
const body = document.querySelector("[data-rows-below]");
const range = document.querySelector("[data-range]");

const whole = [Date.parse(section.dataset.since), Date.parse(section.dataset.until)];
const data = { lane: [], start: [], end: [], reason: [], who: [], what: [], flag: [], times: [], trace: [], span: [] };
const lanes = [];
const lanesByUid = new Map();

let [from, to] = whole;
let scroll = 0;
let brush = null;
let drawn = false;

function color(name) {
  return resolved(`var(${name})`);
}

read();

async function read() {
  let cursor = "";
  do {
    const answer = await fetch(section.dataset.source + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""));
    if (!answer.ok) {
      count.textContent = "not all could be read";
      break;
    }
    const found = await answer.json();
    append(found);
    cursor = found.next ?? "";
  } while (cursor && data.start.length < MOST);
  const all = data.start.length.toLocaleString("en");
  count.textContent = cursor ? `the first ${all} occurrences; narrow the range` : `${all} occurrences`;
  sortLanes();
  fit();
  resize();
  section.removeAttribute("aria-busy");
}

// Begin with the time in which something happened.
function fit() {
  const first = data.start.reduce((least, each) => Math.min(least, each), Infinity);
  const last = data.end.reduce((most, each) => Math.max(most, each), -Infinity);
  const pad = Math.max((last - first) * 0.03, 500);
  if (!data.start.length || last - first + 2 * pad > (whole[1] - whole[0]) * 0.8) return;
  [from, to] = [Math.max(first - pad, whole[0]), Math.min(last + pad, whole[1])];
}

function append(found) {
  const places = found.object.map(([kind, namespace, name, uid]) => {
    const [k, ns, n] = [found.texts[kind], found.texts[namespace], found.texts[name]];
    const key = uid || `${k}/${ns}/${n}`;
    if (!lanesByUid.has(key)) {
      lanesByUid.set(key, lanes.length);
      lanes.push({ kind: k, namespace: ns, name: n, uid, failed: false, at: 0 });
    }
    return lanesByUid.get(key);
  });
  for (let i = 0; i < found.start.length; i += 1) {
    const lane = places[found.lane[i]];
    data.lane.push(lane);
    data.start.push(found.start[i]);
    data.end.push(found.end[i]);
    data.reason.push(found.texts[found.reason[i]]);
    data.who.push(found.texts[found.who[i]]);
    data.what.push(found.texts[found.what[i]]);
    data.flag.push(found.flag[i]);
    data.times.push(found.times[i]);
    data.trace.push(found.trace[i]);
    data.span.push(found.span[i]);
    if (found.flag[i] === 1) lanes[lane].failed = true;
  }
}

function sortLanes() {
  const order = [...lanes.keys()].sort((a, b) => {
    const [x, y] = [lanes[a], lanes[b]];
    return x.kind.localeCompare(y.kind) || x.namespace.localeCompare(y.namespace) || x.name.localeCompare(y.name);
  });
  order.forEach((lane, at) => (lanes[lane].at = at));
}

// Drawing

function sized(element) {
  const box = element.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  element.width = Math.round(box.width * ratio);
  element.height = Math.round(box.height * ratio);
  const pen = element.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [pen, box.width, box.height];
}

function left() {
  return names.getBoundingClientRect().width || 0;
}

function x(ms, width) {
  return left() + ((ms - from) / (to - from)) * (width - left());
}

function draw() {
  drawn = false;
  view.dataset.from = from;
  view.dataset.to = to;
  drawLanes();
  drawOverview();
  drawNames();
}

function redraw() {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(draw);
}

function drawLanes() {
  const [pen, width, height] = sized(canvas);
  const [accent, bad, faint, line] = ["--accent", "--bad", "--faint", "--line"].map(color);
  const tones = [faint, bad, accent];
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  pen.fillStyle = faint;
  pen.strokeStyle = line;
  for (const tick of ticks(from, to, Math.max(2, (width - left()) / 130))) {
    const at = x(tick, width);
    pen.fillText(to - from < 60_000 ? clock(tick) : clock(tick).slice(0, 8), at + 3, 15);
    pen.beginPath();
    pen.moveTo(at, 0);
    pen.lineTo(at, height);
    pen.stroke();
  }
  const seen = new Set();
  const later = [];
  for (let i = 0; i < data.start.length; i += 1) {
    if (data.end[i] < from || data.start[i] > to) continue;
    const top = RULER + lanes[data.lane[i]].at * LANE - scroll;
    if (top < RULER - LANE || top > height) continue;
    const begin = x(data.start[i], width);
    const end = x(data.end[i], width);
    if (end - begin > 3) {
      pen.globalAlpha = data.flag[i] === 1 ? 0.5 : 0.28;
      pen.fillStyle = tones[data.flag[i]];
      pen.fillRect(Math.max(begin, left()), top + 8, Math.min(end, width) - Math.max(begin, left()), 6);
      pen.globalAlpha = 1;
    }
    // Marks in one column of pixels would hide each other; failures stay on top.
    const key = `${top}|${Math.round(begin)}|${data.flag[i]}`;
    if (seen.has(key) || begin < left() - 4) continue;
    seen.add(key);
    later.push([begin, top, data.flag[i], data.times[i]]);
  }
  later.sort((a, b) => (a[2] === 1) - (b[2] === 1));
  for (const [at, top, flag, times] of later) {
    const size = Math.min(4 + Math.log2(Math.max(times, 1)), 8);
    pen.fillStyle = tones[flag];
    pen.beginPath();
    pen.moveTo(at, top + 11 - size);
    pen.lineTo(at + size, top + 11);
    pen.lineTo(at, top + 11 + size);
    pen.lineTo(at - size, top + 11);
    pen.fill();
  }
  if (brush) shade(pen, x(brush[0], width), x(brush[1], width), height);
}

function shade(pen, begin, end, height) {
  pen.globalAlpha = 0.14;
  pen.fillStyle = color("--accent");
  pen.fillRect(begin, 0, end - begin, height);
  pen.globalAlpha = 1;
}

function drawOverview() {
  const [pen, width, height] = sized(overview);
  const bins = new Float64Array(Math.max(1, Math.floor(width / 3)));
  const failed = new Float64Array(bins.length);
  for (let i = 0; i < data.start.length; i += 1) {
    const bin = Math.min(bins.length - 1, Math.floor(((data.start[i] - whole[0]) / (whole[1] - whole[0])) * bins.length));
    if (bin < 0) continue;
    bins[bin] += 1;
    if (data.flag[i] === 1) failed[bin] += 1;
  }
  const highest = Math.max(1, ...bins);
  const up = (value) => (Math.sqrt(value) / Math.sqrt(highest)) * (height - 6);
  for (let bin = 0; bin < bins.length; bin += 1) {
    pen.fillStyle = color("--faint");
    pen.fillRect(bin * 3, height - up(bins[bin]), 2, up(bins[bin]));
  }
  pen.fillStyle = color("--bad");
  for (let bin = 0; bin < bins.length; bin += 1) {
    pen.fillRect(bin * 3, height - up(failed[bin]), 2, up(failed[bin]));
  }
  const across = (ms) => ((ms - whole[0]) / (whole[1] - whole[0])) * width;
  if (from > whole[0] || to < whole[1]) {
    pen.strokeStyle = color("--accent");
    pen.lineWidth = 1.5;
    pen.strokeRect(across(from), 1, Math.max(2, across(to) - across(from)), height - 2);
  }
  if (brush) shade(pen, across(brush[0]), across(brush[1]), height);
}

function drawNames() {
  const height = view.clientHeight;
  names.replaceChildren();
  for (const lane of lanes) {
    const top = lane.at * LANE - scroll;
    if (top < -LANE || top > height) continue;
    const link = document.createElement("a");
    link.href = lane.uid ? `/objects/${encodeURIComponent(lane.uid)}` : "#occurrences";
    link.style.top = `${top}px`;
    const kind = document.createElement("span");
    kind.className = "kind";
    kind.textContent = badgeOf(lane.kind);
    const name = document.createElement("span");
    name.className = "name";
    name.title = `${lane.kind} ${lane.namespace ? `${lane.namespace}/` : ""}${lane.name}`;
    const split = lane.name.length > 16 ? lane.name.length - 8 : lane.name.length;
    for (const part of lane.name ? [lane.name.slice(0, split), lane.name.slice(split)] : [lane.kind]) {
      const piece = document.createElement("span");
      piece.textContent = part;
      if (part) name.append(piece);
    }
    if (lane.failed) name.classList.add("bad");
    link.append(kind, name);
    names.append(link);
  }
}

function ticks(begin, end, most) {
  const steps = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5, 6048e5];
  const step = steps.find((each) => (end - begin) / each <= most) ?? steps.at(-1);
  const found = [];
  for (let at = Math.ceil(begin / step) * step; at < end; at += step) found.push(at);
  return found;
}

// Moving

function zoomAt(ms, factor) {
  const length = Math.min(Math.max((to - from) * factor, 5), whole[1] - whole[0]);
  const part = (ms - from) / (to - from);
  from = Math.min(Math.max(ms - part * length, whole[0]), whole[1] - length);
  to = from + length;
  changed();
}

function move(ms) {
  const length = to - from;
  from = Math.min(Math.max(from + ms, whole[0]), whole[1] - length);
  to = from + length;
  changed();
}

function scrollBy(pixels) {
  const most = Math.max(0, lanes.length * LANE - (view.clientHeight - RULER));
  scroll = Math.min(Math.max(scroll + pixels, 0), most);
  redraw();
}

function changed() {
  redraw();
  list();
}

function time(event) {
  const box = canvas.getBoundingClientRect();
  return from + ((event.clientX - box.left - left()) / (box.width - left())) * (to - from);
}

view.addEventListener(
  "wheel",
  (event) => {
    const inside = lanes.length * LANE > view.clientHeight - RULER;
    if (event.ctrlKey || event.metaKey || event.shiftKey) zoomAt(time(event), event.deltaY > 0 ? 1.2 : 1 / 1.2);
    else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX / view.clientWidth) * (to - from));
    else if (inside) scrollBy(event.deltaY);
    else return;
    event.preventDefault();
  },
  { passive: false },
);

let drag = null;
view.addEventListener("pointerdown", (event) => {
  if (event.target !== canvas) return;
  drag = { x: event.clientX, y: event.clientY };
  view.setPointerCapture(event.pointerId);
});
view.addEventListener("pointermove", (event) => {
  if (!drag) {
    point(event);
    return;
  }
  move(((drag.x - event.clientX) / (view.clientWidth - left())) * (to - from));
  scrollBy(drag.y - event.clientY);
  drag = { x: event.clientX, y: event.clientY };
});
view.addEventListener("pointerup", () => (drag = null));
view.addEventListener("pointerleave", () => (tip.hidden = true));
view.addEventListener("click", (event) => {
  const found = nearest(event);
  if (found !== null && data.trace[found]) location.href = `/traces/${data.trace[found]}#${data.span[found]}`;
});

view.addEventListener("keydown", (event) => {
  const length = to - from;
  const acts = {
    ArrowLeft: () => move(-length / 5),
    ArrowRight: () => move(length / 5),
    ArrowUp: () => scrollBy(-LANE * 3),
    ArrowDown: () => scrollBy(LANE * 3),
    "+": () => zoomAt((from + to) / 2, 1 / 1.5),
    "=": () => zoomAt((from + to) / 2, 1 / 1.5),
    "-": () => zoomAt((from + to) / 2, 1.5),
    Escape: () => select(null),
  };
  if (!acts[event.key]) return;
  event.preventDefault();
  acts[event.key]();
});

for (const button of section.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    if (button.dataset.zoom === "reset") {
      [from, to] = whole;
      changed();
    } else zoomAt((from + to) / 2, button.dataset.zoom === "in" ? 1 / 2 : 2);
  });
}
clear.addEventListener("click", () => select(null));

// Brushing

let begun = null;
function overviewTime(event) {
  const box = overview.getBoundingClientRect();
  const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
  return whole[0] + part * (whole[1] - whole[0]);
}
overview.addEventListener("pointerdown", (event) => {
  begun = overviewTime(event);
  overview.setPointerCapture(event.pointerId);
});
overview.addEventListener("pointermove", (event) => {
  if (begun === null) return;
  const now = overviewTime(event);
  select([Math.min(begun, now), Math.max(begun, now)]);
});
overview.addEventListener("pointerup", () => {
  begun = null;
  if (!brush || brush[1] - brush[0] < (whole[1] - whole[0]) / 500) select(null);
});

function select(chosen) {
  brush = chosen;
  clear.hidden = !brush;
  const address = new URL(location.href);
  if (brush) address.searchParams.set("range", brush.map(Math.round).join("-"));
  else address.searchParams.delete("range");
  history.replaceState(null, "", address);
  changed();
}

function nearest(event) {
  const box = canvas.getBoundingClientRect();
  const lane = Math.floor((event.clientY - box.top - RULER + scroll) / LANE);
  const at = event.clientX - box.left;
  let found = null;
  let least = 9;
  for (let i = 0; i < data.start.length; i += 1) {
    if (lanes[data.lane[i]].at !== lane) continue;
    const apart = Math.abs(x(data.start[i], box.width) - at);
    if (apart < least) {
      least = apart;
      found = i;
    }
  }
  return found;
}

function point(event) {
  const found = nearest(event);
  tip.hidden = found === null;
  if (found === null) return;
  tip.textContent = `${clock(data.start[found])} ${data.reason[found]} · ${data.who[found]}${data.what[found] ? ` · ${data.what[found]}` : ""}`;
  const box = view.getBoundingClientRect();
  const beyond = event.clientX - box.left > box.width / 2;
  tip.style.top = `${Math.min(event.clientY - box.top + 16, box.height - 60)}px`;
  tip.style.left = beyond ? "auto" : `${event.clientX - box.left + 12}px`;
  tip.style.right = beyond ? `${box.right - event.clientX + 12}px` : "auto";
}

// The table

let due = null;
function list() {
  clearTimeout(due);
  due = setTimeout(write, 60);
}

function write() {
  const [begin, end] = brush ?? [from, to];
  const found = [];
  let more = 0;
  for (let i = 0; i < data.start.length; i += 1) {
    if (data.start[i] < begin || data.start[i] > end) continue;
    if (found.length < ROWS) found.push(i);
    else more += 1;
  }
  range.textContent = `${moment(begin)} to ${moment(end)}${more ? `, the first ${ROWS} of ${found.length + more}` : ""}`;
  document.querySelector("[data-more]")?.remove();
  body.replaceChildren(...found.map(row));
  showTimes(body);
}

function row(i) {
  const lane = lanes[data.lane[i]];
  const line = document.createElement("tr");
  const cell = (name, ...parts) => {
    const made = document.createElement("td");
    made.className = name;
    made.append(...parts);
    line.append(made);
  };
  const when = document.createElement("time");
  when.dateTime = new Date(data.start[i]).toISOString();
  when.dataset.moment = "";
  cell("tight", when);
  const object = document.createElement("a");
  object.href = lane.uid ? `/objects/${encodeURIComponent(lane.uid)}` : "#occurrences";
  const kind = document.createElement("span");
  kind.className = "kind";
  kind.textContent = badgeOf(lane.kind);
  object.append(kind, lane.name);
  cell("tight", object);
  const what = document.createElement("a");
  what.href = data.trace[i] ? `/traces/${data.trace[i]}#${data.span[i]}` : "#occurrences";
  const reason = document.createElement("b");
  reason.textContent = data.reason[i];
  if (data.flag[i] === 1) reason.className = "bad";
  const note = document.createElement("span");
  note.className = "note";
  note.textContent = ` ${data.times[i] > 1 ? `×${data.times[i]} ` : ""}${data.what[i]}`;
  what.append(reason, note);
  cell("what", what);
  cell("tight", data.who[i]);
  return line;
}

function resize() {
  const chosen = new URLSearchParams(location.search).get("range")?.split("-").map(Number);
  if (!brush && chosen?.length === 2 && chosen.every(Number.isFinite)) select(chosen);
  draw();
}

new ResizeObserver(redraw).observe(view);
document.addEventListener("zone", changed);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
