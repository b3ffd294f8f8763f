/** The cameras of one episode, in step. */

import { make, setText } from '../dom.js';
import { fetchFilm } from './films.js';

// Half a frame is not seen; beyond that a camera hurries or dawdles, and beyond the second jumps.
const NUDGE_FRAMES = 0.5;
const JUMP_FRAMES = 2.5;
const MOST_NUDGE = 0.1;
const ENOUGH_TO_SHOW = 2; // HTMLMediaElement.HAVE_CURRENT_DATA
const SMALL_PIXELS = 200;
const GAP_PIXELS = 8;
const LEAST_KEPT = 0.88; // of the size, for even pixels
const WORTH_A_ROW = 1.2; // so much taller must pictures become for another row
const ABOUT_ZERO_S = 1e-4;

/** One camera's picture, and its seeks: while one is under way, only the newest wish is kept. */
class Screen {
  #wanted = null;
  #release = () => {};

  constructor(camera) {
    this.name = camera.name;
    this.aspect = camera.width / camera.height;
    this.height = camera.height;
    this.isSmall = Math.max(camera.height, camera.width) <= SMALL_PIXELS;
    this.isWhole = false;
    this.video = make('video', {
      'data-camera': camera.name,
      'aria-label': `Camera ${camera.name}`,
      preload: 'auto',
      playsinline: true,
      disablepictureinpicture: true,
      tabindex: -1,
    });
    this.video.muted = true;
    this.video.classList.toggle('is-small', this.isSmall);
    this.problem = make('p', { class: 'screen-problem', hidden: true });
    this.element = make(
      'figure',
      { class: 'screen' },
      this.video,
      this.problem,
      make('figcaption', { text: camera.name }),
    );
    this.video.addEventListener('seeked', () => this.#goOn());
    this.video.addEventListener('loadedmetadata', () => this.#goOn());
  }

  async load(address, how) {
    const film = await fetchFilm(address, how);
    if (how.signal.aborted) {
      film.release();
      return;
    }
    this.#release = film.release;
    this.video.src = film.source;
    await firstFrame(this.video, how.signal);
    this.isWhole = true;
  }

  fail(sentence) {
    this.isWhole = false;
    setText(this.problem, sentence);
    this.problem.hidden = false;
  }

  clear() {
    this.isWhole = false;
    this.#wanted = null;
    this.problem.hidden = true;
    this.video.pause();
    if (this.video.hasAttribute('src')) {
      this.video.removeAttribute('src');
      this.video.load();
    }
    this.#release();
    this.#release = () => {};
  }

  seek(time_s) {
    this.#wanted = time_s;
    if (!this.video.seeking) this.#goOn();
  }

  #goOn() {
    if (this.#wanted === null || this.video.readyState === 0) return;
    const time_s = this.#wanted;
    this.#wanted = null;
    if (Math.abs(this.video.currentTime - time_s) > ABOUT_ZERO_S) this.video.currentTime = time_s;
  }

  get isSeeking() {
    return this.video.seeking || this.#wanted !== null;
  }
}

/** All cameras of one episode: loaded, sought, played and stopped together. */
export class Stage {
  #screens;
  #fps = 1;
  #frames = 1;
  #stop = new AbortController();

  /** @param {{name: string, height: number, width: number}[]} cameras */
  constructor(cameras) {
    this.uid = '';
    this.isReady = false;
    this.ready = Promise.resolve();
    this.shownAt = 0;
    this.#screens = cameras.map((camera) => new Screen(camera));
    this.element = make(
      'div',
      { class: 'stage', 'aria-hidden': 'true' },
      ...this.#screens.map((screen) => screen.element),
    );
  }

  /**
   * Load an episode, or go on loading it.
   * @param {object} detail The episode as the server tells it.
   * @param {{isUrgent: boolean}} how
   * @returns {Promise<void>} Kept when every camera shows its first frame or has said why not.
   */
  load(detail, { isUrgent }) {
    // What was not to be had is asked for again, but only by who wants to see it.
    if (this.uid === detail.uid && !(isUrgent && this.isBroken)) return this.ready;
    this.clear();
    this.uid = detail.uid;
    this.#fps = detail.fps;
    this.#frames = detail.frames;
    const how = { isUrgent, signal: this.#stop.signal };
    this.ready = Promise.all(this.#screens.map((screen) => showFirst(screen, detail, how))).then(
      () => {
        if (!how.signal.aborted) this.isReady = true;
      },
    );
    return this.ready;
  }

  /** Forget the episode and give its memory back. */
  clear() {
    this.#stop.abort();
    this.#stop = new AbortController();
    this.uid = '';
    this.isReady = false;
    for (const screen of this.#screens) screen.clear();
  }

  /** @returns {boolean} Whether some camera was not to be had. */
  get isBroken() {
    return this.isReady && this.#screens.some((screen) => !screen.isWhole);
  }

  /** @returns {number} The frame on the screen, while playing. */
  get frame() {
    const master = this.#master();
    return master
      ? Math.min(this.#frames - 1, Math.floor(master.video.currentTime * this.#fps + 1e-3))
      : 0;
  }

  /** @returns {boolean} Whether the last frame has been played. */
  get isOver() {
    return Boolean(this.#master()?.video.ended);
  }

  /** @param {number} frame Shown by every camera; the middle of its time, so that none rounds. */
  seek(frame) {
    for (const screen of this.#screens) screen.seek((frame + 0.5) / this.#fps);
  }

  /** @returns {boolean} Whether there is anything to play. */
  get canPlay() {
    return Boolean(this.#master());
  }

  /** @returns {boolean} Whether some camera is still on its way to where it was sent. */
  get isSeeking() {
    return this.#screens.some((screen) => screen.isWhole && screen.isSeeking);
  }

  /** @param {number} speed Times the recorded one. */
  play(speed) {
    for (const { video, isWhole } of this.#screens) {
      if (!isWhole) continue;
      video.playbackRate = speed;
      // Refused where the page was left meanwhile; the next play asks again.
      video.play().catch(() => {});
    }
  }

  /** Stop every camera where it is. */
  pause() {
    for (const { video } of this.#screens) video.pause();
  }

  /** @param {number} speed Bring cameras back that have run ahead or fallen behind the first. */
  keepInStep(speed) {
    const master = this.#master();
    if (!master || master.isSeeking) return;
    for (const screen of this.#screens) {
      if (screen === master || !screen.isWhole || screen.isSeeking || screen.video.ended) continue;
      const behind = (master.video.currentTime - screen.video.currentTime) * this.#fps;
      if (Math.abs(behind) > JUMP_FRAMES * Math.max(1, speed))
        screen.seek(master.video.currentTime);
      const nudge =
        Math.abs(behind) < NUDGE_FRAMES
          ? 0
          : Math.max(-MOST_NUDGE, Math.min(MOST_NUDGE, behind / 20));
      const rate = speed * (1 + nudge);
      if (Math.abs(screen.video.playbackRate - rate) > 1e-3) screen.video.playbackRate = rate;
    }
  }

  /**
   * Make every camera as large as the room allows, side by side or in rows.
   * @param {number} width Pixels.
   * @param {number} height Pixels.
   * @returns {number} Pixels of height that are used.
   */
  fit(width, height) {
    const { columns, side: room } = bestGrid(
      this.#screens.map((screen) => screen.aspect),
      width,
      height,
    );
    const side = this.#crisp(room);
    this.element.style.gridTemplateColumns = `repeat(${columns}, auto)`;
    for (const { element, aspect } of this.#screens) {
      element.style.width = `${side * aspect}px`;
      element.style.height = `${side}px`;
    }
    const rows = Math.ceil(this.#screens.length / columns);
    return rows * side + (rows - 1) * GAP_PIXELS;
  }

  /** Round down to where every pixel of a small picture covers as many of the screen's. */
  #crisp(room) {
    const heights = new Set(this.#screens.map((screen) => screen.height));
    const [height] = heights;
    const even = (Math.floor((room * devicePixelRatio) / height) * height) / devicePixelRatio;
    const isWorthIt =
      heights.size === 1 &&
      even > LEAST_KEPT * room &&
      this.#screens.every((screen) => screen.isSmall);
    return isWorthIt ? even : Math.floor(room);
  }

  #master() {
    return this.#screens.find((screen) => screen.isWhole);
  }
}

/** Return the number of columns that gives tall pictures in few rows, and how tall they are. */
function bestGrid(aspects, width, height) {
  let best = { columns: 1, side: 0 };
  for (let columns = aspects.length; columns >= 1; columns -= 1) {
    const rows = Math.ceil(aspects.length / columns);
    const widest = Array.from({ length: columns }, (_, column) =>
      Math.max(...aspects.filter((_aspect, number) => number % columns === column)),
    ).reduce((sum, aspect) => sum + aspect, 0);
    const side = Math.min(
      (width - GAP_PIXELS * (columns - 1)) / widest,
      (height - GAP_PIXELS * (rows - 1)) / rows,
    );
    if (side > best.side * WORTH_A_ROW) best = { columns, side };
  }
  return best;
}

async function showFirst(screen, detail, how) {
  const address = detail.videos[screen.name];
  if (!address) {
    screen.fail(`Camera ${screen.name}: this attempt has no video of it.`);
    return;
  }
  try {
    await screen.load(address, how);
  } catch (error) {
    if (how.signal.aborted) return;
    screen.fail(`Camera ${screen.name}: ${error.message}`);
  }
}

function firstFrame(video, signal) {
  return new Promise((resolve, reject) => {
    const once = { once: true, signal };
    if (video.readyState >= ENOUGH_TO_SHOW) resolve();
    video.addEventListener('loadeddata', () => resolve(), once);
    video.addEventListener(
      'error',
      () => reject(new Error('its video is damaged and cannot be played.')),
      once,
    );
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}
