// The lanes of the timeline: reads the occurrences in columns, draws those in view, and lets the reader zoom, move and
// select a range or an occurrence. The table below shows what is in the range.

import { inCluster } from "./cluster.js";
import { badgeOf, resolved } from "./colors.js";
import { listen } from "./live.js";
import { Causes, drawArrow } from "./timeline-causes.js";
import { rowOf } from "./timeline-table.js";
import { clock, moment, showTimes } from "./times.js";

const LANE = 22;
const RULER = 24;
const MOST = 100_000;
const ROWS = 300;
// An occurrence waits for its cause for some seconds: until then it can change. Nothing reports when it does.
const UNSETTLED_MS = 60_000;
const AGAIN_MS = 10_000;

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
const causes = new Causes();
const waiting = new Map();
const lanes = [];
const lanesByUid = new Map();
const followButton = section.querySelector("[data-follow]");
const said = section.querySelector("[data-chosen]");

let [from, to] = whole;
let scroll = 0;
let brush = null;
let drawn = false;
let hovered = null;
let chosen = null;
let isMoved = false;
let stopFollowing = null;
let again = null;

function color(name) {
  return resolved(`var(${name})`);
}

read();

async function read() {
  const cursor = await readFrom(section.dataset.source);
  tellCount(cursor);
  sortLanes();
  fit();
  resize();
  section.removeAttribute("aria-busy");
  if (new URLSearchParams(location.search).get("follow") === "1") follow();
}

// Returns the cursor of what is left out; null: the server did not answer.
async function readFrom(source) {
  let cursor = "";
  do {
    const answer = await fetch(source + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""));
    if (!answer.ok) return null;
    const found = await answer.json();
    append(found);
    cursor = found.next ?? "";
  } while (cursor && data.start.length < MOST);
  return cursor;
}

function tellCount(cursor) {
  const all = data.start.length.toLocaleString("en");
  const text = cursor ? `the first ${all} occurrences; narrow the range` : `${all} occurrences`;
  count.textContent = cursor === null ? "not all could be read" : text;
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
  const base = data.start.length;
  const numbers = [];
  for (let i = 0; i < found.start.length; i += 1) {
    const known = causes.numberOf(found.trace[i], found.span[i]) ?? waiting.get(found.span[i]);
    const number = known ?? data.start.length;
    numbers.push(number);
    const lane = places[found.lane[i]];
    data.lane[number] = lane;
    // One that goes on is also there with the time at which it happened again.
    data.start[number] = Math.min(found.start[i], data.start[number] ?? Infinity);
    data.end[number] = Math.max(found.end[i], data.end[number] ?? -Infinity);
    data.reason[number] = found.texts[found.reason[i]];
    data.who[number] = found.texts[found.who[i]];
    data.what[number] = found.texts[found.what[i]];
    data.flag[number] = found.flag[i];
    data.times[number] = found.times[i];
    data.trace[number] = found.trace[i];
    data.span[number] = found.span[i];
    if (found.flag[i] === 1) lanes[lane].failed = true;
    if (found.trace[i]) waiting.delete(found.span[i]);
    else waiting.set(found.span[i], number);
    if (known === undefined) causes.add(found.trace[i], found.span[i], -1);
  }
  for (let i = 0; i < found.start.length; i += 1) {
    const parent = found.parent[i];
    causes.set(numbers[i], found.trace[i], found.span[i], typeof parent === "number" && parent >= 0 ? numbers[parent] : parent);
  }
  return data.start.length - base;
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
  drawCauses(pen, width, height);
  if (brush) shade(pen, x(brush[0], width), x(brush[1], width), height);
}

function place(i, width) {
  return [x(data.start[i], width), RULER + lanes[data.lane[i]].at * LANE - scroll + LANE / 2];
}

