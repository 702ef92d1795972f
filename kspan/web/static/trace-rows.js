// The rows of the waterfall: only those in sight are elements. Each has a name and a lane with its bar or moment.

import { badgeOf, colorOf } from "./colors.js";
import { duration } from "./times.js";
import { make, nameOf } from "./trace-dom.js";
import { CHANGE, ERROR, UNFINISHED } from "./trace-model.js";

const BEYOND = 8;
const BUCKETS = 160;
const MOST_MARKS = 200;
const INDENT = 15;
const MOST_INDENT = 180;
const LEAST_LETTERS = 10;
const LETTER_PX = 7;
const BESIDE_PX = 75;
const LEAST_NOTE_PX = 40;
const LEAST_MESSAGE_PX = 90;
const PAD_PX = 12;

export class Rows {
  /** `scroller` is the element that scrolls, `lanes` one that is as wide as the lanes. */
  constructor(scroller, lanes, view) {
    this.scroller = scroller;
    this.lanes = lanes;
    this.view = view;
    this.rows = [];
    this.selected = -1;
    this.path = null;
    /** Returns how many pixels at the bottom something else covers. */
    this.covered = () => 0;
    this.#size();
    this.space = make("div", "space");
    this.space.setAttribute("role", "presentation");
    scroller.append(this.space);
    this.elements = new Map();
    this.width = 0;
    scroller.addEventListener("scroll", () => this.draw(), { passive: true });
  }

