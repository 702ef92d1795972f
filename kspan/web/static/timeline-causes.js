// Which occurrence caused which: the parents of the columns, across several answers, and the effects of each.

export class Causes {
  #parents = [];
  #keys = [];
  #numbers = new Map();
  #unknown = new Set();
  #first = null;
  #next = null;

  /** Adds the occurrence with the next number. `parent`: the number of its cause, its span id, or -1. */
  add(trace, span, parent) {
    this.#parents.push(-1);
    this.#keys.push("");
    this.set(this.#parents.length - 1, trace, span, parent);
  }

  /** Says again what an occurrence is: one that waited for its cause has it now. */
  set(number, trace, span, parent) {
    this.#keys[number] = `${trace}/${span}`;
    this.#numbers.set(this.#keys[number], number);
    this.#parents[number] = typeof parent === "string" ? `${trace}/${parent}` : parent;
    if (typeof parent === "string") this.#unknown.add(number);
    else this.#unknown.delete(number);
    this.#first = null;
  }

  /** Returns the number of an occurrence; undefined if it is not there. */
  numberOf(trace, span) {
    return this.#numbers.get(`${trace}/${span}`);
  }

  /** Returns the number of the cause; -1 if there is none, or it is not there. */
  causeOf(number) {
    const parent = this.#parents[number];
    return typeof parent === "string" ? (this.#numbers.get(parent) ?? -1) : parent;
  }

  /** Returns the numbers of the direct effects, at most `most`. */
  effectsOf(number, most = 500) {
    if (this.#first === null) this.#link();
    const found = [];
    for (let each = this.#first[number]; each >= 0 && found.length < most; each = this.#next[each]) found.push(each);
    return found;
  }

  #link() {
    for (const number of this.#unknown) {
      const cause = this.#numbers.get(this.#parents[number]);
      if (cause === undefined) continue;
      this.#parents[number] = cause;
      this.#unknown.delete(number);
    }
    const length = this.#parents.length;
    this.#first = new Int32Array(length).fill(-1);
    this.#next = new Int32Array(length).fill(-1);
    for (let number = length - 1; number >= 0; number -= 1) {
      const cause = this.causeOf(number);
      if (cause < 0) continue;
      this.#next[number] = this.#first[cause];
      this.#first[cause] = number;
    }
  }
}

/**
 * Draws an arrow from a cause to its effect, both [x, y].
 *
 * It leaves to the right and arrives from the left. Where there is no room for that, it bends beside both.
 */
export function drawArrow(pen, [x1, y1], [x2, y2]) {
  const room = x2 - x1;
  const bend = Math.max(16, Math.abs(room) / 2);
  const lift = Math.abs(y2 - y1) < 1 ? -14 : 0;
  const begin = room >= 12 ? [x1 + bend, y1 + lift] : [x1 - 22, y1 + lift];
  const end = room >= 12 ? [x2 - bend, y2 + lift] : [x2 - 22, y2 + lift];
  const tip = x2 - 6;
  pen.beginPath();
  pen.moveTo(x1, y1);
  pen.bezierCurveTo(...begin, ...end, tip - 4, y2 + lift / 4);
  pen.stroke();
  pen.beginPath();
  pen.moveTo(tip, y2);
  pen.lineTo(tip - 6, y2 - 3.5);
  pen.lineTo(tip - 6, y2 + 3.5);
  pen.fill();
}
