// The occurrence under the pointer, and the one that the reader has chosen with the keyboard or a finger.

import { inCluster } from "./cluster.js";
import { LANE, RULER } from "./timeline-view.js";
import { clock } from "./times.js";

// How far from its mark an occurrence is still under the pointer, in pixels.
const NEAR = 9;

export class Choice {
  /**
   * `tip` shows the occurrence, `said` says it to a screen reader. `redraw` draws the lanes again, `changed` also what
   * depends on the range.
   */
  constructor(view, occurrences, { canvas, tip, said, redraw, changed }) {
    this.view = view;
    this.occurrences = occurrences;
    this.canvas = canvas;
    this.tip = tip;
    this.said = said;
    this.redraw = redraw;
    this.changed = changed;
    this.hovered = null;
    this.chosen = null;
  }

  /** The occurrence whose arrows are shown; null: none. */
  get here() {
    return this.hovered ?? this.chosen;
  }

  /** Returns the occurrence at the pointer; null: there is none. */
  nearest(event) {
    const { view, occurrences } = this;
    const box = this.canvas.getBoundingClientRect();
    const lane = Math.floor((event.clientY - box.top - RULER + view.scroll) / LANE);
    const at = event.clientX - box.left;
    const x = view.scale(box.width);
    let found = null;
    let least = NEAR;
    for (let i = 0; i < occurrences.length; i += 1) {
      if (occurrences.laneOf(i).at !== lane) continue;
      const apart = Math.abs(x(occurrences.start[i]) - at);
      if (apart < least) {
        least = apart;
        found = i;
      }
    }
    return found;
  }

  point(event) {
    this.hover(this.nearest(event));
    if (this.hovered === null) return;
    const box = this.view.element.getBoundingClientRect();
    this.#showTip(this.hovered, event.clientX - box.left, event.clientY - box.top);
  }

  hover(found) {
    if (found !== this.hovered) this.redraw();
    this.hovered = found;
    if (found !== null) return;
    this.tip.hidden = this.chosen === null;
    if (this.chosen !== null) this.#showTip(this.chosen, ...this.view.place(this.occurrences, this.chosen));
  }

  /** Opens the trace of an occurrence. */
  open(i) {
    const { trace, span } = this.occurrences;
    if (trace[i]) location.href = inCluster(`/traces/${trace[i]}#${span[i]}`);
  }

  click(event) {
    const found = this.nearest(event);
    if (found === null) return;
    // A finger does not hover: the first touch chooses, the second one opens.
    if (event.pointerType !== "touch" || found === this.chosen) this.open(found);
    else this.choose(found);
  }

  /** Chooses the next occurrence in time (1) or the one before (-1); without a chosen one, the first or last in view. */
  step(direction) {
    const { start } = this.occurrences;
    const { from, to } = this.view;
    const before = (a, b) => (start[a] - start[b] || a - b) * direction < 0;
    let found = null;
    for (let i = 0; i < this.occurrences.length; i += 1) {
      if (this.chosen === null ? start[i] < from || start[i] > to : !before(this.chosen, i)) continue;
      if (found === null || before(i, found)) found = i;
    }
    this.choose(found ?? this.chosen);
  }

  chooseCause() {
    const cause = this.chosen === null ? -1 : this.occurrences.causes.causeOf(this.chosen);
    if (cause >= 0) this.choose(cause);
  }

  /** Chooses an occurrence, and brings it into view; null: none. */
  choose(i) {
    this.chosen = i;
    this.hovered = null;
    if (i === null) {
      this.tip.hidden = true;
      this.said.textContent = "";
    } else {
      const { view, occurrences } = this;
      const at = occurrences.start[i];
      if (at < view.from || at > view.to) {
        view.move(at - view.middle);
        this.changed();
      }
      view.scrollTo(occurrences.laneOf(i), occurrences.lanes.length);
      this.#showTip(i, ...view.place(occurrences, i));
      this.said.textContent = this.#sentence(i);
    }
    this.redraw();
  }

  #sentence(i) {
    const { causes, reason } = this.occurrences;
    const lane = this.occurrences.laneOf(i);
    const cause = causes.causeOf(i);
    const why = cause < 0 ? "" : `, because of ${reason[cause]} of ${this.occurrences.laneOf(cause).name}`;
    const effects = causes.effectsOf(i).length;
    return `${lane.kind} ${lane.name}: ${this.#described(i)}${why}, ${effects} direct ${effects === 1 ? "effect" : "effects"}`;
  }

  #described(i) {
    const { start, reason, who, what } = this.occurrences;
    return `${clock(start[i])} ${reason[i]} · ${who[i]}${what[i] ? ` · ${what[i]}` : ""}`;
  }

  #showTip(i, across, down) {
    const { tip, view } = this;
    const { clientWidth, clientHeight } = view.element;
    tip.hidden = false;
    tip.textContent = this.#described(i);
    const beyond = across > clientWidth / 2;
    tip.style.top = `${Math.min(down + 16, clientHeight - 60)}px`;
    tip.style.left = beyond ? "auto" : `${across + 12}px`;
    tip.style.right = beyond ? `${clientWidth - across + 12}px` : "auto";
  }
}
