/** Verdicts that the server has not acknowledged yet. They outlive a reload and a dead server. */

import { Refusal } from '../api.js';

const KEY = 'waiting/';
const SOONEST_RETRY_MS = 500;
const LATEST_RETRY_MS = 5000;

/**
 * @typedef {object} Waiting
 * @property {'verdict' | 'withdrawal'} kind
 * @property {string} uid The episode.
 * @property {string} said The verdict that is given or taken back.
 * @property {object} [card] The episode as the queue lists it.
 * @property {object} body What is posted; has `rater`, `project_id` and `request_id`.
 * @property {number} [judgement] A withdrawal's line, once it is known.
 * @property {string} [of] The request that made a withdrawal's line.
 * @property {number} order Smaller goes first.
 * @property {boolean} [wasTried] Whether the server may have seen it.
 */

/** Sends what waits, one at a time and in order, until the server has acknowledged it. */
export class Outbox {
  /** Whether to wait: the server is known to be away. Whoever finds it back calls `flush`. */
  isHeld = false;
  #drawer;
  #send;
  #tell;
  #waiting = new Map();
  #onlyHere = new Set();
  #isSending = false;
  #retryMs = SOONEST_RETRY_MS;
  #timer = 0;

  /**
   * @param {import('./storage.js').Drawer} drawer
   * @param {(item: Waiting) => Promise<any>} send
   * @param {{acknowledged: (item: Waiting, reply: any) => void,
   *   refused: (item: Waiting, refusal: Refusal) => void, changed: () => void}} tell
   */
  constructor(drawer, send, tell) {
    this.#drawer = drawer;
    this.#send = send;
    this.#tell = tell;
    for (const key of drawer.keys(KEY)) {
      const item = drawer.read(key);
      if (item?.body?.request_id) this.#waiting.set(item.body.request_id, item);
    }
    // Another tab of this browser may have been the one whose request got through.
    addEventListener('storage', () => this.#forgetWhatOthersSent());
    addEventListener('beforeunload', (event) => {
      if (this.isOnlyHere) event.preventDefault();
    });
  }

  /** @returns {boolean} Whether something waits that would be lost with this page. */
  get isOnlyHere() {
    return this.#onlyHere.size > 0;
  }

  /** @returns {Waiting[]} What waits, in the order to send it. */
  get items() {
    return [...this.#waiting.values()].sort((a, b) => a.order - b.order);
  }

  /**
   * Add something and try to send it.
   * @param {Omit<Waiting, 'order'>} item
   */
  add(item) {
    const last = this.items.at(-1)?.order ?? 0;
    this.#keep({ ...item, order: Math.max(Date.now(), last + 1) });
    this.#tell.changed();
    void this.flush();
  }

  /**
   * Drop a verdict that the server cannot have seen.
   * @param {string} requestId
   * @returns {boolean} Whether it was dropped; false means it must be withdrawn instead.
   */
  drop(requestId) {
    const item = this.#waiting.get(requestId);
    if (!item || item.wasTried) return false;
    this.#remove(item);
    return true;
  }

  /**
   * Send what waits.
   * @returns {Promise<void>}
   */
  async flush() {
    if (this.#isSending || this.isHeld) return;
    this.#isSending = true;
    clearTimeout(this.#timer);
    const stuck = new Set();
    try {
      while (!this.isHeld) {
        const item = this.items.find((each) => !stuck.has(each.uid));
        if (!item) break;
        const outcome = await this.#try(item);
        if (outcome === 'gone') break;
        if (outcome === 'stuck') stuck.add(item.uid);
        else this.#retryMs = SOONEST_RETRY_MS;
      }
    } finally {
      this.#isSending = false;
    }
    if (this.#waiting.size === 0) return;
    this.#timer = setTimeout(() => void this.flush(), this.#retryMs);
    this.#retryMs = Math.min(2 * this.#retryMs, LATEST_RETRY_MS);
  }

  async #try(item) {
    this.#keep({ ...item, wasTried: true });
    try {
      const reply = await this.#send(this.#waiting.get(item.body.request_id));
      this.#name(item, reply);
      this.#remove(item);
      this.#tell.acknowledged(item, reply);
      return 'sent';
    } catch (error) {
      if (error instanceof Refusal) {
        this.#remove(item);
        this.#dropWithdrawalsOf(item);
        this.#tell.refused(item, error);
        return 'refused';
      }
      this.#tell.changed();
      return error.status ? 'stuck' : 'gone';
    }
  }

  /** Tell the withdrawals that wait behind a verdict which line it became. */
  #name(item, reply) {
    for (const each of this.items) {
      if (each.of === item.body.request_id) this.#keep({ ...each, judgement: reply.id });
    }
  }

  #dropWithdrawalsOf(item) {
    for (const each of this.items) if (each.of === item.body.request_id) this.#remove(each);
  }

  #keep(item) {
    this.#waiting.set(item.body.request_id, item);
    // One key for each, so that two tabs never write over each other's.
    const isKept = this.#drawer.write(KEY + item.body.request_id, item);
    if (isKept) this.#onlyHere.delete(item.body.request_id);
    else this.#onlyHere.add(item.body.request_id);
  }

  #remove(item) {
    this.#waiting.delete(item.body.request_id);
    this.#onlyHere.delete(item.body.request_id);
    this.#drawer.remove(KEY + item.body.request_id);
    this.#tell.changed();
  }

  #forgetWhatOthersSent() {
    const kept = new Set(this.#drawer.keys(KEY));
    for (const item of this.items) {
      if (!kept.has(KEY + item.body.request_id)) this.#waiting.delete(item.body.request_id);
    }
    this.#tell.changed();
  }
}
