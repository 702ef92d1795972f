// Elements made of data. Texts from a cluster are only ever text: control characters and those that turn the direction of
// what follows are shown as escapes.

import { badgeOf, colorOf } from "./colors.js";

const HOSTILE = /[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}]/gu;
const HOSTILE_IN_LINES = /(?!\n)[\p{Cc}\p{Cf}\p{Cs}\p{Cn}\p{Co}]/gu;
const TAIL = 8;

function escaped(char) {
  return `\\u{${char.codePointAt(0).toString(16)}}`;
}

/** Returns a text on one line. */
export function plain(text) {
  return text.replace(/\s+/gu, " ").replace(HOSTILE, escaped);
}

/** Returns a text that may have several lines. */
export function plainLines(text) {
  return text.replace(/\r\n?/g, "\n").replaceAll("\t", "  ").replace(HOSTILE_IN_LINES, escaped);
}

/** Makes an element. */
export function make(tag, className = "", text = null) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== null) element.textContent = text;
  return element;
}

/** Makes a name that keeps its end when there is no room. */
export function nameOf(text) {
  const element = make("span", "name");
  element.title = text;
  const cut = text.length > 2 * TAIL;
  element.append(make("span", "", cut ? text.slice(0, -TAIL) : text));
  if (cut) element.append(make("span", "", text.slice(-TAIL)));
  return element;
}

/** Makes the badge of a kind in the color of a component. */
export function kindOf(kind, service = "") {
  const element = make("span", service ? `kind ${colorOf(service)}` : "kind", badgeOf(kind));
  element.title = kind;
  return element;
}

/** Makes a button. */
export function button(text, className, clicked) {
  const element = make("button", className, text);
  element.type = "button";
  element.addEventListener("click", clicked);
  return element;
}