// Arrows from the cause of the occurrence that is chosen or under the pointer, and to its direct effects in view.
function drawCauses(pen, width, height) {
  const here = hovered ?? chosen;
  view.dataset.arrows = 0;
  if (here === null) return;
  const inView = ([across, down]) => across >= left() && across <= width && down > RULER && down < height;
  const cause = causes.causeOf(here);
  const pairs = [...(cause < 0 ? [] : [[cause, here]]), ...causes.effectsOf(here).map((effect) => [here, effect])];
  const isLong = ([begin, end]) => Math.hypot(end[0] - begin[0], end[1] - begin[1]) > 14;
  const drawable = pairs.map((pair) => pair.map((each) => place(each, width))).filter((pair) => pair.every(inView) && isLong(pair));
  pen.strokeStyle = pen.fillStyle = color("--dim");
  pen.lineWidth = 1.2;
  for (const [begin, end] of drawable) drawArrow(pen, begin, end);
  const at = place(here, width);
  if (inView(at)) {
    pen.strokeStyle = color("--ink");
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(...at, 8, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.lineWidth = 1;
  view.dataset.arrows = drawable.length;
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
    link.href = lane.uid ? inCluster(`/objects/${encodeURIComponent(lane.uid)}`) : "#occurrences";
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
  isMoved = true;
  changed();
}

function move(ms) {
  const length = to - from;
  from = Math.min(Math.max(from + ms, whole[0]), whole[1] - length);
  to = from + length;
  isMoved = true;
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
view.addEventListener("pointerleave", () => hover(null));
view.addEventListener("click", (event) => {
  const found = nearest(event);
  if (found === null) return;
  // A finger does not hover: the first touch chooses, the second one opens.
  if (event.pointerType !== "touch" || found === chosen) open(found);
  else choose(found);
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
    j: () => choose(neighbour(1)),
    k: () => choose(neighbour(-1)),
    c: () => chosen !== null && causes.causeOf(chosen) >= 0 && choose(causes.causeOf(chosen)),
    Enter: () => chosen !== null && open(chosen),
    Escape: () => (chosen === null ? select(null) : choose(null)),
  };
  if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  acts[event.key]();
});

for (const button of section.querySelectorAll("[data-zoom]")) {
  button.addEventListener("click", () => {
    if (button.dataset.zoom === "reset") {
      [from, to] = whole;
      isMoved = true;
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
  hover(nearest(event));
  if (hovered === null) return;
  const box = view.getBoundingClientRect();
  showTip(hovered, event.clientX - box.left, event.clientY - box.top);
}

function hover(found) {
  if (found !== hovered) redraw();
  hovered = found;
  if (found !== null) return;
  tip.hidden = chosen === null;
  if (chosen !== null) showTip(chosen, ...place(chosen, view.clientWidth));
}

function described(i) {
  return `${clock(data.start[i])} ${data.reason[i]} · ${data.who[i]}${data.what[i] ? ` · ${data.what[i]}` : ""}`;
}

function showTip(i, across, down) {
  tip.hidden = false;
  tip.textContent = described(i);
  const beyond = across > view.clientWidth / 2;
  tip.style.top = `${Math.min(down + 16, view.clientHeight - 60)}px`;
  tip.style.left = beyond ? "auto" : `${across + 12}px`;
  tip.style.right = beyond ? `${view.clientWidth - across + 12}px` : "auto";
}

// Choosing an occurrence with the keyboard or a finger

function open(i) {
  if (data.trace[i]) location.href = inCluster(`/traces/${data.trace[i]}#${data.span[i]}`);
}

// The next occurrence in time, or the one before; without a chosen one, the first or last in view.
function neighbour(direction) {
  const before = (a, b) => (data.start[a] - data.start[b] || a - b) * direction < 0;
  let found = null;
  for (let i = 0; i < data.start.length; i += 1) {
    if (chosen === null ? data.start[i] < from || data.start[i] > to : !before(chosen, i)) continue;
    if (found === null || before(i, found)) found = i;
  }
  return found ?? chosen;
}

function choose(i) {
  chosen = i;
  hovered = null;
  if (i === null) {
    tip.hidden = true;
    said.textContent = "";
  } else {
    const lane = lanes[data.lane[i]];
    if (data.start[i] < from || data.start[i] > to) move(data.start[i] - (from + to) / 2);
    const down = lane.at * LANE;
    if (down < scroll) scrollBy(down - scroll);
    else if (down + LANE > scroll + view.clientHeight - RULER) scrollBy(down + 2 * LANE - scroll - view.clientHeight + RULER);
    showTip(i, ...place(i, view.clientWidth));
    const cause = causes.causeOf(i);
    const why = cause < 0 ? "" : `, because of ${data.reason[cause]} of ${lanes[data.lane[cause]].name}`;
    said.textContent = `${lane.kind} ${lane.name}: ${described(i)}${why}, ${causes.effectsOf(i).length} direct effects`;
  }
  redraw();
}

// Following: what is new is read while it is on, and the lanes move on with it if they show the end.

function follow() {
  stopFollowing?.();
  stopFollowing = listen(["trace", "occurrence"], readNews, { first: true, lost: () => unfollow("the server reports no news now") });
  showFollowing();
}

function unfollow(why) {
  stopFollowing?.();
  stopFollowing = null;
  clearTimeout(again);
  showFollowing();
  if (why) count.textContent = why;
}

function showFollowing() {
  followButton.setAttribute("aria-pressed", String(stopFollowing !== null));
  const address = new URL(location.href);
  if (stopFollowing) {
    address.searchParams.set("follow", "1");
    address.searchParams.delete("until");
  } else address.searchParams.delete("follow");
  history.replaceState(null, "", address);
}

followButton.addEventListener("click", () => (stopFollowing ? unfollow() : follow()));
addEventListener("pageshow", (event) => event.persisted && stopFollowing && follow());

function newest() {
  return data.start.reduce((most, each) => Math.max(most, each), -Infinity);
}

async function readNews() {
  if (data.start.length >= MOST) {
    unfollow(`${MOST.toLocaleString("en")} occurrences are shown: narrow the range to follow`);
    return;
  }
  const last = newest();
  const source = new URL(section.dataset.source, location.href);
  source.searchParams.delete("until");
  if (data.start.length) {
    const oldest = [...waiting.values()].reduce((least, i) => Math.min(least, data.start[i]), last - UNSETTLED_MS);
    source.searchParams.set("since", new Date(Math.max(oldest, whole[0])).toISOString());
  }
  const cursor = await readFrom(source.pathname + source.search);
  tellCount(cursor);
  document.querySelector("[data-nothing]")?.remove();
  sortLanes();
  moveOn(last);
  changed();
  clearTimeout(again);
  if (waiting.size && stopFollowing) again = setTimeout(readNews, AGAIN_MS);
}

function moveOn(last) {
  const now = newest();
  if (now === -Infinity) return;
  const end = whole[1];
  whole[1] = Math.max(end, now + 1000);
  if (!isMoved) {
    [from, to] = whole;
    fit();
  } else if (to >= last && now > to) {
    // What the reader has chosen stays as long as it is, but all of it stays all of it.
    const step = whole[1] - to;
    if (from > whole[0] || to < end) from += step;
    to += step;
  }
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
  for (let i = 0; i < data.start.length; i += 1) {
    if (data.start[i] < begin || data.start[i] > end) continue;
    found.push(i);
  }
  found.sort((a, b) => data.start[a] - data.start[b] || a - b);
  const more = found.length > ROWS;
  const which = stopFollowing ? "last" : "first";
  const shown = stopFollowing ? found.slice(-ROWS) : found.slice(0, ROWS);
  range.textContent = `${moment(begin)} to ${moment(end)}${more ? `, the ${which} ${ROWS} of ${found.length}` : ""}`;
  document.querySelector("[data-more]")?.remove();
  body.replaceChildren(...shown.map((i) => rowOf(data, lanes[data.lane[i]], i)));
  showTimes(body);
}

function resize() {
  const chosen = new URLSearchParams(location.search).get("range")?.split("-").map(Number);
  if (!brush && chosen?.length === 2 && chosen.every(Number.isFinite)) select(chosen);
  draw();
}

new ResizeObserver(redraw).observe(view);
document.addEventListener("zone", changed);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
