// The range of time that is shown, in milliseconds since the trace began, and its axis.

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 10e3, 15e3, 30e3, 60e3, 120e3, 300e3, 600e3, 900e3, 1800e3, 3600e3, 7200e3,
  10800e3, 21600e3, 43200e3, 86400e3, 172800e3, 604800e3,
];

export class View {
  constructor(first, last) {
    this.setRange(first, last);
    this.reset();
  }

  setRange(first, last) {
    // A little room, so that moments at both ends are drawn in full.
    const room = Math.max(last - first, 0.001) * 0.012;
    this.first = first - room;
    this.last = last + room;
  }

  get length() {
    return this.to - this.from;
  }

  get isWhole() {
    return this.from <= this.first && this.to >= this.last;
  }

  reset() {
    this.from = this.first;
    this.to = this.last;
  }

  /** Shows a range; a millionth of the trace or a microsecond at least. */
  show(from, to) {
    const whole = this.last - this.first;
    const length = Math.min(Math.max(to - from, whole / 1e6, 0.001), whole);
    const start = Math.min(Math.max(from, this.first), this.last - length);
    this.from = start;
    this.to = start + length;
  }

  /** Zooms about a moment: `factor` below 1 shows less. */
  zoom(factor, about) {
    const length = this.length * factor;
    const part = (about - this.from) / this.length;
    this.show(about - part * length, about + (1 - part) * length);
  }

  move(by) {
    this.show(this.from + by, this.to + by);
  }

  /** Returns the place of a moment, from 0 to 1 if it is within the view. */
  place(ms) {
    return (ms - this.from) / this.length;
  }

  /** Returns the moment at a place. */
  moment(place) {
    return this.from + place * this.length;
  }
}

/** Returns round moments from `from` to `to`, about `most` of them at most. */
export function ticks(from, to, most) {
  const least = (to - from) / Math.max(most, 1);
  const step = STEPS.find((each) => each >= least) ?? Math.ceil(least / 604800e3) * 604800e3;
  const fine = least < 1 ? 10 ** Math.ceil(Math.log10(Math.max(least, 1e-6))) : step;
  const found = [];
  for (let i = Math.ceil(from / fine); i * fine <= to; i++) found.push(i * fine);
  return found;
}

/** Returns a time since the beginning of the trace, as exact as the distance of ticks needs: 1.25s. */
export function since(ms, step) {
  const sign = ms < 0 ? "−" : "";
  const abs = Math.abs(ms);
  if (abs < 1e-9) return "0";
  if (abs < 1000) return `${sign}${trimmed(abs, step < 1 ? 3 : 0)}ms`;
  if (abs < 60_000) return `${sign}${trimmed(abs / 1000, step < 10 ? 3 : step < 100 ? 2 : step < 1000 ? 1 : 0)}s`;
  const two = (value) => String(Math.floor(value)).padStart(2, "0");
  const rest = step < 1000 ? (abs % 60_000) / 1000 : Math.floor((abs % 60_000) / 1000);
  const seconds = step < 1000 ? rest.toFixed(step < 10 ? 3 : 1).padStart(step < 10 ? 6 : 4, "0") : two(rest);
  if (abs < 3_600_000) return `${sign}${Math.floor(abs / 60_000)}m${rest || step < 60_000 ? `${seconds}s` : ""}`;
  return `${sign}${Math.floor(abs / 3_600_000)}h${two((abs % 3_600_000) / 60_000)}m`;
}

function trimmed(value, digits) {
  return value.toFixed(digits).replace(/\.?0+$/, digits ? "" : "$&");
}
