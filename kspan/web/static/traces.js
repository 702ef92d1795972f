// The scatter plot above the list of traces: start against duration, color by outcome. A click opens the trace.

import { inCluster } from "./cluster.js";
import { resolved } from "./colors.js";
import { keepLive } from "./live.js";
import { duration, moment } from "./times.js";

const figure = document.querySelector("[data-scatter]");
let points = read();

const TONES = { ok: "--ok", recovered: "--ok", failed: "--bad", failing: "--bad", open: "--accent", superseded: "--dim" };
const LEFT = 46;
const BOTTOM = 20;
const TOP = 10;

const draw = drawAlways(figure);

// Older pages do not change.
const asked = new URLSearchParams(location.search);
if (!asked.get("until") && !asked.get("before")) {
  keepLive(["trace"], () => {
    points = read();
    figure.hidden = points.length < 2;
    draw();
  });
}

function read() {
  const found = JSON.parse(document.getElementById("points").textContent);
  return found.map((each) => ({ ...each, at: Date.parse(each.start) }));
}

function drawAlways(figure) {
  const canvas = figure.querySelector("canvas");
  const caption = figure.querySelector("figcaption");
  let near = null;
  let places = [];

  function draw() {
    if (figure.hidden) return;
    const { width, height } = canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const pen = canvas.getContext("2d");
    pen.scale(ratio, ratio);
    places = plot(pen, width, height, near);
  }

  canvas.addEventListener("pointermove", (event) => {
    const box = canvas.getBoundingClientRect();
    const found = nearest(places, event.clientX - box.left, event.clientY - box.top);
    if (found === near) return;
    near = found;
    caption.textContent = near ? `${near.what} · ${moment(near.at)} · ${duration(near.ms)} · ${near.outcome}` : "";
    if (near) {
      const place = places[points.indexOf(near)];
      const beyond = place.x > box.width / 2;
      caption.style.left = beyond ? "auto" : `${place.x + 28}px`;
      caption.style.right = beyond ? `${box.width - place.x + 28}px` : "auto";
    }
    light(near);
    draw();
  });
  canvas.addEventListener("pointerleave", () => {
    near = null;
    caption.textContent = "";
    light(null);
    draw();
  });
  canvas.addEventListener("click", () => {
    if (near) location.href = inCluster(`/traces/${near.id}`);
  });
  new ResizeObserver(draw).observe(canvas);
  document.addEventListener("zone", draw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  return draw;
}

function light(point) {
  document.querySelector("tr.lit")?.classList.remove("lit");
  if (point) document.querySelector(`tr[data-trace="${point.id}"]`)?.classList.add("lit");
}

function nearest(places, x, y) {
  let found = null;
  let least = 18 ** 2;
  for (const [i, place] of places.entries()) {
    const apart = (place.x - x) ** 2 + (place.y - y) ** 2;
    if (apart <= least) {
      least = apart;
      found = points[i];
    }
  }
  return found;
}

// Durations differ by orders of magnitude, so their axis is logarithmic, from one millisecond.
function plot(pen, width, height, near) {
  const style = getComputedStyle(document.documentElement);
  const color = (name) => resolved(`var(${name})`);
  const first = Math.min(...points.map((each) => each.at));
  const last = Math.max(...points.map((each) => each.at));
  const longest = Math.max(1000, ...points.map((each) => each.ms));
  const highest = Math.log10(longest) * 1.05;
  const across = (at) => LEFT + 8 + ((at - first) / Math.max(last - first, 1)) * (width - LEFT - 24);
  const up = (ms) => height - BOTTOM - 6 - (Math.log10(Math.max(ms, 1)) / highest) * (height - BOTTOM - TOP - 12);

  pen.clearRect(0, 0, width, height);
  pen.font = `11px ${style.getPropertyValue("--sans")}`;
  pen.strokeStyle = color("--line");
  pen.fillStyle = color("--faint");
  pen.textBaseline = "middle";
  pen.textAlign = "right";
  for (const [ms, text] of [[1, "1ms"], [100, "100ms"], [10_000, "10s"], [600_000, "10m"], [36_000_000, "10h"]]) {
    if (ms > longest * 2) break;
    pen.fillText(text, LEFT - 8, up(ms));
    pen.beginPath();
    pen.moveTo(LEFT, up(ms));
    pen.lineTo(width, up(ms));
    pen.stroke();
  }
  pen.textAlign = "left";
  pen.textBaseline = "bottom";
  pen.fillText(moment(first), LEFT, height);
  pen.textAlign = "right";
  pen.fillText(moment(last), width, height);

  const places = points.map((each) => ({ x: across(each.at), y: up(each.ms) }));
  for (const [i, each] of points.entries()) {
    pen.fillStyle = color(TONES[each.outcome] ?? "--warn");
    pen.globalAlpha = near && each !== near ? 0.35 : 0.8;
    pen.beginPath();
    pen.arc(places[i].x, places[i].y, Math.min(3 + Math.sqrt(each.spans) / 2, 10) + (each === near ? 2 : 0), 0, 7);
    pen.fill();
  }
  pen.globalAlpha = 1;
  return places;
}
