// The occurrences of the timeline: the columns that the server sends, their lanes, and what caused what.

import { Causes } from "./timeline-causes.js";

/** Number of occurrences after which no more are read. */
export const MOST = 100_000;

export class Occurrences {
  constructor() {
    this.causes = new Causes();
    this.lanes = [];
    this.lane = [];
    this.start = [];
    this.end = [];
    this.reason = [];
    this.who = [];
    this.what = [];
    this.flag = [];
    this.times = [];
    this.trace = [];
    this.span = [];
    // Those that wait for their cause: their numbers by span id.
    this.waiting = new Map();
    this.lanesByUid = new Map();
  }

  get length() {
    return this.start.length;
  }

  get isFull() {
    return this.length >= MOST;
  }

  /** Returns the lane of an occurrence. */
  laneOf(i) {
    return this.lanes[this.lane[i]];
  }

  first() {
    return this.start.reduce((least, each) => Math.min(least, each), Infinity);
  }

  last() {
    return this.end.reduce((most, each) => Math.max(most, each), -Infinity);
  }

  newest() {
    return this.start.reduce((most, each) => Math.max(most, each), -Infinity);
  }

  /** Returns the start of the oldest occurrence that waits for its cause; `otherwise` if that is older. */
  oldestWaiting(otherwise) {
    return [...this.waiting.values()].reduce((least, i) => Math.min(least, this.start[i]), otherwise);
  }

  /** Reads pages to the end. Returns the cursor of what is left out; null: the server did not answer. */
  async read(source) {
    let cursor = "";
    do {
      const answer = await fetch(source + (cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""));
      if (!answer.ok) return null;
      const found = await answer.json();
      this.append(found);
      cursor = found.next ?? "";
    } while (cursor && !this.isFull);
    return cursor;
  }

  append(found) {
    const places = found.object.map((object) => this.#lane(found.texts, object));
    const numbers = [];
    for (let i = 0; i < found.start.length; i += 1) {
      const known = this.causes.numberOf(found.trace[i], found.span[i]) ?? this.waiting.get(found.span[i]);
      const number = known ?? this.length;
      numbers.push(number);
      this.#set(number, found, i, places[found.lane[i]]);
      if (found.trace[i]) this.waiting.delete(found.span[i]);
      else this.waiting.set(found.span[i], number);
      if (known === undefined) this.causes.add(found.trace[i], found.span[i], -1);
    }
    for (let i = 0; i < found.start.length; i += 1) {
      const parent = found.parent[i];
      const cause = typeof parent === "number" && parent >= 0 ? numbers[parent] : parent;
      this.causes.set(numbers[i], found.trace[i], found.span[i], cause);
    }
  }

  /** Puts the lanes in order: by kind, namespace and name. */
  sortLanes() {
    const order = [...this.lanes.keys()].sort((a, b) => {
      const [x, y] = [this.lanes[a], this.lanes[b]];
      return x.kind.localeCompare(y.kind) || x.namespace.localeCompare(y.namespace) || x.name.localeCompare(y.name);
    });
    order.forEach((lane, at) => (this.lanes[lane].at = at));
  }

  #lane(texts, [kind, namespace, name, uid]) {
    const [k, ns, n] = [texts[kind], texts[namespace], texts[name]];
    const key = uid || `${k}/${ns}/${n}`;
    if (!this.lanesByUid.has(key)) {
      this.lanesByUid.set(key, this.lanes.length);
      this.lanes.push({ kind: k, namespace: ns, name: n, uid, failed: false, at: 0 });
    }
    return this.lanesByUid.get(key);
  }

  #set(number, found, i, lane) {
    this.lane[number] = lane;
    // One that goes on is also there with the time at which it happened again.
    this.start[number] = Math.min(found.start[i], this.start[number] ?? Infinity);
    this.end[number] = Math.max(found.end[i], this.end[number] ?? -Infinity);
    this.reason[number] = found.texts[found.reason[i]];
    this.who[number] = found.texts[found.who[i]];
    this.what[number] = found.texts[found.what[i]];
    this.flag[number] = found.flag[i];
    this.times[number] = found.times[i];
    this.trace[number] = found.trace[i];
    this.span[number] = found.span[i];
    if (found.flag[i] === 1) this.lanes[lane].failed = true;
  }
}
