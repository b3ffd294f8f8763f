/** The episodes to judge: their order, where we are in it, and what comes next. */

import { get } from '../api.js';

const AT_FIRST = 20;
const AT_MOST = 100;
const MOST_PAST = 50;

/** What is shown when nobody has chosen anything. */
export const NO_FILTERS = Object.freeze({
  show: 'unjudged',
  task: '',
  iteration: '',
  pilot: '',
  corrected: '',
});

/** The queue of one rater. */
export class Queue {
  filters;
  total = 0;
  isLoaded = false;
  /** Grows with every verdict given or taken back here. */
  timesSaid = 0;
  #rater;
  #cards = [];
  #past = [];
  #current = null;
  /** What the rater said in this page, which the server may not know yet. */
  #said = new Map();
  #round = 0;

  /**
   * @param {string} rater
   * @param {object} filters
   */
  constructor(rater, filters) {
    this.#rater = rater;
    this.filters = { ...NO_FILTERS, ...filters };
  }

  /** @returns {object[]} Those judged here, then the one on the screen, then those to come. */
  get list() {
    const isWanted = (card) => !(this.isForUnjudged && this.#said.get(card.uid));
    const listed = this.#cards.filter(isWanted);
    const there = new Set(listed.map((card) => card.uid));
    const past = this.#past.filter((card) => !there.has(card.uid));
    for (const card of past) there.add(card.uid);
    const current = this.#current && !there.has(this.#current.uid) ? [this.#current] : [];
    return [...past, ...current, ...listed];
  }

  /** @returns {boolean} Whether what the rater has judged leaves the list. */
  get isForUnjudged() {
    return this.filters.show === 'unjudged' || this.filters.show === 'not-yours';
  }

  /** @returns {boolean} Whether the filters leave something out besides what is judged. */
  get isNarrowed() {
    const { show: _show, ...others } = this.filters;
    return !this.isForUnjudged || Object.values(others).some(Boolean);
  }

  /** @returns {boolean} Whether the server knows more episodes than are listed. */
  get hasMore() {
    return this.#cards.length < this.total;
  }

  /** @param {object} card @returns {string | null} What the rater says of an episode. */
  yours(card) {
    return this.#said.has(card.uid) ? this.#said.get(card.uid) : card.yours;
  }

  /**
   * Ask the server what there is to judge now.
   * @returns {Promise<boolean>} Whether the answer was used; false when a newer question was asked.
   */
  async refresh() {
    const round = (this.#round += 1);
    const limit = Math.max(AT_FIRST, Math.min(AT_MOST, this.#cards.length));
    const { episodes, total } = await get('/api/queue', {
      ...this.filters,
      rater: this.#rater,
      limit,
    });
    if (round !== this.#round) return false;
    const head = new Set(episodes.map((card) => card.uid));
    const tail = this.#cards.slice(limit).filter((card) => !head.has(card.uid));
    this.#cards = [...episodes, ...tail].slice(0, total);
    this.total = total;
    this.isLoaded = true;
    return true;
  }

  /** Ask for more behind what is listed. */
  async extend() {
    const last = this.#cards.at(-1);
    if (!last || !this.hasMore) return;
    const round = this.#round;
    const { episodes, total } = await get('/api/queue', {
      ...this.filters,
      rater: this.#rater,
      limit: AT_MOST,
      after: last.uid,
    });
    if (round !== this.#round) return;
    const there = new Set(this.#cards.map((card) => card.uid));
    this.#cards.push(...episodes.filter((card) => !there.has(card.uid)));
    this.total = episodes.length ? total : this.#cards.length;
  }

  /** @param {object | null} card The episode on the screen. */
  setCurrent(card) {
    this.#current = card;
  }

  /**
   * Note what the rater said.
   * @param {object} card
   * @param {string | null} verdict Null where it was taken back.
   */
  say(card, verdict) {
    this.timesSaid += 1;
    this.#said.set(card.uid, verdict);
    this.#past = this.#past.filter((each) => each.uid !== card.uid);
    if (verdict) this.#past = [...this.#past, card].slice(-MOST_PAST);
  }

  /**
   * Take the server's newest word of an episode.
   * @param {object} card
   * @param {string | null} verdict What the rater says of it, by the server.
   */
  settle(card, verdict) {
    const isChanged = this.#said.has(card.uid) && this.#said.get(card.uid) !== verdict;
    if (isChanged) this.say(card, verdict);
    this.#learn(card);
  }

  #learn(card) {
    const newer = (each) => (each.uid === card.uid ? { ...each, ...card } : each);
    this.#cards = this.#cards.map(newer);
    this.#past = this.#past.map(newer);
    if (this.#current?.uid === card.uid) this.#current = { ...this.#current, ...card };
  }

  /**
   * Find the neighbour of an episode in the list.
   * @param {string} uid
   * @param {1 | -1} step
   * @returns {object | null}
   */
  neighbour(uid, step) {
    const list = this.list;
    const at = list.findIndex((card) => card.uid === uid);
    if (at >= 0) return list[at + step] ?? null;
    return (step < 0 ? list.at(-1) : this.upcoming('', 1)[0]) ?? null;
  }

  /** @param {object} card Judged before this page was opened: list it before everything else. */
  recall(card) {
    this.#past = [card, ...this.#past.filter((each) => each.uid !== card.uid)];
  }

  /**
   * Find what to judge after an episode.
   * @param {string} uid Empty for the first of all.
   * @param {number} count
   * @returns {object[]} At most so many, the next one first.
   */
  upcoming(uid, count) {
    const list = this.list;
    const at = list.findIndex((card) => card.uid === uid);
    const behind = list.slice(at + 1);
    if (!this.isForUnjudged) return behind.slice(0, count);
    // What was skipped comes round again; what somebody else has on the screen comes last.
    const skipped = list.slice(0, Math.max(at, 0));
    const open = [...behind, ...skipped].filter((card) => !this.yours(card));
    const free = open.filter((card) => !card.looked_at_by.length);
    return [...free, ...open.filter((card) => card.looked_at_by.length)].slice(0, count);
  }
}
