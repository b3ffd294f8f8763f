/** What is on the screen: one attempt with all that belongs to it, or why there is none. */

import { byId } from '../dom.js';
import { writeAddress } from './address.js';
import { showHead } from './head.js';
import { showHistory, standingOf } from './history.js';
import { Queue } from './queue.js';
import { whyEmpty } from './telling.js';

/** The screen of one person: its attempt, and the list in which it stands. */
export class Scene {
  /** The uid of the attempt that is shown, or is to be; empty for none. */
  uid = '';
  /** That attempt as the server tells it; null until it is there. */
  detail = null;
  project;
  rater = '';
  queue = new Queue('', {});
  #parts;
  #waitingUids;

  /**
   * @param {object} project As the server tells it.
   * @param {{player: object, panel: object, timeline: object, list: object}} parts
   * @param {() => Set<string>} waitingUids Attempts whose verdict has not reached the server.
   */
  constructor(project, parts, waitingUids) {
    this.project = project;
    this.#parts = parts;
    this.#waitingUids = waitingUids;
  }

  /**
   * Show the screen of a person.
   * @param {string} rater
   * @param {Queue} queue
   */
  begin(rater, queue) {
    this.rater = rater;
    this.queue = queue;
    this.uid = '';
    this.#parts.list.showFilters(this.project, queue.filters);
  }

  /** @param {object} detail Show an attempt, or newer word of the one that is shown. */
  paint(detail) {
    const { panel, timeline } = this.#parts;
    const isNew = this.detail?.uid !== detail.uid;
    this.detail = detail;
    this.queue.setCurrent(detail);
    if (isNew) {
      byId('watch').classList.remove('is-empty');
      scrollTo(0, 0); // on a phone the checklist was below the video
      byId('panel').scrollTop = 0;
      timeline.show(detail);
      panel.show(detail, standingOf(detail, this.rater), this.queue.yours(detail));
    }
    this.#showAround(detail);
    this.#parts.list.reveal(detail.uid);
  }

  /** @param {object} detail Newer word of the attempt; leave alone what somebody puts together. */
  renew(detail) {
    const { panel } = this.#parts;
    const line = standingOf(detail, this.rater);
    const before = standingOf(this.detail, this.rater)?.id;
    this.detail = detail;
    if (line?.id !== before && !panel.isBegun) this.showPanel();
    this.#showAround(detail);
  }

  /** Fill the panel with what was said of the attempt, or with what is begun. */
  showPanel() {
    const { detail } = this;
    const line = standingOf(detail, this.rater);
    this.#parts.panel.show(detail, line, this.queue.yours(detail));
  }

  /**
   * Show no attempt.
   * @param {string} uid The one that is to come; empty for none.
   * @param {string} title
   * @param {string} [sentence]
   */
  blank(uid, title, sentence = '') {
    const { player, panel, timeline } = this.#parts;
    this.detail = null;
    this.queue.setCurrent(null);
    timeline.show(null);
    panel.show(null, null, null);
    showHead(null, this.project);
    showHistory(null, this.rater, null, this.project);
    byId('watch').classList.toggle('is-empty', !uid);
    player.showNothing(uid, title, sentence);
    this.showList();
  }

  /**
   * Say why there is nothing to show.
   * @param {boolean} isAway Whether the server is.
   * @param {object | null} progress As the server tells it.
   */
  showEmpty(isAway, progress) {
    this.blank('', ...whyEmpty({ isAway, progress, queue: this.queue }));
    writeAddress('', this.queue.filters);
  }

  /** Show the list as it is now. */
  showList() {
    this.#parts.list.show(this.queue, this.uid, this.#waitingUids());
  }

  #showAround(detail) {
    const yours = this.queue.yours(detail);
    showHead(detail, this.project);
    showHistory(detail, this.rater, yours, this.project);
    this.#parts.panel.showYours(yours);
    this.showList();
    writeAddress(this.uid, this.queue.filters);
  }
}
