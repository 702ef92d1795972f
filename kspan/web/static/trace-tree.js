// Which rows a trace has: reports merged with what they report, filters, groups of equal siblings, folding, and the
// critical path. Nothing here knows the page.

import { CHANGE, ERROR, EVENT } from "./trace-model.js";

/** Equal siblings without effects become a group from this number on. */
export const FEW = 3;

/** Equal siblings with effects of their own become a group from this number on: each of a few is worth a look. */
export const MANY = 8;

/**
 * The tree of a trace. With `reports`, each span is a node; otherwise an Event that reports what happened to another
 * object and that thing itself are one node, the thing.
 */
export class Tree {
  constructor(spans, { reports = false } = {}) {
    this.spans = spans;
    const { count } = spans;
    const below = childrenOf(spans);
    // node[i] is the span that stands for span i; reportedBy[i] the Events that report node i, the outermost first.
    this.node = Int32Array.from({ length: count }, (_, i) => i);
    this.reportedBy = new Map();
    this.parent = new Int32Array(count).fill(-1);
    this.children = Array.from({ length: count }, () => []);
    this.roots = [];
    this.order = new Int32Array(count);
    this.size = 0;
    const seen = new Uint8Array(count);
    const visit = (start) => {
      const stack = [[start, -1]];
      while (stack.length) {
        let [span, parent] = stack.pop();
        if (seen[span]) continue;
        seen[span] = 1;
        const events = [];
        let others = [];
        for (let next = reports ? -1 : reported(spans, span, below[span]); next >= 0 && !seen[next]; ) {
          events.push(span);
          others.push(...below[span].filter((each) => each !== next));
          span = next;
          seen[span] = 1;
          next = reported(spans, span, below[span]);
        }
        for (const event of events) this.node[event] = span;
        if (events.length) this.reportedBy.set(span, events);
        this.parent[span] = parent;
        (parent < 0 ? this.roots : this.children[parent]).push(span);
        this.order[this.size++] = span;
        const effects = others.length ? byStart(spans, [...others, ...below[span]]) : below[span];
        for (let i = effects.length - 1; i >= 0; i--) stack.push([effects[i], span]);
      }
    };
    for (const root of below.roots) visit(root);
    // A damaged history can contain a cycle of causes, which no root reaches.
    for (let span = 0; span < count; span++) if (!seen[span]) visit(span);
    this.order = this.order.slice(0, this.size);
    this.errorBelow = this.#errorsBelow();
  }

  #errorsBelow() {
    const found = new Uint8Array(this.spans.count);
    for (let i = this.size - 1; i >= 0; i--) {
      const span = this.order[i];
      const parent = this.parent[span];
      if (parent >= 0 && (found[span] || this.isError(span))) found[parent] = 1;
    }
    return found;
  }

  isError(node) {
    if (this.spans.is(node, ERROR)) return true;
    return this.reportedBy.get(node)?.some((event) => this.spans.is(event, ERROR)) ?? false;
  }

  /** Returns the ancestors of a node, the nearest first. */
  *ancestors(node) {
    for (let up = this.parent[node]; up >= 0; up = this.parent[up]) yield up;
  }

  /** Returns how many nodes are below a node, and how many of them are errors. */
  effects(node) {
    const found = { count: 0, errors: 0 };
    const stack = [...this.children[node]];
    while (stack.length) {
      const each = stack.pop();
      found.count++;
      found.errors += this.isError(each) ? 1 : 0;
      stack.push(...this.children[each]);
    }
    return found;
  }
}

function childrenOf(spans) {
  const below = Array.from({ length: spans.count }, () => []);
  below.roots = [];
  for (let span = 0; span < spans.count; span++) {
    const parent = spans.parent[span];
    (parent < 0 || parent === span ? below.roots : below[parent]).push(span);
  }
  return below;
}

function byStart(spans, found) {
  return found.sort((a, b) => spans.start[a] - spans.start[b] || a - b);
}

/** Returns the effect of an Event that is what the Event reports about another object; -1 if there is none. */
function reported(spans, span, effects) {
  if (!spans.is(span, EVENT)) return -1;
  const found = effects.filter((each) => spans.text("rule", each) === "subject" && spans.is(each, CHANGE));
  if (found.length !== 1) return -1;
  const [it] = found;
  const same = spans.kind[it] === spans.kind[span] && spans.name[it] === spans.name[span];
  return !same && spans.service[it] === spans.service[span] ? it : -1;
}

/**
 * What a reader wants to see.
 * `errors`: errors only. `text`: words that all must occur. `hidden`: names of components. Ancestors of what remains stay.
 */
export function filterOf({ errors = false, text = "", hidden = new Set() } = {}) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!errors && !words.length && !hidden.size) return null;
  return (tree, node) => {
    const { spans } = tree;
    if (hidden.has(spans.text("service", node))) return false;
    if (errors && !tree.isError(node)) return false;
    if (!words.length) return true;
    const events = tree.reportedBy.get(node) ?? [];
    return words.every((word) => spans.word(node).includes(word) || events.some((event) => spans.word(event).includes(word)));
  };
}

/** Returns the nodes that a filter keeps, with their ancestors: `shown` (1 or 0 for each span), `matches`, `hidden`. */
export function applied(tree, filter) {
  const shown = new Uint8Array(tree.spans.count);
  let matches = 0;
  let count = 0;
  for (let i = tree.size - 1; i >= 0; i--) {
    const node = tree.order[i];
    const match = !filter || filter(tree, node);
    matches += match ? 1 : 0;
    if (match) shown[node] = 1;
    if (!shown[node]) continue;
    count++;
    if (tree.parent[node] >= 0) shown[tree.parent[node]] = 1;
  }
  return { shown, matches, hidden: tree.size - count };
}