  /** On a phone, a row has two lines. */
  #size() {
    this.height = matchMedia("(max-width: 900px)").matches ? 42 : matchMedia("(pointer: coarse)").matches ? 34 : 27;
    this.scroller.style.setProperty("--row", `${this.height}px`);
  }

  /** Fits the rows to another size of the window. */
  resize() {
    const { index, offset } = this.anchor;
    this.#size();
    this.space.style.height = `${this.rows.length * this.height}px`;
    this.scroller.scrollTop = index * this.height + offset;
    this.redraw();
  }

  /** Shows other rows. `path` is the critical path, or null. */
  show(tree, rows, path) {
    this.tree = tree;
    this.rows = rows;
    this.path = path;
    this.space.style.height = `${rows.length * this.height}px`;
    this.redraw();
  }

  /** Draws all rows in sight again. */
  redraw() {
    this.width = this.lanes.clientWidth;
    this.names = this.scroller.clientWidth - this.width;
    this.space.replaceChildren();
    this.elements.clear();
    this.draw();
  }

  /** Adds the rows that came into sight, and removes those that left it. */
  draw() {
    const { scrollTop, clientHeight } = this.scroller;
    const from = Math.max(0, Math.floor(scrollTop / this.height) - BEYOND);
    const to = Math.min(this.rows.length, Math.ceil((scrollTop + clientHeight) / this.height) + BEYOND);
    for (const [i, element] of this.elements) {
      if (i >= from && i < to) continue;
      element.remove();
      this.elements.delete(i);
    }
    const added = document.createDocumentFragment();
    for (let i = from; i < to; i++) {
      if (this.elements.has(i)) continue;
      const element = this.#row(i);
      this.elements.set(i, element);
      added.append(element);
    }
    if (added.childNodes.length) this.space.append(added);
    this.#pointAtSelected();
  }

  select(index) {
    this.#mark(this.selected, false);
    this.selected = index;
    this.#mark(index, true);
    this.#pointAtSelected();
  }

  #mark(index, isSelected) {
    const element = this.elements.get(index);
    if (!element) return;
    element.setAttribute("aria-selected", String(isSelected));
  }

  #pointAtSelected() {
    if (this.elements.has(this.selected)) this.scroller.setAttribute("aria-activedescendant", `row-${this.selected}`);
    else this.scroller.removeAttribute("aria-activedescendant");
  }

  /** Scrolls a row into sight; with `center` into the middle if it was not in sight. */
  reveal(index, { center = false } = {}) {
    if (index < 0) return;
    const { scrollTop } = this.scroller;
    const clientHeight = this.scroller.clientHeight - this.covered();
    const top = index * this.height;
    if (top >= scrollTop && top + this.height <= scrollTop + clientHeight) return;
    if (center) this.scroller.scrollTop = top - clientHeight / 2;
    else this.scroller.scrollTop = top < scrollTop ? top : top + this.height - clientHeight;
    this.draw();
  }

  /** Returns the number of the first row in sight, and how far it is scrolled beyond the edge. */
  get anchor() {
    const index = Math.floor(this.scroller.scrollTop / this.height);
    return { index, offset: this.scroller.scrollTop - index * this.height };
  }

  #row(i) {
    const row = this.rows[i];
    const { spans } = this.tree;
    const { node } = row;
    const element = make("div", `row ${colorOf(spans.text("service", node))}`);
    element.id = `row-${i}`;
    element.dataset.row = String(i);
    element.style.transform = `translateY(${i * this.height}px)`;
    element.setAttribute("role", "treeitem");
    element.setAttribute("aria-level", String(row.level));
    element.setAttribute("aria-selected", String(i === this.selected));
    element.setAttribute("aria-label", this.#words(row));
    if (row.hasMore) element.setAttribute("aria-expanded", String(row.isOpen));
    if (this.tree.isError(node)) element.classList.add("error");
    else if (row.hasMore && !row.isOpen && !row.members && this.tree.errorBelow[node]) element.classList.add("hides-error");
    if (this.path && !this.#onPath(row)) element.classList.add("aside");
    element.append(this.#title(row), this.#lane(row));
    return element;
  }

  /** A row in words, for those who do not see it. */
  #words(row) {
    const { spans } = this.tree;
    const { node, members } = row;
    const many = members ? `${members.length} × ` : "";
    const words = [`${many}${spans.text("kind", node)} ${spans.text("reason", node)}`, members ? "" : spans.text("name", node)];
    const lasted = !members && spans.lasts(node) ? duration(spans.end[node] - spans.start[node]) : "";
    const failed = this.tree.isError(node) ? "failed" : "";
    return `${words.filter(Boolean).join(" ")}${[failed, this.#note(row), lasted].filter(Boolean).map((each) => `, ${each}`).join("")}`;
  }

  #onPath(row) {
    return row.members ? row.members.some((node) => this.path.on[node]) : this.path.on[row.node];
  }

  #title(row) {
    const { spans } = this.tree;
    const { node } = row;
    const title = make("div", "title");
    title.append(this.#guides(row));
    const twist = make("i", row.hasMore ? `twist${row.isOpen ? " open" : ""}` : row.level > 1 ? "stem" : "twist none");
    if (row.hasMore) twist.dataset.twist = "";
    title.append(twist);
    const kind = spans.text("kind", node);
    const badge = make("span", "kind", badgeOf(kind));
    badge.title = `${kind}, by ${spans.text("service", node)}`;
    title.append(badge);
    const first = make("span");
    const second = make("span");
    const words = make("div", "words");
    words.append(first, second);
    title.append(words);
    const times = row.members ? `${row.members.length.toLocaleString("en")}× ` : "";
    first.append(make("b", "verb", times + spans.text("reason", node)));
    const name = nameOf(row.members ? shared(row.members.map((each) => spans.text("name", each))) : spans.text("name", node));
    name.style.minWidth = `${Math.min(name.title.length, LEAST_LETTERS)}ch`;
    second.append(name);
    if (!row.members && spans.several.has(spans.name[node]) && spans.container[node]) {
      second.append(make("span", "container", spans.text("container", node)));
    }
    const count = row.members ? 0 : (spans.times.get(node) ?? 0);
    if (count > 1) first.append(make("span", "times", `×${count}`));
    const note = this.#note(row);
    if (note && this.#hasRoom(row, title)) {
      const short = make("span", "note", withoutRegistry(note));
      short.title = note;
      second.append(short);
    }
    return title;
  }

  /** Whether a note has room for more than a few letters. The name gives way to the message of an error, within limits. */
  #hasRoom(row, title) {
    let letters = 0;
    for (const part of title.querySelectorAll(".verb, .container, .times")) letters += part.textContent.length + 1;
    const name = title.querySelector(".name").title.length;
    const isError = this.tree.isError(row.node);
    letters += isError ? Math.min(name, LEAST_LETTERS) : name;
    const room = this.names - letters * LETTER_PX - (row.level - 1) * INDENT - BESIDE_PX;
    return room > (isError ? LEAST_MESSAGE_PX : LEAST_NOTE_PX);
  }

  /** The lines that join a row with its cause. Deep rows are indented less, so that their names have room. */
  #guides(row) {
    const found = document.createDocumentFragment();
    const depth = row.level - 1;
    const width = Math.min(INDENT, MOST_INDENT / Math.max(depth, 1));
    const cells = [];
    for (let each = row; each.above; each = each.above) {
      cells.push(each === row ? (each.isLast ? "last" : "branch") : each.isLast ? "" : "rail");
    }
    for (const cell of cells.slice(0, 60).reverse()) {
      const guide = make("i", `guide ${cell}`);
      if (width < INDENT) guide.style.width = `${width}px`;
      found.append(guide);
    }
    return found;
  }

  #note(row) {
    const { spans } = this.tree;
    if (row.members) return shared(row.members.map((each) => spans.text("note", each)), "");
    return spans.text("note", row.node) || (spans.is(row.node, ERROR) ? spans.text("message", row.node) : "");
  }

  // Lanes

  #lane(row) {
    const lane = make("div", "lane");
    if (row.members && !row.isOpen) return this.#groupLane(lane, row);
    if (row.members) return lane;
    const { spans } = this.tree;
    const { node } = row;
    const from = this.view.place(spans.start[node]);
    const to = this.view.place(spans.end[node]);
    if (spans.lasts(node)) this.#bar(lane, node, from, to);
    else if (from >= 0 && from <= 1) lane.append(at(make("i", "moment"), from));
    this.#marks(lane, node);
    if (this.path?.on[node]) this.#path(lane, node);
    if (to < 0 || from > 1) lane.append(make("i", `beyond ${to < 0 ? "left" : "right"}`));
    return lane;
  }

  #bar(lane, node, from, to) {
    const { spans } = this.tree;
    if (to < 0 || from > 1) return;
    const left = Math.max(from, -0.01);
    const right = Math.min(to, 1.01);
    const kind = spans.is(node, CHANGE) ? "" : " waits";
    const bar = at(make("i", `bar${kind}${spans.is(node, UNFINISHED) ? " unfinished" : ""}`), left);
    bar.style.width = `${(right - left) * 100}%`;
    lane.append(bar, this.#label(duration(spans.end[node] - spans.start[node]), Math.max(from, 0), Math.min(to, 1)));
  }

  /** The duration: behind the bar, inside if there is no room, before it if there is none either. */
  #label(text, from, to) {
    const needed = text.length * LETTER_PX + PAD_PX;
    const label = make("span", "label", text);
    if ((1 - to) * this.width >= needed) return at(label, to);
    const isInside = (to - from) * this.width >= needed + 8;
    if (isInside) label.classList.add("inside");
    label.style.right = `${(1 - (isInside ? to : from)) * 100}%`;
    return label;
  }

  #marks(lane, node) {
    const { spans } = this.tree;
    let drawn = 0;
    for (let i = spans.markFrom[node]; i < spans.markFrom[node + 1] && drawn < MOST_MARKS; i++) {
      const place = this.view.place(spans.markAt[i]);
      const isItself = !spans.lasts(node) && Math.abs(spans.markAt[i] - spans.start[node]) < 1;
      if (place < 0 || place > 1 || isItself) continue;
      const tick = at(make("i", "tick"), place);
      tick.title = spans.texts[spans.markName[i]];
      lane.append(tick);
      drawn++;
    }
  }

  #path(lane, node) {
    for (const [from, to] of this.path.parts.get(node)) {
      const left = Math.max(this.view.place(from), 0);
      const right = Math.min(this.view.place(to), 1);
      if (right < left) continue;
      const line = at(make("i", "path"), left);
      line.style.width = `${(right - left) * 100}%`;
      lane.append(line);
    }
  }

  /** All members of a group in one lane: as many marks as there are places. */
  #groupLane(lane, row) {
    const { spans } = this.tree;
    const counts = new Uint32Array(BUCKETS);
    let lasting = false;
    for (const node of row.members) {
      const from = this.view.place(spans.start[node]);
      const to = this.view.place(spans.end[node]);
      if (to < 0 || from > 1) continue;
      lasting ||= spans.lasts(node);
      const first = Math.max(0, Math.floor(from * BUCKETS));
      const last = Math.min(BUCKETS - 1, Math.floor(to * BUCKETS));
      for (let i = Math.min(first, last); i <= last; i++) counts[i]++;
    }
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    for (let i = 0; i < BUCKETS; i++) {
      if (!counts[i]) continue;
      let end = i + 1;
      while (lasting && end < BUCKETS && counts[end] === counts[i]) end++;
      const mark = at(make("i", lasting ? "crowd" : "moment"), (lasting ? i : i + 0.5) / BUCKETS);
      if (lasting) mark.style.width = `${((end - i) / BUCKETS) * 100}%`;
      mark.style.opacity = String(0.35 + 0.65 * (counts[i] / most));
      lane.append(mark);
      i = end - 1;
    }
    return lane;
  }
}

function at(element, place) {
  element.style.left = `${place * 100}%`;
  return element;
}

/** Returns a note without the registries of images: shop/web:v1 instead of registry.example.com/shop/web:v1. */
function withoutRegistry(note) {
  return note.replace(/(^|[\s:])(?:[\w-]+\.)+[\w-]+(?::\d+)?\/(?=[\w./-]+[:@])/g, "$1");
}

/** Returns what texts have in common: the text, or its beginning with an ellipsis. */
function shared(texts, none = "…") {
  let common = texts[0];
  for (const text of texts) {
    let i = 0;
    while (i < common.length && common[i] === text[i]) i++;
    common = common.slice(0, i);
  }
  return texts.every((text) => text === texts[0]) ? texts[0] : common.length > 1 && none ? `${common}…` : none;
}
