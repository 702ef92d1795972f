// Draws the lanes in view, their names, and the arrows from cause to effect.

import { inCluster } from "./cluster.js";
import { badgeOf, resolved } from "./colors.js";
import { drawArrow } from "./timeline-causes.js";
import { LANE, RULER } from "./timeline-view.js";
import { clock } from "./times.js";

export function color(name) {
  return resolved(`var(${name})`);
}

/** Makes the bitmap of a canvas as large as the screen shows it. Returns the pen, and width and height in CSS pixels. */
export function sized(canvas) {
  const box = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  canvas.width = Math.round(box.width * ratio);
  canvas.height = Math.round(box.height * ratio);
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return [pen, box.width, box.height];
}

export function shade(pen, begin, end, height) {
  pen.globalAlpha = 0.14;
  pen.fillStyle = color("--accent");
  pen.fillRect(begin, 0, end - begin, height);
  pen.globalAlpha = 1;
}

/** Draws the lanes, with the arrows of the occurrence `here` (null: none). `brush`: a range, or null. Returns the arrows. */
export function drawLanes(canvas, view, occurrences, brush, here) {
  const [pen, width, height] = sized(canvas);
  drawRuler(pen, view, width, height);
  drawMarks(pen, view, occurrences, width, height);
  const arrows = here === null ? 0 : drawCauses(pen, view, occurrences, here, width, height);
  const x = view.scale(width);
  if (brush) shade(pen, x(brush[0]), x(brush[1]), height);
  return arrows;
}

function drawRuler(pen, view, width, height) {
  const x = view.scale(width);
  pen.font = "11px ui-sans-serif, system-ui, sans-serif";
  pen.fillStyle = color("--faint");
  pen.strokeStyle = color("--line");
  for (const tick of view.ticks(Math.max(2, (width - view.left) / 130))) {
    const at = x(tick);
    pen.fillText(view.length < 60_000 ? clock(tick) : clock(tick).slice(0, 8), at + 3, 15);
    pen.beginPath();
    pen.moveTo(at, 0);
    pen.lineTo(at, height);
    pen.stroke();
  }
}

function drawMarks(pen, view, occurrences, width, height) {
  const tones = ["--faint", "--bad", "--accent"].map(color);
  const [x, left] = [view.scale(width), view.left];
  const seen = new Set();
  const later = [];
  for (let i = 0; i < occurrences.length; i += 1) {
    if (occurrences.end[i] < view.from || occurrences.start[i] > view.to) continue;
    const top = view.top(occurrences.laneOf(i));
    if (top < RULER - LANE || top > height) continue;
    const flag = occurrences.flag[i];
    const [begin, end] = [x(occurrences.start[i]), x(occurrences.end[i])];
    if (end - begin > 3) {
      pen.globalAlpha = flag === 1 ? 0.5 : 0.28;
      pen.fillStyle = tones[flag];
      pen.fillRect(Math.max(begin, left), top + 8, Math.min(end, width) - Math.max(begin, left), 6);
      pen.globalAlpha = 1;
    }
    // Marks in one column of pixels would hide each other; failures stay on top.
    const key = `${top}|${Math.round(begin)}|${flag}`;
    if (seen.has(key) || begin < left - 4) continue;
    seen.add(key);
    later.push([begin, top, flag, occurrences.times[i]]);
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
}

// Arrows from the cause of the occurrence that is chosen or under the pointer, and to its direct effects in view.
function drawCauses(pen, view, occurrences, here, width, height) {
  const { causes } = occurrences;
  const left = view.left;
  const inView = ([across, down]) => across >= left && across <= width && down > RULER && down < height;
  const cause = causes.causeOf(here);
  const pairs = [...(cause < 0 ? [] : [[cause, here]]), ...causes.effectsOf(here).map((effect) => [here, effect])];
  const isLong = ([begin, end]) => Math.hypot(end[0] - begin[0], end[1] - begin[1]) > 14;
  const placed = pairs.map((pair) => pair.map((each) => view.place(occurrences, each, width)));
  const drawable = placed.filter((pair) => pair.every(inView) && isLong(pair));
  pen.strokeStyle = pen.fillStyle = color("--dim");
  pen.lineWidth = 1.2;
  for (const [begin, end] of drawable) drawArrow(pen, begin, end);
  const at = view.place(occurrences, here, width);
  if (inView(at)) {
    pen.strokeStyle = color("--ink");
    pen.lineWidth = 1.5;
    pen.beginPath();
    pen.arc(...at, 8, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.lineWidth = 1;
  return drawable.length;
}

/** Writes the names of the lanes in view. */
export function drawNames(view, lanes) {
  const height = view.element.clientHeight;
  view.names.replaceChildren();
  for (const lane of lanes) {
    const top = lane.at * LANE - view.scroll;
    if (top >= -LANE && top <= height) view.names.append(nameOf(lane, top));
  }
}

function nameOf(lane, top) {
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
  return link;
}
