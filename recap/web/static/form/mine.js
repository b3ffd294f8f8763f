/** What this rater said last in this browser, newest at the end: undo walks back along it. */

const MOST_KEPT = 200;

/**
 * @typedef {object} Said
 * @property {string} request The request that carried it.
 * @property {string} uid The episode.
 * @property {string} verdict
 * @property {number | null} judgement Its line; null until the server has acknowledged it.
 */

/** The verdicts of one rater that can be taken back. */
export class Mine {
  #drawer;
  #key;

  /**
   * @param {import('./storage.js').Drawer} drawer
   * @param {string} rater
   */
  constructor(drawer, rater) {
    this.#drawer = drawer;
    this.#key = `said/${rater}`;
  }

  /** @param {Said} said */
  push(said) {
    this.#write([...this.#read(), said].slice(-MOST_KEPT));
  }

  /** @returns {Said | null} The newest, which is no longer kept then. */
  pop() {
    const all = this.#read();
    const newest = all.pop() ?? null;
    this.#write(all);
    return newest;
  }

  /**
   * Note which line a verdict became.
   * @param {string} request
   * @param {number} judgement
   */
  acknowledge(request, judgement) {
    this.#write(
      this.#read().map((said) => (said.request === request ? { ...said, judgement } : said)),
    );
  }

  /** @param {string} request Forget a verdict that the server refused. */
  forget(request) {
    this.#write(this.#read().filter((said) => said.request !== request));
  }

  #read() {
    const kept = this.#drawer.read(this.#key);
    return Array.isArray(kept) ? kept : [];
  }

  #write(all) {
    this.#drawer.write(this.#key, all);
  }
}
