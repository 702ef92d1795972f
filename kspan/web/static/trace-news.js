// News of an open trace: the server says when it changed, or the page asks again and again.

import { inCluster } from "./cluster.js";

const PAUSE_MS = 500;
const POLL_MS = 5000;

/**
 * Calls `read` when the server has news of a trace, and once at the beginning, until `isOpen()` is false.
 *
 * `read` returns a promise. It is not called again before that is settled; if it is rejected, the next news try again.
 */
export function followTrace(traceId, isOpen, read) {
  if (!isOpen()) return;
  const source = new EventSource(inCluster("/v1/stream?kinds=trace,occurrence"));
  let isDue = false;
  let isReading = false;
  const reading = async () => {
    isDue = true;
    if (isReading) return;
    isReading = true;
    while (isDue && isOpen()) {
      if (document.hidden) await new Promise((done) => document.addEventListener("visibilitychange", done, { once: true }));
      isDue = false;
      const began = performance.now();
      await read().catch(() => {});
      // Of a large trace, the server needs time.
      await pause(Math.max(PAUSE_MS, 5 * (performance.now() - began)));
    }
    isReading = false;
    if (!isOpen()) source.close();
  };
  const hear = (event) => {
    if (JSON.parse(event.data).trace_id === traceId) reading();
  };
  source.addEventListener("trace", hear);
  source.addEventListener("occurrence", hear);
  source.addEventListener("reset", reading);
  // What happened between the page and the beginning of the stream.
  source.addEventListener("open", reading);
  source.addEventListener("error", () => {
    if (source.readyState === EventSource.CLOSED) poll(isOpen, read);
  });
  addEventListener("pagehide", () => source.close(), { once: true });
  addEventListener("pageshow", (event) => event.persisted && followTrace(traceId, isOpen, read), { once: true });
}

async function poll(isOpen, read) {
  while (isOpen()) {
    await pause(POLL_MS);
    if (!document.hidden) await read().catch(() => {});
  }
}

function pause(ms) {
  return new Promise((done) => setTimeout(done, ms));
}
