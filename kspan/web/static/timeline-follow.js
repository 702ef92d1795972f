// Following: what is new is read while it is on.

import { listen } from "./live.js";
import { MOST } from "./timeline-model.js";

// An occurrence waits for its cause for some seconds: until then it can change. Nothing reports when it does.
const UNSETTLED_MS = 60_000;
const AGAIN_MS = 10_000;

export class Following {
  /**
   * `source`: the address of the data. `since`: the first moment that is shown (Unix ms). `read(source)` reads and shows
   * it, `say(text)` shows why following ended.
   */
  constructor(button, occurrences, { source, since, read, say }) {
    this.button = button;
    this.occurrences = occurrences;
    this.source = source;
    this.since = since;
    this.read = read;
    this.say = say;
    this.stop = null;
    this.again = null;
    button.addEventListener("click", () => (this.isOn ? this.end() : this.begin()));
    addEventListener("pageshow", (event) => event.persisted && this.isOn && this.begin());
  }

  get isOn() {
    return this.stop !== null;
  }

  begin() {
    this.stop?.();
    const lost = () => this.end("the server reports no news now");
    this.stop = listen(["trace", "occurrence"], () => this.#readNews(), { first: true, lost });
    this.#show();
  }

  end(why) {
    this.stop?.();
    this.stop = null;
    clearTimeout(this.again);
    this.#show();
    if (why) this.say(why);
  }

  #show() {
    this.button.setAttribute("aria-pressed", String(this.isOn));
    const address = new URL(location.href);
    if (this.isOn) {
      address.searchParams.set("follow", "1");
      address.searchParams.delete("until");
    } else address.searchParams.delete("follow");
    history.replaceState(null, "", address);
  }

  async #readNews() {
    const { occurrences } = this;
    if (occurrences.isFull) {
      this.end(`${MOST.toLocaleString("en")} occurrences are shown: narrow the range to follow`);
      return;
    }
    const source = new URL(this.source, location.href);
    source.searchParams.delete("until");
    if (occurrences.length) {
      const oldest = occurrences.oldestWaiting(occurrences.newest() - UNSETTLED_MS);
      source.searchParams.set("since", new Date(Math.max(oldest, this.since)).toISOString());
    }
    await this.read(source.pathname + source.search);
    clearTimeout(this.again);
    if (occurrences.waiting.size && this.isOn) this.again = setTimeout(() => this.#readNews(), AGAIN_MS);
  }
}
