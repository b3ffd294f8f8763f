/** Tells the server what somebody has on the screen, so that two people do not judge the same. */

import { episodePath, post } from '../api.js';

const EVERY_MS = 30_000;

/** What one person looks at. */
export class Presence {
  #rater = '';
  #uid = '';
  #toldAt = 0;

  /**
   * Tell it.
   * @param {string} rater Empty for nobody in particular: then nothing is told.
   * @param {string} uid Empty for no episode.
   */
  look(rater, uid) {
    this.#rater = rater;
    this.#uid = uid;
    this.#toldAt = 0;
    this.keepUp();
  }

  /** Tell it again before the server forgets. */
  keepUp() {
    const isDue = Date.now() - this.#toldAt > EVERY_MS;
    if (!isDue || !this.#rater || !this.#uid || document.hidden) return;
    this.#toldAt = Date.now();
    // Only a courtesy: if it does not arrive, nothing is lost.
    post(`${episodePath(this.#uid)}/look`, { rater: this.#rater }).catch(() => {});
  }
}
