// The details of the selected row: what it is, what changed, because of what, when, and what follows.

import { inCluster } from "./cluster.js";
import { clock, duration, moment } from "./times.js";
import { button, kindOf, make, nameOf, plain, plainLines } from "./trace-dom.js";
import { CERTAIN, CHANGE, ERROR, REMOTE, UNFINISHED } from "./trace-model.js";
import { since } from "./trace-view.js";

const LONGEST = 20_000;
const LISTED = 100;
const SEARCHED = 6;

const RULES = {
  carried: "an annotation of the object names the cause",
  subject: "the Event, or what it waited for, names it",
  own: "the newest change of the object that its reporter had seen",
  owner: "what the controller of its owner reacted to",
  place: "it happened to its node or in its namespace",
};

const RELATIONS = {
  continues: "continues",
  "caused by": "caused by, in an earlier trace",
  relates: "has to do with",
  "superseded by": "superseded by",
};

export class Panel {
  /** `actions`: `select(span)` shows another span, `close()` closes the panel. */
  constructor(element, actions) {
    this.element = element;
    this.actions = actions;
    this.known = new Map();
    this.tree = null;
    this.shown = null;
    document.addEventListener("zone", () => this.redraw());
  }

  /** What is known of spans so far is not valid any more: an open trace has changed. */
  forget() {
    this.known.clear();
  }

  redraw() {
    if (this.shown) this.shown();
  }

  clear() {
    this.shown = null;
    this.element.replaceChildren();
  }

  /** Shows a span; `event` is one of the Events that report it, or the span itself. */
  async show(tree, span) {
    this.tree = tree;
    this.shown = () => this.#draw(span, this.known.get(span));
    this.#draw(span, this.known.get(span));
    if (this.known.has(span)) return;
    const { traceId, ids } = tree.spans;
    let detail = null;
    try {
      const answer = await fetch(inCluster(`/traces/${traceId}/spans/${ids[span]}.json`));
      if (answer.ok) detail = await answer.json();
    } catch {
      // The page shows what it knows.
    }
    if (this.tree !== tree || !detail) return;
    this.known.set(span, detail);
    const now = this.shown;
    if (now && this.span === span) now();
  }

  /** Shows a group of equal rows. */
  showGroup(tree, row) {
    this.tree = tree;
    this.span = -1;
    this.shown = () => this.#drawGroup(row);
    this.shown();
  }

  #head(kind, service, title, subject) {
    const head = make("div", "top");
    const heading = make("h2");
    heading.append(kindOf(kind, service), title);
    head.append(heading, this.#closeButton());
    const under = make("div", "subject");
    under.append(...subject);
    return [head, under];
  }