/** A row: a node, or a group of equal siblings (`members`). `level` begins with 1. */
export class Row {
  constructor(node, level, above, members = null, key = "") {
    this.node = node;
    this.level = level;
    this.above = above;
    this.members = members;
    this.key = key;
    this.isLast = false;
    this.hasMore = false;
    this.isOpen = false;
  }
}

/**
 * Returns the rows in order.
 *
 * `folded` has the ids of folded spans, `opened` the keys of groups that are open.
 */
export function rowsOf(tree, shown, { collapse = true, folded = new Set(), opened = new Set() } = {}) {
  const { spans } = tree;
  const rows = [];
  const stack = [];
  const visible = (found) => found.filter((each) => shown[each]);
  const add = (found, level, above, grouped) => {
    const entries = collapse && !grouped ? grouping(tree, shown, found) : found.map((node) => ({ node }));
    for (let i = entries.length - 1; i >= 0; i--) stack.push([entries[i], level, above, i === entries.length - 1]);
  };
  add(visible(tree.roots), 1, null, false);
  while (stack.length) {
    const [entry, level, above, isLast] = stack.pop();
    const row = new Row(entry.node, level, above, entry.members, entry.key);
    row.isLast = isLast;
    rows.push(row);
    if (entry.members) {
      row.hasMore = true;
      row.isOpen = opened.has(entry.key);
      if (row.isOpen) add(entry.members, level + 1, row, true);
      continue;
    }
    const effects = visible(tree.children[entry.node]);
    row.hasMore = effects.length > 0;
    row.isOpen = row.hasMore && !folded.has(spans.ids[entry.node]);
    if (row.isOpen) add(effects, level + 1, row, false);
  }
  return rows;
}

/** Returns siblings as entries, of which some are groups in the place of their first member. */
function grouping(tree, shown, siblings) {
  if (siblings.length < FEW) return siblings.map((node) => ({ node }));
  const { spans } = tree;
  const groups = new Map();
  const keys = siblings.map((node) => {
    const isLeaf = !tree.children[node].some((each) => shown[each]);
    // What contains an error stays visible.
    if (!isLeaf && tree.errorBelow[node]) return null;
    // Failures are equal only if their messages are.
    const says = isLeaf && !tree.isError(node) ? 0 : spans.message[node];
    const parts = [spans.kind[node], spans.reason[node], spans.service[node], spans.note[node], isLeaf, says, tree.isError(node)];
    const key = parts.join(".");
    if (!groups.has(key)) groups.set(key, { least: isLeaf ? FEW : MANY, members: [] });
    groups.get(key).members.push(node);
    return key;
  });
  const entries = [];
  for (const [i, node] of siblings.entries()) {
    const group = groups.get(keys[i]);
    if (!group || group.members.length < group.least) entries.push({ node });
    else if (group.members[0] === node) entries.push({ ...group, node, key: keyOf(tree, group.members) });
  }
  return entries;
}

/** Returns the key of a group. It stays the same when members are added behind the first. */
function keyOf(tree, members) {
  const { spans } = tree;
  const [first] = members;
  return `${spans.ids[first]}×${spans.text("kind", first)}.${spans.text("reason", first)}`;
}

/** Returns the row of each node, and for members of a closed group the row of the group: an array, -1 for none. */
export function placesOf(tree, rows) {
  const places = new Int32Array(tree.spans.count).fill(-1);
  for (const [i, row] of rows.entries()) {
    if (row.members && !row.isOpen) for (const node of row.members) places[node] = i;
    else if (!row.members) places[row.node] = i;
  }
  return places;
}

/**
 * Returns the critical path: the steps that the end of the trace waited for.
 *
 * From the effect that ended last, the path goes back to the one that ended last before that began, and so on. A cause is
 * on it whenever none of these effects is. `on` is 1 for the nodes on it, `parts` has their times: pairs of milliseconds.
 */
export function criticalPath(tree) {
  const { spans } = tree;
  const on = new Uint8Array(spans.count);
  const parts = new Map();
  const ends = new Float64Array(spans.count);
  for (let i = tree.size - 1; i >= 0; i--) {
    const node = tree.order[i];
    ends[node] = Math.max(ends[node], spans.end[node]);
    const parent = tree.parent[node];
    if (parent >= 0) ends[parent] = Math.max(ends[parent], ends[node]);
  }
  let root = -1;
  for (const each of tree.roots) if (root < 0 || ends[each] > ends[root]) root = each;
  const stack = root < 0 ? [] : [root];
  while (stack.length) {
    const node = stack.pop();
    const own = [];
    let now = ends[node];
    let isFirst = true;
    const effects = [...tree.children[node]].sort((a, b) => ends[b] - ends[a] || spans.start[b] - spans.start[a]);
    for (const effect of effects) {
      // Of several that ended when the next step began, one is enough.
      if (ends[effect] > now || (!isFirst && spans.start[effect] >= now)) continue;
      isFirst = false;
      stack.push(effect);
      if (ends[effect] < now) own.push([ends[effect], now]);
      now = Math.min(now, spans.start[effect]);
    }
    own.push([Math.min(spans.start[node], now), now]);
    on[node] = 1;
    parts.set(node, own.reverse());
  }
  return { on, parts };
}

/** Returns the node of the next (`step` 1) or previous (-1) error that is shown, in the order of rows; -1 for none. */
export function nextError(tree, shown, node, step) {
  let at = tree.order.indexOf(node);
  if (at < 0) at = step > 0 ? -1 : tree.size;
  for (at += step; at >= 0 && at < tree.size; at += step) {
    const each = tree.order[at];
    if (shown[each] && tree.isError(each)) return each;
  }
  return -1;
}
