// What the timeline shows: a range of time and how far the lanes are scrolled, and where that is on the canvas.

export const LANE = 22;
export const RULER = 24;

const STEPS = [
  1, 2, 5, 10, 20, 50, 100, 200, 500, 1e3, 2e3, 5e3, 1e4, 1.5e4, 3e4, 6e4, 12e4, 3e5, 6e5, 9e5, 18e5, 36e5, 72e5, 216e5, 432e5, 864e5,
  6048e5,
];

export class View {
  /** `whole`: the first and last moment (Unix ms). `element`: shows the lanes; `names`: beside them, on their left. */
  constructor(element, names, whole) {
    this.element = element;
    this.names = names;
    this.whole = whole;
    [this.from, this.to] = whole;
    this.scroll = 0;
    this.isMoved = false;
  }

  get length() {
    return this.to - this.from;
  }

  get middle() {
    return (this.from + this.to) / 2;
  }

  get left() {
    return this.names.getBoundingClientRect().width || 0;
  }

  /** Height of the lanes that are in view. */
  get height() {
    return this.element.clientHeight - RULER;
  }

  /** Begins with the time in which something happened. */
  fit(occurrences) {
    const [first, last] = [occurrences.first(), occurrences.last()];
    const pad = Math.max((last - first) * 0.03, 500);
    const [begin, end] = this.whole;
    if (!occurrences.length || last - first + 2 * pad > (end - begin) * 0.8) return;
    [this.from, this.to] = [Math.max(first - pad, begin), Math.min(last + pad, end)];
  }

  showAll() {
    [this.from, this.to] = this.whole;
    this.isMoved = true;
  }

  zoomAt(ms, factor) {
    const [begin, end] = this.whole;
    const length = Math.min(Math.max(this.length * factor, 5), end - begin);
    const part = (ms - this.from) / this.length;
    this.from = Math.min(Math.max(ms - part * length, begin), end - length);
    this.to = this.from + length;
    this.isMoved = true;
  }

  move(ms) {
    const length = this.length;
    const [begin, end] = this.whole;
    this.from = Math.min(Math.max(this.from + ms, begin), end - length);
    this.to = this.from + length;
    this.isMoved = true;
  }

  /** Makes room for what is new: moves on if the end was shown. `last`: the newest moment before. */
  moveOn(occurrences, last) {
    const now = occurrences.newest();
    if (now === -Infinity) return;
    const end = this.whole[1];
    this.whole[1] = Math.max(end, now + 1000);
    if (!this.isMoved) {
      [this.from, this.to] = this.whole;
      this.fit(occurrences);
    } else if (this.to >= last && now > this.to) {
      // What the reader has chosen stays as long as it is, but all of it stays all of it.
      const step = this.whole[1] - this.to;
      if (this.from > this.whole[0] || this.to < end) this.from += step;
      this.to += step;
    }
  }

  scrollBy(pixels, lanes) {
    const most = Math.max(0, lanes * LANE - this.height);
    this.scroll = Math.min(Math.max(this.scroll + pixels, 0), most);
  }

  /** Scrolls until a lane is in view. */
  scrollTo(lane, lanes) {
    const down = lane.at * LANE;
    if (down < this.scroll) this.scrollBy(down - this.scroll, lanes);
    else if (down + LANE > this.scroll + this.height) this.scrollBy(down + 2 * LANE - this.scroll - this.height, lanes);
  }

  /** Returns a function from moments (Unix ms) to pixels, on a canvas of this width. */
  scale(width) {
    const { left, from, length } = this;
    return (ms) => left + ((ms - from) / length) * (width - left);
  }

  /** Returns where a lane begins, in pixels from the top. */
  top(lane) {
    return RULER + lane.at * LANE - this.scroll;
  }

  /** Returns where the mark of an occurrence is: [x, y]. */
  place(occurrences, i, width = this.element.clientWidth) {
    return [this.scale(width)(occurrences.start[i]), this.top(occurrences.laneOf(i)) + LANE / 2];
  }

  /** Returns the moment that an event of the pointer is at. */
  time(event, canvas) {
    const box = canvas.getBoundingClientRect();
    const left = this.left;
    return this.from + ((event.clientX - box.left - left) / (box.width - left)) * this.length;
  }

  /** Returns the moments at which the ruler has a line, at most `most`. */
  ticks(most) {
    const step = STEPS.find((each) => this.length / each <= most) ?? STEPS.at(-1);
    const found = [];
    for (let at = Math.ceil(this.from / step) * step; at < this.to; at += step) found.push(at);
    return found;
  }
}
