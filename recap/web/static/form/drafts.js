/** Verdicts that are being put together. They outlive a look elsewhere and a reload, in this tab. */

const KEY = 'draft/';

/**
 * @typedef {object} Draft
 * @property {string} note
 * @property {number | null} moment The frame that is marked as the moment of success.
 * @property {Record<string, boolean> | null} answers Criterion to whether it is ticked.
 * @property {string} version Of the checklist that the answers belong to; empty without one.
 */

/** The drafts of whoever is judging, one for each attempt, until its verdict is given. */
export class Drafts {
  #drawer;
  #rater;

  /**
   * @param {import('./storage.js').Drawer} drawer Of this project, for this tab.
   * @param {() => string} rater Who is judging.
   */
  constructor(drawer, rater) {
    this.#drawer = drawer;
    this.#rater = rater;
  }

  /** @param {string} uid The attempt. @returns {Draft | null} Null where nothing was begun. */
  read(uid) {
    const draft = this.#drawer.read(this.#key(uid));
    return typeof draft?.note === 'string' ? draft : null;
  }

  /** @param {string} uid @param {Draft} draft */
  keep(uid, draft) {
    this.#drawer.write(this.#key(uid), draft);
  }

  /** @param {string} uid */
  forget(uid) {
    this.#drawer.remove(this.#key(uid));
  }

  /**
   * Give back what was said, unless something else has been begun since.
   * @param {string} uid
   * @param {object} said A verdict as it was sent, or a line of the history.
   */
  giveBack(uid, said) {
    const { note, success_frame: moment, answers, criteria_version: version } = said;
    const isPlain = !note && moment === null && !answers;
    if (!isPlain && !this.read(uid)) this.keep(uid, { note, moment, answers, version });
  }

  #key(uid) {
    return `${KEY}${this.#rater()}/${uid}`;
  }
}
