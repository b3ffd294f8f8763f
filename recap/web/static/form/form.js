/** What happens when: an attempt is shown, judged, taken back; the server comes and goes. */

import { Away, Refusal, get } from '../api.js';
import { startAnew } from './address.js';
import { Courier } from './courier.js';
import { Details } from './details.js';
import { standingOf } from './history.js';
import { cardOf, saidBy, saidIn, verdictItem, withdrawalItem } from './items.js';
import { Mine } from './mine.js';
import { Outbox } from './outbox.js';
import { Presence } from './presence.js';
import { Queue } from './queue.js';
import { Scene } from './scene.js';
import { say, settle, warn } from './telling.js';
import { NotYet } from './verdict.js';

const AHEAD = 2;
const FEW_LEFT = 5;
const CONFLICT = 409;
const UNFIT = 422;

/** The form of one project and one rater. */
export class Form {
  #parts;
  #drawer;
  #scene;
  #mine = null;
  #details = new Details('');
  #outbox;
  #cameras = '';
  #gone = null;
  #progress = null;
  #presence = new Presence();
  #courier;
  #isRecalling = false;
  /** Request to what it said, of verdicts that were given in this page. */
  #given = new Map();

  /**
   * @param {object} project As the server tells it.
   * @param {import('./storage.js').Drawer} drawer Of this project.
   * @param {{player: object, panel: object, timeline: object, list: object, line: object,
   *   person: object, drafts: object}} parts
   */
  constructor(project, drawer, parts) {
    this.#parts = parts;
    this.#drawer = drawer;
    this.#scene = new Scene(project, parts, () => this.#waitingUids());
    this.#courier = new Courier((error) => this.#goAway(error));
    this.#outbox = new Outbox(drawer, (item) => this.#courier.send(item), {
      acknowledged: (item, reply) => this.#acknowledged(item, reply),
      refused: (item, refusal) => this.#refused(item, refusal),
      changed: () => this.#showConnection(),
    });
    this.#take(project);
  }

  /**
   * Begin with a person, or go on with another one.
   * @param {string} rater
   * @param {object} filters
   * @param {string} uid Attempt to begin with; empty for the first of the queue.
   */
  async begin(rater, filters, uid) {
    this.#mine = rater ? new Mine(this.#drawer, rater) : null;
    this.#details = new Details(rater);
    this.#progress = null;
    const queue = new Queue(rater, filters);
    for (const item of this.#outbox.items) {
      if (item.body.rater === rater && item.kind === 'verdict')
        queue.say({ uid: item.uid, ...item.card }, item.said);
    }
    this.#scene.begin(rater, queue);
    void this.#outbox.flush();
    if (uid) void this.show(uid);
    await this.poll();
  }

  /** @param {object} filters Show other attempts. */
  async filter(filters) {
    await this.begin(this.#scene.rater, filters, '');
  }

  /** Ask how things are; what is new appears. */
  async poll() {
    try {
      const progress = await get('/api/progress', { rater: this.#scene.rater });
      if (progress.project_id !== this.#scene.project.id) {
        startAnew();
        return;
      }
      if (this.#gone) await this.#comeBack();
      this.#parts.line.show(progress, this.#scene.project);
      this.#courier.isIndexing = progress.indexing > 0;
      const before = this.#progress;
      const isOther =
        progress.episodes !== before?.episodes || progress.settings !== before?.settings;
      if (isOther) this.#take(await get('/api/project'));
      this.#progress = progress;
      if (!isOther && progress.revision === before.revision) return;
      await this.#refresh();
      if (this.#scene.detail) void this.#renew(this.#scene.uid);
      else if (this.#scene.uid) void this.show(this.#scene.uid);
    } catch (error) {
      if (isAboutRater(error)) await this.#askForAnotherName(error);
      else this.#goAway(error);
    } finally {
      this.#presence.keepUp();
    }
  }

  /**
   * Show an attempt.
   * @param {string} uid
   */
  async show(uid) {
    this.#scene.uid = uid;
    const known = this.#details.peek(uid);
    if (known) {
      this.#scene.paint(known);
      void this.#renew(uid);
    } else if (!(await this.#fetch(uid))) return;
    this.#presence.look(this.#scene.rater, uid);
    await this.#parts.player.show(this.#scene.detail);
    if (this.#scene.uid === uid) await this.#lookAhead();
  }

  /** @param {1 | -1} step Show the neighbour in the queue. */
  async move(step) {
    const { queue, uid } = this.#scene;
    const card = queue.neighbour(uid, step) ?? (step < 0 ? await this.#judgedBefore() : null);
    if (this.#scene.uid !== uid) return;
    if (card) void this.show(card.uid);
    else say(`This is the ${step > 0 ? 'last' : 'first'} attempt of the list.`);
  }

  /** @param {'success' | 'failure' | 'discard'} verdict Of the attempt on the screen; go on. */
  judge(verdict) {
    const { detail, queue, rater } = this.#scene;
    if (!detail || !rater) {
      say(detail ? 'Say your name first.' : 'There is no attempt to judge.');
      return;
    }
    let draft;
    try {
      draft = this.#parts.panel.draft(verdict);
    } catch (error) {
      if (!(error instanceof NotYet)) throw error;
      say(error.message);
      return;
    }
    const [next] = queue.upcoming(detail.uid, 1);
    const item = verdictItem(detail, draft, this.#by);
    this.#mine.push(saidBy(item));
    this.#given.set(item.body.request_id, item.body);
    queue.say(detail, verdict);
    this.#parts.drafts.forget(detail.uid);
    this.#outbox.add(item);
    if (this.#gone) say(`The server is away. Your verdict waits here: ${verdict}.`);
    if (next) void this.show(next.uid);
    else void this.#runOut();
  }

  /** Take the rater's newest verdict back, wherever it is, and show that attempt again. */
  async undo() {
    const said = this.#mine?.pop() ?? (await this.#saidElsewhere());
    if (!said) {
      if (this.#isRecalling) return;
      say(
        this.#gone
          ? 'The server is away: what else you judged is not known here.'
          : 'There is nothing of yours to undo.',
      );
      return;
    }
    const known = this.#details.peek(said.uid);
    const line = known && standingOf(known, this.#scene.rater);
    const given = this.#given.get(said.request) ?? line;
    if (given) this.#parts.drafts.giveBack(said.uid, given);
    this.#scene.queue.say({ uid: said.uid, ...known }, null);
    if (this.#outbox.drop(said.request)) {
      say(`Withdrawn: ${said.verdict}`);
    } else {
      this.#outbox.add(withdrawalItem(said, this.#by));
    }
    void this.show(said.uid);
  }

  /** Ask for more of the list. */
  async extend() {
    await this.#scene.queue.extend().catch((error) => this.#goAway(error));
    this.#scene.showList();
  }

  /** @returns {boolean} Whether something has not reached the server. */
  get isWaiting() {
    return this.#outbox.items.length > 0;
  }

  /** @returns {object | null} The attempt on the screen. */
  get detail() {
    return this.#scene.detail;
  }

  get #by() {
    return { rater: this.#scene.rater, project_id: this.#scene.project.id };
  }

  /** Ask for the newest verdict that was given in another browser, or not in a browser at all. */
  async #saidElsewhere() {
    // What is being taken back is not to be taken back again.
    const going = this.#outbox.items.map((item) => item.judgement ?? Infinity);
    const oldest = Math.min(...going);
    const line = await this.#newest(Number.isFinite(oldest) ? { before: oldest } : {});
    return line && saidIn(line);
  }

  /** Ask for what was judged before this page was opened, and put it into the list. */
  async #judgedBefore() {
    const { detail, queue, rater } = this.#scene;
    if (!queue.isForUnjudged) return null;
    const line = await this.#newest({ before: detail && standingOf(detail, rater)?.id });
    const known = line && (await this.#details.get(line.episode_uid).catch(() => null));
    if (known) queue.recall(cardOf(known));
    return known;
  }

  async #newest(query) {
    const { rater } = this.#scene;
    if (!rater || this.#isRecalling) return null;
    this.#isRecalling = true;
    try {
      return await get('/api/newest', { rater, ...query });
    } catch (error) {
      this.#goAway(error);
      return null;
    } finally {
      this.#isRecalling = false;
    }
  }

  /** Ask for an attempt that is to be shown; say whether it is on the screen then. */
  async #fetch(uid) {
    this.#scene.blank(uid, 'Loading \u2026');
    try {
      const detail = await this.#details.fetch(uid);
      if (this.#scene.uid === uid) this.#scene.paint(detail);
    } catch (error) {
      if (this.#scene.uid !== uid) return false;
      const isAway = error instanceof Away;
      this.#scene.blank(
        uid,
        isAway ? 'The server is away' : 'This attempt cannot be shown',
        isAway ? 'It appears when the server is back. Everything you said is kept.' : error.message,
      );
      if (isAway) this.#goAway(error);
      return false;
    }
    return this.#scene.uid === uid;
  }

  /** Fetch newer word of an attempt. */
  async #renew(uid) {
    const { queue, rater } = this.#scene;
    const saidBefore = queue.timesSaid;
    const detail = await this.#details.fetch(uid).catch(() => null);
    if (!detail) return;
    // What the server says counts, unless something was said while it was answering.
    if (!this.#waitingUids().has(uid) && queue.timesSaid === saidBefore) {
      queue.settle(cardOf(detail), standingOf(detail, rater)?.verdict ?? null);
    }
    if (this.#scene.detail?.uid === uid) this.#scene.renew(detail);
  }

  async #lookAhead() {
    const { queue, uid } = this.#scene;
    const cards = queue.upcoming(uid, AHEAD);
    const details = await Promise.all(
      cards.map((card) => this.#details.get(card.uid).catch(() => null)),
    );
    this.#parts.player.preload(details.filter(Boolean));
    const isShort = queue.upcoming(uid, FEW_LEFT).length < FEW_LEFT;
    if (isShort && queue.hasMore) await this.extend();
  }

  async #refresh() {
    if (!(await this.#scene.queue.refresh())) return;
    this.#scene.showList();
    if (this.#scene.uid) void this.#lookAhead();
    else this.#start();
  }

  #start() {
    const [first] = this.#scene.queue.upcoming('', 1);
    if (first) void this.show(first.uid);
    else this.#showEmpty();
  }

  async #runOut() {
    this.#scene.uid = '';
    this.#presence.look(this.#scene.rater, '');
    this.#scene.blank('', 'Loading \u2026');
    await this.#outbox.flush();
    this.#progress = null; // whatever it says, the list is to be asked for
    await this.poll();
    if (this.#gone && !this.#scene.uid) this.#showEmpty();
  }

  #showEmpty() {
    this.#scene.showEmpty(Boolean(this.#gone), this.#progress);
  }

  #acknowledged(item, reply) {
    if (item.kind === 'verdict') {
      new Mine(this.#drawer, item.body.rater).acknowledge(item.body.request_id, reply.id);
      settle(item.uid);
    }
    say(`${item.kind === 'verdict' ? 'Saved' : 'Withdrawn'}: ${item.said}`);
    this.#scene.showList();
    void this.#renew(item.uid);
  }

  #refused(item, refusal) {
    const { rater, queue, detail } = this.#scene;
    if (item.kind === 'verdict') {
      new Mine(this.#drawer, item.body.rater).forget(item.body.request_id);
      queue.say({ uid: item.uid, ...item.card }, null);
      if (item.body.rater === rater) this.#parts.drafts.giveBack(item.uid, item.body);
      if (detail?.uid === item.uid && !this.#parts.panel.isBegun) this.#scene.showPanel();
    }
    warn(`Not saved (${item.said}, ${item.uid}): ${refusal.message}`, item.uid);
    if (refusal.status === CONFLICT) void this.#takeAgain();
    this.#scene.showList();
    void this.#renew(item.uid);
  }

  #take(project) {
    // A server that has just begun knows no cameras yet.
    const isOther = project.cameras.length > 0 && JSON.stringify(project.cameras) !== this.#cameras;
    this.#scene.project = project;
    const isChecklistNew = this.#parts.panel.setCriteria(project.criteria);
    if (isChecklistNew && this.#scene.detail) say('The checklist is another one now.');
    if (isOther) {
      this.#cameras = JSON.stringify(project.cameras);
      this.#parts.player.setCameras(project.cameras);
      if (this.#scene.uid) void this.show(this.#scene.uid);
    }
    this.#parts.list.showFilters(project, this.#scene.queue.filters);
  }

  /** Ask for the project again: its checklist was changed. */
  async #takeAgain() {
    const project = await get('/api/project').catch(() => null);
    if (project) this.#take(project);
  }

  async #askForAnotherName(refusal) {
    this.#parts.person.refuse(refusal.message);
    await this.begin('', this.#scene.queue.filters, this.#scene.uid);
  }

  #goAway(error) {
    if (!(error instanceof Away || error instanceof Refusal)) throw error;
    this.#gone = error;
    this.#outbox.isHeld = true;
    this.#showConnection();
  }

  async #comeBack() {
    this.#take(await get('/api/project'));
    this.#gone = null;
    this.#outbox.isHeld = false;
    this.#courier.begin();
    this.#progress = null;
    this.#details = new Details(this.#scene.rater);
    this.#showConnection();
    void this.#outbox.flush();
    const { uid, detail } = this.#scene;
    if (uid && (!detail || this.#parts.player.isBroken)) void this.show(uid);
  }

  #showConnection() {
    this.#parts.line.showConnection(this.#outbox, this.#gone);
  }

  #waitingUids() {
    return new Set(this.#outbox.items.map((item) => item.uid));
  }
}

/** Say whether the server refused the name of the person who asks. */
function isAboutRater(error) {
  return error instanceof Refusal && error.status === UNFIT && error.message.startsWith('rater: ');
}
