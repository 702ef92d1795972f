// Times and durations as text. The reader chooses between the zone of the browser and UTC; the choice is kept.

const KEY = "kspan.zone";

export function zoneName() {
  if (isUtc()) return "UTC";
  const parts = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(new Date());
  return parts.find((part) => part.type === "timeZoneName").value;
}

export function toggleZone() {
  try {
    localStorage.setItem(KEY, isUtc() ? "local" : "utc");
  } catch {
    // A browser that keeps nothing shows UTC.
  }
  document.dispatchEvent(new CustomEvent("zone"));
}

function isUtc() {
  try {
    return localStorage.getItem(KEY) !== "local";
  } catch {
    return true;
  }
}

function parts(ms) {
  const date = new Date(ms);
  const shifted = isUtc() ? date : new Date(ms - date.getTimezoneOffset() * 60_000);
  return shifted.toISOString();
}

/** Returns the time of day, with milliseconds: 10:25:49.727. */
export function clock(ms) {
  return parts(ms).slice(11, 23);
}

/** Returns date and time of day: 2026-11-22 10:25:49. */
export function moment(ms) {
  return parts(ms).slice(0, 19).replace("T", " ");
}

/** Returns a duration in at most six characters, as the commands print it: 12ms, 3.4s, 2m05s, 1h02m, 3d04h. */
export function duration(ms) {
  const whole = Math.max(0, Math.floor(ms));
  if (whole < 1000) return `${whole}ms`;
  if (whole < 60_000) return `${(Math.floor(whole / 100) / 10).toFixed(1)}s`;
  const seconds = Math.floor(whole / 1000);
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${two(seconds % 60)}s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${two((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86_400)}d${two((seconds % 86_400) / 3600)}h`;
}

/** Writes the times below an element again: time[data-clock] and time[data-moment]. */
export function showTimes(element) {
  for (const each of element.querySelectorAll("time[data-clock]")) each.textContent = clock(Date.parse(each.dateTime));
  for (const each of element.querySelectorAll("time[data-moment]")) each.textContent = moment(Date.parse(each.dateTime));
}