  #closeButton() {
    const close = button("×", "plain close", () => this.actions.close());
    close.setAttribute("aria-label", "Close the details");
    return close;
  }

  #draw(span, detail) {
    const { spans } = this.tree;
    this.span = span;
    const found = [];
    const subject = [this.#object(span, detail)];
    if (spans.text("container", span)) subject.push(make("span", "dim", ` container ${spans.text("container", span)}`));
    const node = detail?.attributes["k8s.node.name"];
    if (typeof node === "string" && node !== spans.text("name", span)) subject.push(make("span", "dim", ` on ${plain(node)}`));
    const title = `${spans.text("kind", span)}.${spans.text("reason", span)}`;
    found.push(...this.#head(spans.text("kind", span), spans.text("service", span), title, subject));
    found.push(...this.#message(span, detail), ...this.#change(span, detail), ...this.#because(span));
    found.push(...this.#when(span, detail), ...this.#effects(span), ...this.#events(detail), ...this.#links(detail));
    found.push(...this.#attributes(detail), this.#permalink(span));
    const { scrollTop } = this.element;
    const isSame = this.element.dataset.span === spans.ids[span];
    this.element.dataset.span = spans.ids[span];
    this.element.replaceChildren(...found);
    this.element.scrollTop = isSame ? scrollTop : 0;
  }

  #object(span, detail) {
    const { spans } = this.tree;
    const namespace = spans.text("namespace", span);
    const name = nameOf((namespace ? `${namespace}/` : "") + spans.text("name", span));
    if (!detail?.uid) return name;
    const link = make("a", "link");
    const at = new Date(Math.max(detail.end, detail.begin)).toISOString();
    link.href = inCluster(`/objects/${encodeURIComponent(detail.uid)}?at=${encodeURIComponent(at)}`);
    link.append(name);
    return link;
  }

  #message(span, detail) {
    const { spans } = this.tree;
    const text = detail ? plainLines(detail.message) : spans.text("message", span);
    const found = [];
    if (text) found.push(make("div", spans.is(span, ERROR) ? "message" : "message calm", text.slice(0, LONGEST)));
    if (detail?.held) found.push(make("div", "message calm", plain(detail.held)));
    return found;
  }

  #change(span, detail) {
    const { spans } = this.tree;
    if (!spans.is(span, CHANGE)) return [];
    const note = spans.text("note", span);
    if (!detail?.changes.length) {
      if (!note || detail?.held) return [];
      return [make("h3", "", "Change"), summaryDiff(note)];
    }
    const diff = make("div", "diff");
    diff.setAttribute("role", "group");
    diff.setAttribute("aria-label", "Changes");
    for (const { path, before = null, after = null } of detail.changes) {
      diff.append(make("div", "at", plain(pathText(path))));
      if (before !== null) diff.append(...linesOf("remove", "− ", before));
      if (after !== null) diff.append(...linesOf("add", "+ ", after));
      if (before === null && after === null) diff.append(make("div", "remove", "− removed"));
    }
    return [make("h3", "", "Change"), diff];
  }

  #because(span) {
    const { tree } = this;
    const { spans } = tree;
    const node = tree.node[span];
    const events = span === node ? (tree.reportedBy.get(node) ?? []) : [];
    const box = make("div", "because");
    // Of a row that Events report, the cause of the first of them is the cause of what happened.
    const effect = events[0] ?? span;
    const cause = spans.parent[effect];
    if (cause >= 0) box.append(this.#reference(tree.node[cause]));
    else box.append(make("div", "", rootText(spans, effect)));
    box.append(this.#certainty(spans, effect, cause));
    for (const event of events) {
      const line = make("div", "reported");
      line.append(make("span", "dim", "reported by "), this.#reference(event), make("span", "dim", spans.text("message", event)));
      box.append(line);
    }
    if (span !== node) {
      const line = make("div", "reported");
      line.append(make("span", "dim", "reports "), this.#reference(node));
      box.append(line);
    }
    box.classList.toggle("weak", spans.confidence[effect] < CERTAIN);
    return [make("h3", "", "Because"), box];
  }

  #certainty(spans, effect, cause) {
    const line = make("div", "certainty");
    const rule = spans.text("rule", effect);
    if (cause >= 0) line.append(make("span", "", RULES[rule] ?? `rule ${rule}`));
    const value = spans.confidence[effect] / 100;
    const meter = make("meter");
    Object.assign(meter, { min: 0, max: 1, low: CERTAIN / 100, high: CERTAIN / 100, optimum: 1, value });
    meter.title = `confidence ${value.toFixed(2)}, rule ${rule}`;
    meter.setAttribute("aria-label", "confidence");
    const end = make("span", "nowrap");
    end.append(meter, ` ${value.toFixed(2)}`);
    line.append(end);
    return line;
  }

  #reference(span) {
    const { spans } = this.tree;
    const found = button("", "reference", () => this.actions.select(span));
    found.append(kindOf(spans.text("kind", span), spans.text("service", span)), make("b", "", spans.text("reason", span)));
    found.append(nameOf(spans.text("name", span)));
    return found;
  }

  #when(span, detail) {
    const { spans } = this.tree;
    const list = make("dl", "pairs");
    const begin = spans.begin + spans.start[span];
    pair(list, "start", `${moment(begin)}${clock(begin).slice(8)}`);
    if (spans.start[span] > 0) pair(list, "after", since(spans.start[span], 1));
    const unfinished = spans.is(span, UNFINISHED) ? ", not over when the trace was closed" : "";
    pair(list, "lasted", spans.lasts(span) ? `${exact(spans.end[span] - spans.start[span])}${unfinished}` : "a moment");
    const uncertainty = detail?.attributes["kspan.time.uncertainty"];
    if (typeof uncertainty === "number") pair(list, "exact to", `± ${duration(uncertainty * 1000)}`);
    const times = spans.times.get(span) ?? 1;
    if (times > 1) pair(list, "times", times.toLocaleString("en"));
    pair(list, "by", [spans.text("service", span), detail?.manager, detail?.instance].filter(unequal).map(plain).join(" · "));
    return [make("h3", "", "When"), list];
  }

  #effects(span) {
    const node = this.tree.node[span];
    const effects = this.tree.children[node];
    if (!effects.length) return [];
    const { count, errors } = this.tree.effects(node);
    const list = make("div", "references");
    for (const each of effects.slice(0, 5)) list.append(this.#reference(each));
    const rest = effects.length - 5;
    if (rest > 0) list.append(make("div", "dim", `and ${rest.toLocaleString("en")} more`));
    const words = `${count.toLocaleString("en")} row${count === 1 ? "" : "s"} below`;
    return [make("h3", "", `Led to · ${words}${errors ? `, ${errors.toLocaleString("en")} failed` : ""}`), list];
  }

  #events(detail) {
    if (!detail?.events.length) return [];
    const list = make("ol", "events");
    for (const [time, name, attributes] of detail.events.slice(0, LISTED)) {
      const line = make("li");
      line.append(make("span", "when", clock(time)), make("b", "", plain(name)));
      const reason = attributes["kspan.condition.message"] ?? attributes["kspan.condition.reason"] ?? attributes["k8s.event.message"];
      if (typeof reason === "string" && reason) line.append(make("div", "note", plain(reason).slice(0, 400)));
      list.append(line);
    }
    const rest = detail.events.length - LISTED;
    if (rest > 0) list.append(make("li", "dim", `and ${rest} more`));
    return [make("h3", "", "Meanwhile"), list];
  }

  #links(detail) {
    if (!detail?.links.length) return [];
    const list = make("div", "links");
    for (const link of detail.links) {
      const line = make("div");
      line.append(make("span", "dim", `${RELATIONS[link.relation] ?? "linked to"} `));
      const known = link.name !== "";
      const target = make(known ? "a" : "span", known ? "link" : "dim");
      if (known) target.href = inCluster(`/traces/${link.trace_id}#${link.span_id}`);
      target.textContent = known ? `${plain(link.name)} ${plain(link.object)} · ${moment(link.start)}` : `trace ${link.trace_id.slice(0, 12)}, which is not recorded here`;
      line.append(target);
      list.append(line);
    }
    return [make("h3", "", "Links"), list];
  }

  #attributes(detail) {
    if (!detail) return [];
    const entries = Object.entries(detail.attributes);
    if (!entries.length) return [];
    const box = make("div", "attributes");
    const list = make("dl");
    for (const [key, value] of entries) {
      const line = make("div");
      const text = typeof value === "string" ? value : JSON.stringify(value);
      const copy = button("copy", "plain copy", () => navigator.clipboard.writeText(text));
      // A page over plain HTTP from another machine has no clipboard.
      copy.hidden = !navigator.clipboard;
      copy.setAttribute("aria-label", `Copy ${key}`);
      line.dataset.text = `${key}\n${text}`.toLowerCase();
      const shown = make("dd");
      shown.append(make("div", "value", plainLines(text).slice(0, LONGEST)), copy);
      line.append(make("dt", "", plain(key)), shown);
      list.append(line);
    }
    if (entries.length > SEARCHED) {
      const search = make("input", "field");
      Object.assign(search, { type: "search", placeholder: "Search attributes", autocomplete: "off", spellcheck: false });
      search.setAttribute("aria-label", "Search attributes");
      search.addEventListener("input", () => {
        const words = search.value.toLowerCase();
        for (const line of list.children) line.hidden = !line.dataset.text.includes(words);
      });
      box.append(search);
    }
    box.append(list);
    return [make("h3", "", "Attributes"), box];
  }

  #permalink(span) {
    const { spans } = this.tree;
    const line = make("div", "permalink");
    const link = make("a", "link", "Link to this span");
    link.href = `#${spans.ids[span]}`;
    line.append(link, make("code", "faint", spans.ids[span]));
    return line;
  }

  #drawGroup(row) {
    const { spans } = this.tree;
    const { members } = row;
    const [first] = members;
    const kind = spans.text("kind", first);
    const title = `${members.length.toLocaleString("en")}× ${kind}.${spans.text("reason", first)}`;
    const note = make("span", "dim", "Equal rows with the same cause. Unfold the row to see them all.");
    const list = make("dl", "pairs");
    const begin = spans.begin + spans.start[first];
    const end = members.reduce((most, each) => Math.max(most, spans.end[each]), 0);
    const lengths = members.map((each) => spans.end[each] - spans.start[each]).sort((a, b) => a - b);
    pair(list, "first", `${moment(begin)}${clock(begin).slice(8)}`);
    pair(list, "within", exact(end - spans.start[first]));
    if (lengths.at(-1) > 0) {
      const middle = lengths[Math.floor(lengths.length / 2)];
      pair(list, "lasted", `${exact(lengths[0])} to ${exact(lengths.at(-1))}, half of them at most ${exact(middle)}`);
    }
    const slowest = [...members].sort((a, b) => spans.end[b] - spans.start[b] - (spans.end[a] - spans.start[a]));
    const references = make("div", "references");
    for (const each of slowest.slice(0, 12)) references.append(this.#reference(each));
    const heading = lengths.at(-1) > 0 ? "The slowest" : "The first";
    this.element.dataset.span = "";
    this.element.replaceChildren(
      ...this.#head(kind, spans.text("service", first), title, [note]),
      make("h3", "", "When"), list, make("h3", "", heading), references,
    );
    this.element.scrollTop = 0;
  }
}

