// The mouse and the finger in the lanes: a line that follows, dragging to zoom, the wheel, and the width of the names.

import { clock } from "./times.js";
import { make } from "./trace-dom.js";
import { since } from "./trace-view.js";

const DRAG_PX = 5;
const ZOOM = 1.0015;
const NAMES = "kspan.trace.names";
const LEAST_NAMES_PX = 140;
const LEAST_LANES_PX = 120;

export class Pointer {
  /**
   * `stage` is all of the waterfall, `scroller` its rows, and `layer` lies above them. `actions`: `begin()` returns when
   * the trace began (milliseconds since 1970), `zoomed()` and `resized()` are called after a change.
   */
  constructor({ stage, scroller, layer, view, actions }) {
    this.stage = stage;
    this.scroller = scroller;
    this.view = view;
    this.actions = actions;
    /** Whether the newest press of a button became a drag, which is not a click. */
    this.dragged = false;
    this.isDue = false;
    this.lanes = make("div", "lines over");
    this.cursor = make("div", "cursor");
    this.moment = make("span", "at");
    this.range = make("div", "range");
    this.divider = make("div", "divider");
    this.cursor.append(this.moment);
    this.cursor.hidden = true;
    this.range.hidden = true;
    this.lanes.append(this.cursor, this.range);
    layer.append(this.lanes, this.divider);
    scroller.addEventListener("pointerdown", (event) => this.#press(event));
    scroller.addEventListener("pointermove", (event) => this.#follow(event));
    scroller.addEventListener("pointerleave", () => this.hide());
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    this.divider.addEventListener("pointerdown", (event) => this.#resize(event));
    this.divider.addEventListener("dblclick", () => {
      this.#setNames(0);
      keep(0);
    });
    document.addEventListener("zone", () => this.hide());
    if (kept() && matchMedia("(min-width: 901px)").matches) stage.style.setProperty("--names", `${kept()}px`);
  }

  /** Returns where in the lanes an event is: 0 to 1, or beyond. */
  placeOf(event) {
    const box = this.lanes.getBoundingClientRect();
    return (event.clientX - box.left) / box.width;
  }

  hide() {
    this.cursor.hidden = true;
  }

  #within(event) {
    return Math.min(Math.max(this.placeOf(event), 0), 1);
  }

  #press(down) {
    this.dragged = false;
    const start = this.placeOf(down);
    if (down.button !== 0 || start < 0 || start > 1) return;
    const { scroller, view, range } = this;
    const move = (event) => {
      if (!this.dragged && Math.abs(event.clientX - down.clientX) < DRAG_PX) return;
      if (!this.dragged) scroller.setPointerCapture(down.pointerId);
      this.dragged = true;
      const now = this.#within(event);
      range.hidden = false;
      range.style.left = `${Math.min(start, now) * 100}%`;
      range.style.width = `${Math.abs(now - start) * 100}%`;
    };
    const end = (event) => {
      scroller.removeEventListener("pointermove", move);
      scroller.removeEventListener("pointerup", end);
      scroller.removeEventListener("pointercancel", end);
      range.hidden = true;
      if (!this.dragged || event.type === "pointercancel") return;
      const now = this.#within(event);
      view.show(view.moment(Math.min(start, now)), view.moment(Math.max(start, now)));
      this.actions.zoomed();
    };
    scroller.addEventListener("pointermove", move);
    scroller.addEventListener("pointerup", end);
    scroller.addEventListener("pointercancel", end);
  }

  #follow(event) {
    const place = this.placeOf(event);
    this.cursor.hidden = place < 0 || place > 1 || event.pointerType === "touch";
    if (this.cursor.hidden) return;
    this.cursor.style.left = `${place * 100}%`;
    this.cursor.classList.toggle("beyond", place > 0.7);
    const ms = this.view.moment(place);
    this.moment.textContent = `${since(ms, this.view.length / 200)} · ${clock(this.actions.begin() + ms)}`;
  }

  #wheel(event) {
    const { view } = this;
    const zooms = event.ctrlKey || event.metaKey;
    const moves = event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY);
    if (!(zooms || moves) || !event.target.closest(".body, .minimap")) return;
    event.preventDefault();
    if (zooms) view.zoom(ZOOM ** event.deltaY, view.moment(this.#within(event)));
    else view.move(((event.deltaX || event.deltaY) / Math.max(this.lanes.clientWidth, 1)) * view.length);
    if (this.isDue) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.actions.zoomed();
    });
  }

  #resize(down) {
    down.preventDefault();
    this.divider.setPointerCapture(down.pointerId);
    const { left } = this.scroller.getBoundingClientRect();
    let px = 0;
    const move = (event) => {
      px = Math.round(Math.min(Math.max(event.clientX - left, LEAST_NAMES_PX), this.scroller.clientWidth - LEAST_LANES_PX));
      this.#setNames(px);
    };
    const end = () => {
      this.divider.removeEventListener("pointermove", move);
      if (px) keep(px);
    };
    this.divider.addEventListener("pointermove", move);
    this.divider.addEventListener("lostpointercapture", end, { once: true });
  }

  #setNames(px) {
    if (px) this.stage.style.setProperty("--names", `${px}px`);
    else this.stage.style.removeProperty("--names");
    this.actions.resized();
  }
}

function keep(px) {
  try {
    if (px) localStorage.setItem(NAMES, String(px));
    else localStorage.removeItem(NAMES);
  } catch {
    // A browser that keeps nothing.
  }
}

function kept() {
  try {
    return Number(localStorage.getItem(NAMES)) || 0;
  } catch {
    return 0;
  }
}
