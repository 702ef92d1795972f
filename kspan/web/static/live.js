// Keeps a page up to date: when the server reports news, the parts marked with data-live are read again.
// What is filtered, sorted and counted stays in one place, the server.

import { showTimes } from "./times.js";

const PAUSE_MS = 1000;

/** Calls `changed` after the parts of the page were replaced. `kinds` are those of /v1/stream: trace, occurrence. */
export function keepLive(kinds, changed = () => {}) {
  let due = null;
  const source = new EventSource(`/v1/stream?kinds=${kinds.join(",")}`);
  const later = () => {
    due ??= setTimeout(async () => {
      due = null;
      if (document.hidden) {
        document.addEventListener("visibilitychange", later, { once: true });
        return;
      }
      if (await readAgain()) changed();
    }, PAUSE_MS);
  };
  for (const kind of [...kinds, "reset"]) source.addEventListener(kind, later);
  addEventListener("pagehide", () => source.close());
  return source;
}

/** Reads the parts again; returns whether the page could be read. */
export async function readAgain() {
  let answer;
  try {
    answer = await fetch(location.href, { headers: { Accept: "text/html" } });
  } catch {
    return false;
  }
  if (!answer.ok) return false;
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const next = page.querySelector(`[data-live="${part.dataset.live}"]`);
    if (!next || next.isEqualNode(part) || part.contains(document.activeElement)) continue;
    part.replaceWith(document.adoptNode(next));
    showTimes(next);
  }
  return true;
}
