/** Plays episodes: one on the screen, the next ones already behind it. */

import { byId, setText } from '../dom.js';
import { Stage } from './stage.js';
import { Drawer } from './storage.js';

/** How fast a video can be played. */
const SPEEDS = [0.5, 1, 2, 4, 8];

const STAGES = 4; // on the screen, the next two, and the one before
const PATIENCE_MS = 150; // before it is said that a video is loading
const ON_A_PHONE = matchMedia('(max-width: 860px), (max-height: 480px)');
const LESS_MOTION = matchMedia('(prefers-reduced-motion: reduce)');
const SHARE_OF_A_PHONE = 0.46;
const LEAST_PIXELS = 160;
const ALL_THERE_IS = '99999px'; // and shrink to what is left

/** The player of the form. */
export class Player {
  #root = byId('player');
  #room = byId('room');
  #stages = [];
  #current = null;
  #frame = 0;
  #frames = 1;
  #isPlaying = false;
  #hasBegun = false;
  #tick = 0;
  #patience = 0;
  #told;
  #drawer = new Drawer('');

  /**
   * @param {{frame: (frame: number) => void, state: () => void}} told Called with every new frame
   *   on the screen, and when playing, speed or loop change.
   */
  constructor(told) {
    this.#told = told;
    const kept = this.#drawer.read('player') ?? {};
    this.speed = SPEEDS.includes(kept.speed) ? kept.speed : 1;
    this.isLooping = kept.isLooping === true;
    this.isStartingItself = kept.isStartingItself ?? !LESS_MOTION.matches;
    this.#root.dataset.frame = '0';
    const watcher = new ResizeObserver(() => this.#fit());
    for (const element of [this.#root.parentElement, ...this.#root.parentElement.children]) {
      if (element !== this.#root) watcher.observe(element);
    }
    addEventListener('resize', () => this.#fit());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden && this.#isPlaying) this.pause();
    });
  }

  get frame() {
    return this.#frame;
  }

  get isPlaying() {
    return this.#isPlaying;
  }

  /** @param {object[]} cameras Of the project; the same for every episode. */
  setCameras(cameras) {
    for (const stage of this.#stages) stage.clear();
    this.#stages = cameras.length ? Array.from({ length: STAGES }, () => new Stage(cameras)) : [];
    this.#room.replaceChildren(...this.#stages.map((stage) => stage.element));
    this.#current = null;
    this.#fit();
  }

  /**
   * Show an episode from its first frame.
   * @param {object} detail
   * @returns {Promise<void>} Kept when its first frame is on the screen.
   */
  async show(detail) {
    this.#halt();
    const stage = this.#stageFor(detail.uid, new Set([detail.uid]));
    if (stage !== this.#current) this.#put(stage);
    this.#frames = detail.frames;
    stage.shownAt = performance.now();
    this.#name(detail.uid);
    const loading = stage.load(detail, { isUrgent: true });
    if (stage.isReady) stage.seek(0);
    this.#say('');
    this.#arrive(0);
    if (!stage.isReady) {
      this.#patience = setTimeout(() => this.#say('Loading the video \u2026'), PATIENCE_MS);
      await loading;
      if (this.#current !== stage || stage.uid !== detail.uid) return;
      clearTimeout(this.#patience);
      this.#say('');
    }
    this.#root.dataset.ready = 'true';
    if (this.isStartingItself && !document.hidden) this.play();
  }

  /**
   * Show no episode, and say why.
   * @param {string} uid Empty for none.
   * @param {string} title
   * @param {string} [sentence]
   */
  showNothing(uid, title, sentence = '') {
    this.#halt();
    this.#put(null);
    this.#frames = 1;
    this.#name(uid);
    this.#say(title, sentence);
    this.#arrive(0);
  }

  /** @param {object[]} details Episodes to have ready behind the screen, the most likely first. */
  preload(details) {
    const wanted = new Set(details.map((detail) => detail.uid));
    for (const detail of details) {
      const stage = this.#stageFor(detail.uid, wanted);
      if (stage && stage !== this.#current) void stage.load(detail, { isUrgent: false });
    }
  }

  /** @returns {boolean} Whether a video of the episode on the screen was not to be had. */
  get isBroken() {
    return Boolean(this.#current?.isBroken);
  }

  /** Play on, or from the start where it is over. */
  play() {
    if (!this.#current?.isReady || this.#isPlaying) return;
    if (this.#frame >= this.#frames - 1) this.#current.seek(0);
    if (!this.#current.canPlay) return;
    this.#setPlaying(true);
    this.#hasBegun = false;
    this.#follow();
  }

  /** Stop on the frame that is on the screen, in every camera. */
  pause() {
    if (!this.#isPlaying) return;
    this.#halt();
    this.#current?.seek(this.#frame);
    this.#arrive(this.#frame);
  }

  /** Play or pause. */
  toggle() {
    if (this.#isPlaying) this.pause();
    else this.play();
  }

  /** @param {number} frame Show it, and stay there. */
  seek(frame) {
    this.#halt();
    const wanted = Math.max(0, Math.min(this.#frames - 1, Math.round(frame)));
    this.#current?.seek(wanted);
    this.#arrive(wanted);
  }

  /** @param {number} frames So many forward; negative for back. */
  step(frames) {
    this.seek(this.#frame + frames);
  }

  /** @param {number} speed One of `SPEEDS`. */
  setSpeed(speed) {
    this.speed = speed;
    if (this.#isPlaying && this.#hasBegun) this.#current?.play(speed);
    this.#remember();
  }

  /** @param {1 | -1} direction Faster or slower. */
  changeSpeed(direction) {
    const next = SPEEDS[SPEEDS.indexOf(this.speed) + direction];
    if (next) this.setSpeed(next);
  }

  /** Play over and over, or once. */
  toggleLoop() {
    this.isLooping = !this.isLooping;
    this.#remember();
  }

  /** Play every episode as soon as it is shown, or wait to be asked. */
  toggleStartingItself() {
    this.isStartingItself = !this.isStartingItself;
    this.#remember();
  }

  #remember() {
    const { speed, isLooping, isStartingItself } = this;
    this.#drawer.write('player', { speed, isLooping, isStartingItself });
    this.#told.state();
  }

  #follow() {
    this.#tick = requestAnimationFrame(() => {
      if (!this.#isPlaying || !this.#current) return;
      if (!this.#hasBegun) {
        this.#beginTogether();
        return;
      }
      if (this.#current.isOver) {
        this.#finish();
        return;
      }
      this.#current.keepInStep(this.speed);
      if (this.#current.frame !== this.#frame) this.#arrive(this.#current.frame);
      this.#follow();
    });
  }

  /** Begin when every camera has arrived where it was sent. */
  #beginTogether() {
    if (!this.#current.isSeeking) {
      this.#current.play(this.speed);
      this.#hasBegun = true;
    }
    this.#follow();
  }

  #finish() {
    if (this.isLooping) {
      this.#current.pause();
      this.#current.seek(0);
      this.#hasBegun = false;
      this.#arrive(0);
      this.#follow();
      return;
    }
    this.#halt();
    this.#current.seek(this.#frames - 1);
    this.#arrive(this.#frames - 1);
  }

  #halt() {
    cancelAnimationFrame(this.#tick);
    clearTimeout(this.#patience);
    this.#current?.pause();
    this.#setPlaying(false);
  }

  #setPlaying(isPlaying) {
    this.#isPlaying = isPlaying;
    this.#root.dataset.playing = String(isPlaying);
    this.#told.state();
  }

  #arrive(frame) {
    this.#frame = frame;
    this.#root.dataset.frame = String(frame);
    this.#told.frame(frame);
  }

  #name(uid) {
    this.#root.dataset.uid = uid;
    this.#root.dataset.ready = 'false';
  }

  #put(stage) {
    for (const each of this.#stages) {
      each.element.classList.toggle('is-shown', each === stage);
      each.element.setAttribute('aria-hidden', String(each !== stage));
    }
    this.#current = stage;
  }

  #say(title, sentence = '') {
    setText(byId('notice-title'), title);
    setText(byId('notice-text'), sentence);
    byId('notice').hidden = !title;
  }

  /** Return the stage that has an episode, or the one that is least likely to be wanted. */
  #stageFor(uid, wanted) {
    const has = this.#stages.find((stage) => stage.uid === uid);
    if (has) return has;
    const free = this.#stages.filter((stage) => stage !== this.#current && !wanted.has(stage.uid));
    return free.sort((a, b) => a.shownAt - b.shownAt || a.uid.length - b.uid.length)[0] ?? null;
  }

  /** Give the videos the room that is left, and what they do not fill to the timeline below. */
  #fit() {
    const isPhone = ON_A_PHONE.matches;
    this.#root.style.flexBasis = isPhone ? '' : ALL_THERE_IS;
    const width = this.#room.clientWidth;
    const height = isPhone ? innerHeight * SHARE_OF_A_PHONE : this.#root.clientHeight;
    let used = 0;
    for (const stage of this.#stages) used = stage.fit(width, height);
    this.#root.style.flexBasis = used && !isPhone ? `${Math.max(used, LEAST_PIXELS)}px` : '';
    this.#room.style.height = used && isPhone ? `${used}px` : '';
  }
}
