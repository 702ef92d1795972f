// The spans of a trace as columns of numbers (see kspan/query/waterfall/columns.py). A span is a number: its place there.

export const ERROR = 1;
export const EVENT = 2;
export const CHANGE = 4;
export const UNFINISHED = 8;
export const REMOTE = 16;

/** Below this, nothing proves a cause. */
export const CERTAIN = 70;

const NUMBERS = ["kind", "reason", "service", "rule", "name", "namespace", "container", "note", "message"];

export class Spans {
  /** `data` is the answer of rows.json. */
  constructor(data) {
    this.traceId = data.trace_id;
    this.open = data.open;
    this.begin = data.begin;
    this.total = data.total;
    this.count = data.id.length;
    this.ids = data.id;
    this.texts = data.texts;
    this.parent = Int32Array.from(data.parent);
    this.start = Float64Array.from(data.start);
    this.end = Float64Array.from(data.end);
    this.confidence = Uint8Array.from(data.confidence);
    this.flags = Uint8Array.from(data.flags);
    for (const name of NUMBERS) this[name] = Uint32Array.from(data[name]);
    this.times = new Map();
    for (let i = 0; i < data.counts.length; i += 2) this.times.set(data.counts[i], data.counts[i + 1]);
    this.#readMarks(data.marks);
    this.first = this.markAt.reduce((least, at) => Math.min(least, at), 0);
    this.last = Math.max(data.length, 0.001);
    this.numbers = new Map(data.id.map((id, number) => [id, number]));
    this.root = this.numbers.get(data.root) ?? (this.count ? 0 : -1);
    this.words = null;
    this.several = this.#namesWithSeveralContainers();
  }

  #namesWithSeveralContainers() {
    const first = new Map();
    const found = new Set();
    for (let i = 0; i < this.count; i++) {
      if (!this.container[i]) continue;
      const known = first.get(this.name[i]);
      if (known === undefined) first.set(this.name[i], this.container[i]);
      else if (known !== this.container[i]) found.add(this.name[i]);
    }
    return found;
  }

  // Marks of span i are those from markFrom[i] to markFrom[i + 1]; they are given in the order of the spans.
  #readMarks(marks) {
    const count = marks.length / 3;
    this.markFrom = new Uint32Array(this.count + 1);
    this.markAt = new Float64Array(count);
    this.markName = new Uint32Array(count);
    for (let i = 0; i < count; i++) {
      this.markFrom[marks[i * 3] + 1]++;
      this.markAt[i] = marks[i * 3 + 1];
      this.markName[i] = marks[i * 3 + 2];
    }
    for (let i = 0; i < this.count; i++) this.markFrom[i + 1] += this.markFrom[i];
  }

  text(column, span) {
    return this.texts[this[column][span]];
  }

  is(span, flag) {
    return (this.flags[span] & flag) !== 0;
  }

  lasts(span) {
    return this.end[span] > this.start[span];
  }

  /** A change lasts until it is done. What else lasts waits for something, or fails. */
  waits(span) {
    return this.lasts(span) && !this.is(span, CHANGE);
  }

  /** Returns the text of a span that a filter looks at, in small letters. */
  word(span) {
    this.words ??= new Array(this.count);
    return (this.words[span] ??= [
      `${this.text("kind", span)}.${this.text("reason", span)}`,
      `${this.text("kind", span)}/${this.text("name", span)}`,
      this.text("namespace", span),
      this.text("container", span),
      this.text("service", span),
      this.text("note", span),
      this.text("message", span),
      this.ids[span],
    ]
      .join("\n")
      .toLowerCase());
  }
}

/** Returns the names of the components, those with the most spans first. */
export function servicesOf(spans) {
  const counts = new Map();
  for (const service of spans.service) counts.set(service, (counts.get(service) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1]).map(([service]) => spans.texts[service]);
}
