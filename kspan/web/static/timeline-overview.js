// The overview above the lanes: how much happened when, what is in view, and the range that the reader selects there.

import { color, shade, sized } from "./timeline-lanes.js";

/** Draws the overview. `brush`: the selected range, or null. */
export function drawOverview(canvas, view, occurrences, brush) {
  const [pen, width, height] = sized(canvas);
  const [begin, end] = view.whole;
  const bins = new Float64Array(Math.max(1, Math.floor(width / 3)));
  const failed = new Float64Array(bins.length);
  for (let i = 0; i < occurrences.length; i += 1) {
    const part = (occurrences.start[i] - begin) / (end - begin);
    const bin = Math.min(bins.length - 1, Math.floor(part * bins.length));
    if (bin < 0) continue;
    bins[bin] += 1;
    if (occurrences.flag[i] === 1) failed[bin] += 1;
  }
  const highest = Math.max(1, ...bins);
  const up = (value) => (Math.sqrt(value) / Math.sqrt(highest)) * (height - 6);
  for (const [tone, counts] of [["--faint", bins], ["--bad", failed]]) {
    pen.fillStyle = color(tone);
    counts.forEach((count, bin) => pen.fillRect(bin * 3, height - up(count), 2, up(count)));
  }
  const across = (ms) => ((ms - begin) / (end - begin)) * width;
  if (view.from > begin || view.to < end) {
    pen.strokeStyle = color("--accent");
    pen.lineWidth = 1.5;
    pen.strokeRect(across(view.from), 1, Math.max(2, across(view.to) - across(view.from)), height - 2);
  }
  if (brush) shade(pen, across(brush[0]), across(brush[1]), height);
}

/**
 * Calls `select` with the range that the reader drags over the overview; with null if it is too short to be meant.
 * `selected` returns the selected range, or null.
 */
export function selectsRange(canvas, view, selected, select) {
  let begun = null;
  const time = (event) => {
    const box = canvas.getBoundingClientRect();
    const part = Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    return view.whole[0] + part * (view.whole[1] - view.whole[0]);
  };
  canvas.addEventListener("pointerdown", (event) => {
    begun = time(event);
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    if (begun === null) return;
    const now = time(event);
    select([Math.min(begun, now), Math.max(begun, now)]);
  });
  canvas.addEventListener("pointerup", () => {
    begun = null;
    const range = selected();
    if (!range || range[1] - range[0] < (view.whole[1] - view.whole[0]) / 500) select(null);
  });
}
