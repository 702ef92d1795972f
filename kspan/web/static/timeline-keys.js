// Moving through the timeline with the wheel, the pointer, the keyboard and the buttons.

import { LANE } from "./timeline-view.js";

/**
 * Lets the reader move and choose.
 *
 * `redraw` draws the lanes again, `changed` also what depends on the range; `select` selects a range (null: none).
 */
export function moves(section, canvas, view, occurrences, choice, { redraw, changed, select }) {
  const zoom = (ms, factor) => {
    view.zoomAt(ms, factor);
    changed();
  };
  const move = (ms) => {
    view.move(ms);
    changed();
  };
  const scroll = (pixels) => {
    view.scrollBy(pixels, occurrences.lanes.length);
    redraw();
  };
  wheel(canvas, view, occurrences, { zoom, move, scroll });
  drag(canvas, view, choice, { move, scroll });
  keys(view, choice, { zoom, move, scroll, select });
  for (const button of section.querySelectorAll("[data-zoom]")) {
    button.addEventListener("click", () => {
      if (button.dataset.zoom !== "reset") zoom(view.middle, button.dataset.zoom === "in" ? 1 / 2 : 2);
      else {
        view.showAll();
        changed();
      }
    });
  }
}

function wheel(canvas, view, occurrences, { zoom, move, scroll }) {
  const { element } = view;
  element.addEventListener(
    "wheel",
    (event) => {
      const inside = occurrences.lanes.length * LANE > view.height;
      if (event.ctrlKey || event.metaKey || event.shiftKey) zoom(view.time(event, canvas), event.deltaY > 0 ? 1.2 : 1 / 1.2);
      else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) move((event.deltaX / element.clientWidth) * view.length);
      else if (inside) scroll(event.deltaY);
      else return;
      event.preventDefault();
    },
    { passive: false },
  );
}

function drag(canvas, view, choice, { move, scroll }) {
  const { element } = view;
  let at = null;
  element.addEventListener("pointerdown", (event) => {
    if (event.target !== canvas) return;
    at = { x: event.clientX, y: event.clientY };
    element.setPointerCapture(event.pointerId);
  });
  element.addEventListener("pointermove", (event) => {
    if (!at) {
      choice.point(event);
      return;
    }
    move(((at.x - event.clientX) / (element.clientWidth - view.left)) * view.length);
    scroll(at.y - event.clientY);
    at = { x: event.clientX, y: event.clientY };
  });
  element.addEventListener("pointerup", () => (at = null));
  element.addEventListener("pointerleave", () => choice.hover(null));
  element.addEventListener("click", (event) => choice.click(event));
}

function keys(view, choice, { zoom, move, scroll, select }) {
  view.element.addEventListener("keydown", (event) => {
    const acts = {
      ArrowLeft: () => move(-view.length / 5),
      ArrowRight: () => move(view.length / 5),
      ArrowUp: () => scroll(-LANE * 3),
      ArrowDown: () => scroll(LANE * 3),
      "+": () => zoom(view.middle, 1 / 1.5),
      "=": () => zoom(view.middle, 1 / 1.5),
      "-": () => zoom(view.middle, 1.5),
      j: () => choice.step(1),
      k: () => choice.step(-1),
      c: () => choice.chooseCause(),
      Enter: () => choice.chosen !== null && choice.open(choice.chosen),
      Escape: () => (choice.chosen === null ? select(null) : choice.choose(null)),
    };
    if (!acts[event.key] || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    acts[event.key]();
  });
}
