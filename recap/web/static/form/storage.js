/** What this browser remembers, kept apart by project. Without storage it lasts as the page. */

/** The drawer of one project, or of the browser where the project is empty. */
export class Drawer {
  #prefix;
  #place;
  #spare = new Map();

  /**
   * @param {string} project Its id; empty for what holds for all of them.
   * @param {'localStorage' | 'sessionStorage'} [place] The second is for this tab alone.
   */
  constructor(project, place = 'localStorage') {
    this.#prefix = project ? `recap/${project}/` : 'recap/';
    this.#place = place;
  }

  /**
   * Read something.
   * @param {string} key
   * @returns {unknown} What was put there; null for nothing, or for what cannot be read.
   */
  read(key) {
    try {
      const text = this.#storage.getItem(this.#prefix + key) ?? this.#spare.get(key) ?? null;
      return text === null ? null : JSON.parse(text);
    } catch {
      return this.#spare.has(key) ? JSON.parse(this.#spare.get(key)) : null;
    }
  }

  /**
   * Keep something.
   * @param {string} key
   * @param {unknown} value Anything JSON can write.
   * @returns {boolean} Whether it survives a reload of the page.
   */
  write(key, value) {
    const text = JSON.stringify(value);
    try {
      this.#storage.setItem(this.#prefix + key, text);
      this.#spare.delete(key);
      return true;
    } catch {
      this.#spare.set(key, text);
      return false;
    }
  }

  /** @param {string} key */
  remove(key) {
    this.#spare.delete(key);
    try {
      this.#storage.removeItem(this.#prefix + key);
    } catch {
      // Storage is forbidden here, so there was nothing to remove.
    }
  }

  /**
   * List the keys that begin so.
   * @param {string} start
   * @returns {string[]}
   */
  keys(start) {
    const found = new Set([...this.#spare.keys()].filter((key) => key.startsWith(start)));
    try {
      const storage = this.#storage;
      for (let number = 0; number < storage.length; number += 1) {
        const key = storage.key(number) ?? '';
        if (key.startsWith(this.#prefix + start)) found.add(key.slice(this.#prefix.length));
      }
    } catch {
      // Storage is forbidden here; what is spare is all there is.
    }
    return [...found];
  }

  /** Where storage is forbidden, even to look at it throws. */
  get #storage() {
    return globalThis[this.#place];
  }
}
