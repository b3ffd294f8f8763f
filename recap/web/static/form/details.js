/** Episodes as the server tells them, the last few kept so that they are there at once. */

import { episodePath, get } from '../api.js';

const MOST_KEPT = 12;

/** A small memory of episodes for one rater. */
export class Details {
  #kept = new Map();
  #rater;

  /** @param {string} rater */
  constructor(rater) {
    this.#rater = rater;
  }

  /** @param {string} uid @returns {object | null} What is known without asking. */
  peek(uid) {
    return this.#kept.get(uid) ?? null;
  }

  /**
   * Ask the server.
   * @param {string} uid
   * @returns {Promise<object>}
   * @throws {import('../api.js').Refusal | import('../api.js').Away}
   */
  async fetch(uid) {
    const detail = await get(episodePath(uid), { rater: this.#rater });
    this.#kept.delete(uid);
    this.#kept.set(uid, detail);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MOST_KEPT) break;
      this.#kept.delete(oldest);
    }
    return detail;
  }

  /** @param {string} uid @returns {Promise<object>} What is known, or what the server says. */
  async get(uid) {
    return this.peek(uid) ?? this.fetch(uid);
  }
}
