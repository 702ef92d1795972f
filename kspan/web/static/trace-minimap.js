// All spans at once, above the rows: one line each on a canvas, and a brush that shows and chooses the range of time.

import { colorOf, resolved } from "./colors.js";

const EDGE_PX = 6;
const LEAST_PX = 4;

export class Minimap {
  /** `changed` is called when a reader chose another range. */
  constructor(element, view, changed) {
    this.canvas = element.querySelector("canvas");
    [this.before, this.after] = element.querySelectorAll(".shade");
    this.brush = element.querySelector(".brush");
    this.view = view;
    this.changed = changed;
    this.tree = null;
    element.addEventListener("pointerdown", (event) => this.#drag(event, element));
    element.addEventListener("dblclick", () => {
      view.reset();
      changed();
    });
    new ResizeObserver(() => this.draw()).observe(element);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
  }

  show(tree, shown) {
    this.tree = tree;
    this.shown = shown;
    this.draw();
  }

  draw() {
    if (!this.tree) return;
    const { width, height } = this.canvas.getBoundingClientRect();
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const pen = this.canvas.getContext("2d");
    pen.scale(ratio, ratio);
    this.#draw(pen, width, height);
    this.mark();
  }

  #draw(pen, width, height) {
    const { tree, shown, view } = this;
    const { spans } = tree;
    const colors = new Map();
    const colorFor = (service) => {
      if (!colors.has(service)) colors.set(service, resolved(`var(--${colorOf(spans.texts[service])})`));
      return colors.get(service);
    };
    const bad = resolved("var(--bad)");
    const length = view.last - view.first;
    const nodes = tree.order.filter((node) => shown[node]);
    const step = height / Math.max(nodes.length, 12);
    const thick = Math.max(step - 0.5, 1);
    const draw = (node, i, color) => {
      const x = ((spans.start[node] - view.first) / length) * width;
      const wide = Math.max(((spans.end[node] - spans.start[node]) / length) * width, 2);
      pen.fillStyle = color;
      pen.fillRect(x, i * step, wide, thick);
    };
    for (const [i, node] of nodes.entries()) if (!tree.isError(node)) draw(node, i, colorFor(spans.service[node]));
    for (const [i, node] of nodes.entries()) if (tree.isError(node)) draw(node, i, bad);
  }

  /** Shows which range is in view. */
  mark() {
    const { view } = this;
    const whole = view.last - view.first;
    const from = (view.from - view.first) / whole;
    const to = (view.to - view.first) / whole;
    this.before.style.width = `${from * 100}%`;
    this.after.style.width = `${(1 - to) * 100}%`;
    this.brush.style.left = `${from * 100}%`;
    this.brush.style.width = `${(to - from) * 100}%`;
    this.brush.hidden = view.isWhole;
  }

  #drag(down, element) {
    if (down.button !== 0) return;
    down.preventDefault();
    const { view } = this;
    const box = element.getBoundingClientRect();
    const whole = view.last - view.first;
    const moment = (event) => view.first + ((event.clientX - box.left) / box.width) * whole;
    const start = moment(down);
    const edge = (EDGE_PX / box.width) * whole;
    const was = { from: view.from, to: view.to };
    const moves = !view.isWhole && start > was.from + edge && start < was.to - edge;
    // At an edge of the brush the other edge stays.
    const fixed = view.isWhole ? start : Math.abs(start - was.from) <= edge ? was.to : Math.abs(start - was.to) <= edge ? was.from : start;
    element.setPointerCapture(down.pointerId);
    const move = (event) => {
      if (Math.abs(event.clientX - down.clientX) < LEAST_PX && fixed === start) return;
      const now = moment(event);
      if (moves) view.show(was.from + now - start, was.to + now - start);
      else view.show(Math.min(fixed, now), Math.max(fixed, now));
      this.changed();
    };
    const up = () => {
      element.removeEventListener("pointermove", move);
      element.removeEventListener("pointerup", up);
      element.removeEventListener("pointercancel", up);
    };
    element.addEventListener("pointermove", move);
    element.addEventListener("pointerup", up);
    element.addEventListener("pointercancel", up);
  }
}
