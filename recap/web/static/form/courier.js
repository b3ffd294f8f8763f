/** Carries what waits to the server. */

import { Away, Refusal, episodePath, post } from '../api.js';
import { startAnew } from './address.js';

const WARMING_UP_MS = 30_000;
const MISDIRECTED = 421;

/** Sends verdicts and withdrawals, for the outbox. */
export class Courier {
  /** Whether the server has not read all episodes yet. */
  isIndexing = true;
  #beganAt = Date.now();
  #away;

  /** @param {(error: Away) => void} away Called when nothing answers. */
  constructor(away) {
    this.#away = away;
  }

  /** Take note that the server has come back, perhaps begun anew. */
  begin() {
    this.isIndexing = true;
    this.#beganAt = Date.now();
  }

  /**
   * Send one thing.
   * @param {import('./outbox.js').Waiting} item
   * @returns {Promise<any>} The line that it became.
   * @throws {Refusal | Away}
   */
  async send(item) {
    try {
      if (item.kind === 'verdict')
        return await post(`${episodePath(item.uid)}/verdicts`, item.body);
      if (!item.judgement)
        throw new Refusal(404, 'the verdict to take back is not known any more.');
      return await post(`/api/verdicts/${item.judgement}/withdrawal`, item.body);
    } catch (error) {
      if (error instanceof Away && error.status === 0) this.#away(error);
      // Another project is served here now. What was said of this one waits until it is back.
      if (error.status === MISDIRECTED) startAnew();
      // A server that has just begun may not have come to this episode yet.
      const isEarly = this.isIndexing || Date.now() - this.#beganAt < WARMING_UP_MS;
      if (error.status === 404 && isEarly) throw new Away(error.message, 404);
      throw error;
    }
  }
}
