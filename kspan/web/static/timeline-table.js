// The table below the lanes: what happened in the range that is in view or selected.

import { inCluster } from "./cluster.js";
import { badgeOf } from "./colors.js";
import { moment, showTimes } from "./times.js";

const ROWS = 300;
const WAIT_MS = 60;

export class Table {
  #due = null;

  constructor(occurrences) {
    this.occurrences = occurrences;
    this.body = document.querySelector("[data-rows-below]");
    this.range = document.querySelector("[data-range]");
  }

  /** Writes the rows of a range soon: its first ones, or the last ones. */
  write(range, isLast) {
    clearTimeout(this.#due);
    this.#due = setTimeout(() => this.#write(range, isLast), WAIT_MS);
  }

  #write([begin, end], isLast) {
    const { start } = this.occurrences;
    const found = [];
    for (let i = 0; i < start.length; i += 1) {
      if (start[i] >= begin && start[i] <= end) found.push(i);
    }
    found.sort((a, b) => start[a] - start[b] || a - b);
    const shown = isLast ? found.slice(-ROWS) : found.slice(0, ROWS);
    const part = found.length > ROWS ? `, the ${isLast ? "last" : "first"} ${ROWS} of ${found.length}` : "";
    this.range.textContent = `${moment(begin)} to ${moment(end)}${part}`;
    document.querySelector("[data-more]")?.remove();
    this.body.replaceChildren(...shown.map((i) => rowOf(this.occurrences, this.occurrences.laneOf(i), i)));
    showTimes(this.body);
  }
}

function rowOf(data, lane, i) {
  const line = document.createElement("tr");
  const cell = (name, ...parts) => {
    const made = document.createElement("td");
    made.className = name;
    made.append(...parts);
    line.append(made);
  };
  const when = document.createElement("time");
  when.dateTime = new Date(data.start[i]).toISOString();
  when.dataset.moment = "";
  cell("tight", when);
  const object = document.createElement("a");
  object.href = lane.uid ? inCluster(`/objects/${encodeURIComponent(lane.uid)}`) : "#occurrences";
  const kind = document.createElement("span");
  kind.className = "kind";
  kind.textContent = badgeOf(lane.kind);
  object.append(kind, lane.name);
  cell("tight", object);
  const what = document.createElement("a");
  what.href = data.trace[i] ? inCluster(`/traces/${data.trace[i]}#${data.span[i]}`) : "#occurrences";
  const reason = document.createElement("b");
  reason.textContent = data.reason[i];
  if (data.flag[i] === 1) reason.className = "bad";
  const note = document.createElement("span");
  note.className = "note";
  note.textContent = ` ${data.times[i] > 1 ? `×${data.times[i]} ` : ""}${data.what[i]}`;
  what.append(reason, note);
  cell("what", what);
  cell("tight", data.who[i]);
  return line;
}
