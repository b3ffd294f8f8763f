/** The panel in which a verdict is put together: checklist, moment of success, note, buttons. */

import { byId, make, setText } from '../dom.js';
import { VERDICTS, seconds } from './words.js';

/** A verdict that cannot be given as it stands. `message` says why. */
export class NotYet extends Error {}

/** The panel of the episode on the screen. */
export class VerdictPanel {
  #criteria = null;
  #detail = null;
  #moment = null;
  #note = byId('note');
  /** What the panel shows where nothing is begun. */
  #said = null;
  #drafts;
  #told;

  /**
   * @param {import('./drafts.js').Drafts} drafts What is being put together.
   * @param {{judge: (verdict: string) => void, submit: () => void,
   *   moment: (frame: number | null) => void}} told Called when a verdict's button is pressed, when
   *   the checklist is handed in, and when the moment of success changes.
   */
  constructor(drafts, told) {
    this.#drafts = drafts;
    this.#told = told;
    for (const button of document.querySelectorAll('button[data-verdict]')) {
      button.addEventListener('click', (event) => {
        // The second click of a double click would judge the next episode unseen.
        if (event.detail > 1) return;
        told.judge(button.dataset.verdict);
      });
    }
    byId('submit-checklist').addEventListener('click', (event) => {
      if (event.detail <= 1) told.submit();
    });
    this.#note.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#note.blur();
    });
    this.#note.addEventListener('input', () => this.#keep());
  }

  /**
   * Take the project's checklist.
   * @param {object | null} criteria As the server tells it.
   * @returns {boolean} Whether it is another one than before.
   */
  setCriteria(criteria) {
    if (criteria?.version === this.#criteria?.version) return false;
    this.#criteria = criteria;
    byId('checklist').hidden = !criteria;
    const rows = (criteria?.items ?? []).map((item, number) => {
      const box = make('input', { type: 'checkbox', 'data-criterion': item.name });
      box.addEventListener('change', () => {
        this.#sum();
        this.#keep();
      });
      const key =
        number < 9 ? make('kbd', { text: String(number + 1), 'aria-hidden': 'true' }) : '';
      return make(
        'label',
        { class: 'criterion' },
        box,
        make('span', { text: item.question || item.name }),
        key,
      );
    });
    byId('criteria').replaceChildren(...rows);
    this.#sum();
    if (this.#said) {
      const { answers, version } = this.#shown;
      this.#said = { ...this.#said, answers, version };
    }
    return true;
  }

  /** @returns {boolean} Whether the project has a checklist. */
  get hasChecklist() {
    return this.#criteria !== null;
  }

  /**
   * Show what a person said of an episode, or an empty panel.
   * @param {object | null} detail
   * @param {object | null} standing Their standing judgement.
   * @param {string | null} yours Their verdict, also one that still waits to be sent.
   */
  show(detail, standing, yours) {
    this.#detail = detail;
    this.#put({
      note: standing?.note ?? '',
      moment: standing?.success_frame ?? null,
      answers: standing?.answers ?? null,
      version: standing?.criteria_version ?? '',
    });
    this.#said = this.#shown;
    const draft = detail && this.#drafts.read(detail.uid);
    if (draft) this.#put(draft);
    this.showYours(yours);
    for (const control of byId('panel').querySelectorAll('[data-needs-episode]'))
      control.disabled = !detail;
  }

  /** @param {string | null} yours What the person at the screen says of the episode. */
  showYours(yours) {
    for (const button of document.querySelectorAll('button[data-verdict]')) {
      button.setAttribute('aria-pressed', String(button.dataset.verdict === yours));
    }
  }

  /** @returns {boolean} Whether somebody is putting a verdict together. */
  get isBegun() {
    return document.activeElement === this.#note || this.#isChanged;
  }

  /** @param {number} frame Mark the moment of success there; clear it if it is marked just there. */
  toggleMoment(frame) {
    if (!this.#detail) return;
    this.#setMoment(this.#moment === frame ? null : frame);
    this.#keep();
  }

  /** @param {number} number Of the criterion to tick or untick, from 1. */
  toggleCriterion(number) {
    const box = this.#boxes[number - 1];
    if (!box || !this.#detail) return;
    box.checked = !box.checked;
    this.#sum();
    this.#keep();
  }

  /** @returns {'success' | 'failure'} What the ticks say by the project's rule. */
  checklistVerdict() {
    const met = this.#boxes.filter((box) => box.checked).length;
    return met >= (this.#criteria?.needed ?? 0) ? 'success' : 'failure';
  }

  /** Tick everything, as a success by key or button means. */
  tickAll() {
    for (const box of this.#boxes) box.checked = true;
    this.#sum();
  }

  /**
   * Put the verdict together.
   * @param {'success' | 'failure' | 'discard'} verdict
   * @returns {object} What the server wants to know besides the rater and the request.
   * @throws {NotYet} If the ticks say otherwise.
   */
  draft(verdict) {
    const asks = this.#criteria !== null && verdict !== 'discard';
    if (asks && this.checklistVerdict() !== verdict) {
      throw new NotYet(
        `The ticks make a ${this.checklistVerdict()}. ` +
          'Untick what was not met, or press S for a success.',
      );
    }
    return {
      verdict,
      note: this.#note.value.trim(),
      success_frame: verdict === 'success' ? this.#moment : null,
      answers: asks ? this.#ticks : null,
      criteria_version: this.#criteria?.version ?? '',
    };
  }

  get #boxes() {
    return [...byId('criteria').querySelectorAll('input')];
  }

  /** @returns {import('./drafts.js').Draft} What the panel shows. */
  get #shown() {
    return {
      note: this.#note.value,
      moment: this.#moment,
      answers: this.#criteria && this.#ticks,
      version: this.#criteria?.version ?? '',
    };
  }

  get #ticks() {
    return Object.fromEntries(this.#boxes.map((box) => [box.dataset.criterion, box.checked]));
  }

  get #isChanged() {
    return JSON.stringify(this.#shown) !== JSON.stringify(this.#said);
  }

  /** Keep what is begun; what is as it was said before is no draft. */
  #keep() {
    if (!this.#detail) return;
    if (this.#isChanged) this.#drafts.keep(this.#detail.uid, this.#shown);
    else this.#drafts.forget(this.#detail.uid);
  }

  #put({ note, moment, answers, version }) {
    this.#note.value = note;
    // Ticks of another checklist answer other questions.
    const fits = version === (this.#criteria?.version ?? '');
    for (const box of this.#boxes)
      box.checked = fits && answers?.[box.dataset.criterion] === true;
    this.#sum();
    this.#setMoment(moment);
  }

  #sum() {
    if (!this.#criteria) return;
    const boxes = this.#boxes;
    const met = boxes.filter((box) => box.checked).length;
    const { word } = VERDICTS[this.checklistVerdict()];
    setText(byId('criteria-sum'), `${met} of ${boxes.length} met, ${this.#criteria.needed} needed`);
    setText(byId('submit-word'), `Submit ${word.toLowerCase()}`);
  }

  #setMoment(frame) {
    this.#moment = frame;
    const button = byId('mark-success');
    button.setAttribute('aria-pressed', String(frame !== null));
    const isKnown = frame !== null && this.#detail;
    setText(
      byId('moment-shown'),
      isKnown
        ? `Success at ${seconds(frame, this.#detail.fps)}, frame ${frame + 1}`
        : 'Mark moment of success',
    );
    this.#told.moment(frame);
  }
}
