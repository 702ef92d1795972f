// Rows of the table below the lanes.

import { inCluster } from "./cluster.js";
import { badgeOf } from "./colors.js";

/** Returns the row of occurrence `i` of `data`, about the object of `lane`. */
export function rowOf(data, lane, i) {
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