function unequal(text, i, all) {
  return text && all.indexOf(text) === i;
}

function pair(list, name, text) {
  list.append(make("dt", "", name), make("dd", "", text));
}

function exact(ms) {
  return ms < 1000 ? `${Number(ms.toPrecision(3))}ms` : duration(ms);
}

function rootText(spans, span) {
  if (spans.is(span, REMOTE)) return "a span outside of the cluster, which an annotation of the object names";
  if (spans.confidence[span] < CERTAIN) return "no cause is known: it may be older than what kspan has seen";
  return spans.is(span, CHANGE) ? "nothing before it: a person or a tool changed it" : "nothing before it: this is the first cause";
}

/** Returns the names along a JSON pointer: spec.template.spec.containers[0].image. */
function pathText(path) {
  const tokens = path.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
  return tokens.map((token, i) => (/^\d+$/.test(token) ? `[${token}]` : i ? `.${token}` : token)).join("");
}

function linesOf(className, sign, text) {
  let shown = text;
  if (/^[[{]/.test(text)) {
    try {
      shown = JSON.stringify(JSON.parse(text), null, 2);
    } catch {
      // A text that only looks like JSON.
    }
  }
  const lines = plainLines(shown.slice(0, LONGEST)).split("\n").slice(0, 200);
  return lines.map((line, i) => make("div", className, (i ? "  " : sign) + line));
}

/** A diff made of a summary: "replicas: 1 → 3, image: a → b". */
function summaryDiff(note) {
  const diff = make("div", "diff");
  for (const part of note.split(/, (?=[\w.[\]/-]+: )/)) {
    const [, name, before, after] = part.match(/^([^:]+): (.*) → (.*)$/) ?? [];
    if (name === undefined) diff.append(make("div", "", part));
    else diff.append(make("div", "at", name), make("div", "remove", `− ${before}`), make("div", "add", `+ ${after}`));
  }
  return diff;
}
