// Keeps a page up to date: when the server reports news, the parts marked with data-live are read again.
// What is filtered, sorted and counted stays in one place, the server.

import { inCluster } from "./cluster.js";
import { showTimes } from "./times.js";

const PAUSE_MS = 1000;

/**
 * Calls `read` soon after the server has reported news, one call at a time. Returns what ends it.
 *
 * `kinds` are those of /v1/stream: trace, occurrence. With `first`, `read` is also called when the connection is there:
 * for what happened since the page was made. `lost` is called if the server does not want to report anything.
 */
export function listen(kinds, read, { first = false, lost = () => {} } = {}) {
  let due = null;
  let isReading = false;
  let isOver = false;
  const source = new EventSource(inCluster(`/v1/stream?kinds=${kinds.join(",")}`));
  const later = () => {
    if (isOver) return;
    due ??= setTimeout(async () => {
      due = null;
      if (document.hidden) {
        document.addEventListener("visibilitychange", later, { once: true });
      } else if (isReading) {
        later();
      } else {
        isReading = true;
        try {
          await read();
        } catch {
          // The next news try again.
        }
        isReading = false;
      }
    }, PAUSE_MS);
  };
  for (const kind of [...kinds, "reset", ...(first ? ["open"] : [])]) source.addEventListener(kind, later);
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED && !isOver) lost();
  });
  const end = () => {
    isOver = true;
    clearTimeout(due);
    source.close();
  };
  addEventListener("pagehide", end, { once: true });
  return end;
}

/** Calls `changed` after the parts of the page were replaced. `kinds` as above. */
export function keepLive(kinds, changed = () => {}) {
  return listen(kinds, async () => {
    if (await readAgain()) changed();
  });
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
