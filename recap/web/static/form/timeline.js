/** The timeline of an episode: who was in control, what the value model said, and where we are. */

import { byId, draw, make, setText } from '../dom.js';
import { Drawer } from './storage.js';
import { PILOTS, decimal, seconds, signed } from './words.js';

const TALL = 100; // height of a drawing in its own units; its width is one unit a frame
const HANDLED_KEYS = {
  Home: -Infinity,
  End: Infinity,
  PageUp: 10,
  PageDown: -10,
  ArrowUp: 1,
  ArrowDown: -1,
};
const TICKS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800];
const PIXELS_A_TICK = 70;
const PREDICTIONS = 'predictions';

/** The timeline; a slider to those who do not see it. */
export class Timeline {
  #root = byId('timeline');
  #value = byId('timeline-value');
  #pilots = byId('timeline-pilots');
  #signs = byId('timeline-signs');
  #ticks = byId('timeline-ticks');
  #moment = byId('timeline-moment');
  #head = byId('timeline-head');
  #readout = byId('readout');
  #legend = byId('legend');
  #predictions = byId('predictions');
  #drawer = new Drawer('');
  #seek;
  /** What the server says, predictions included. */
  #whole = null;
  /** What of it is shown. */
  #detail = null;
  #frame = 0;
  #isDragging = false;
  #wanted = null;

  /** @param {(frame: number) => void} seek Called where somebody points; once a screen refresh. */
  constructor(seek) {
    this.#seek = seek;
    this.#root.addEventListener('pointerdown', (event) => this.#grab(event));
    this.#root.addEventListener('pointermove', (event) => {
      if (this.#isDragging) this.#point(event);
    });
    for (const end of ['pointerup', 'pointercancel']) {
      this.#root.addEventListener(end, () => {
        this.#isDragging = false;
      });
    }
    this.#root.addEventListener('keydown', (event) => this.#key(event));
    new ResizeObserver(() => this.#drawTicks()).observe(this.#root);
    this.#predictions.checked = this.#drawer.read(PREDICTIONS) !== false;
    this.#predictions.addEventListener('change', () => this.#showOrHidePredictions());
  }

  /** Show what the value model says, or hide it: whoever sees it may judge by it. */
  togglePredictions() {
    this.#predictions.checked = !this.#predictions.checked;
    this.#showOrHidePredictions();
  }

  /**
   * Draw an episode.
   * @param {object | null} whole Null for none.
   */
  show(whole) {
    this.#whole = whole;
    const detail = whole && { ...whole, marks: this.#predictions.checked ? whole.marks : null };
    this.#detail = detail;
    byId('predictions-choice').hidden = !whole?.marks;
    const frames = detail?.frames ?? 1;
    this.#root.setAttribute('aria-valuemax', String(frames - 1));
    this.#root.setAttribute('aria-disabled', String(!detail));
    this.#value.replaceChildren(...(detail?.marks ? curve(detail.marks.value, frames) : []));
    this.#value.parentElement.hidden = !detail?.marks;
    this.#signs.replaceChildren(...(detail?.marks ? signs(detail.marks.indicator, frames) : []));
    this.#signs.parentElement.hidden = !detail?.marks;
    this.#pilots.replaceChildren(...(detail ? strip(detail.segments, frames) : []));
    byId('timeline-corrections').replaceChildren(
      ...(detail ? shades(detail.segments, frames) : []),
    );
    setText(byId('value-low'), detail?.marks ? decimal(range(detail.marks.value).low, 1) : '');
    setText(byId('value-high'), detail?.marks ? decimal(range(detail.marks.value).high, 1) : '');
    this.#readout.classList.toggle('is-long', Boolean(detail?.marks));
    this.#drawLegend();
    this.#drawTicks();
  }

  /**
   * Show where we are.
   * @param {number} frame The frame on the screen.
   * @param {boolean} isPlaying Then nothing is read out, as it would be old at once.
   */
  at(frame, isPlaying) {
    const detail = this.#detail;
    this.#frame = frame;
    this.#head.hidden = !detail;
    if (!detail) {
      setText(this.#readout, '');
      this.#root.setAttribute('aria-valuenow', '0');
      this.#root.setAttribute('aria-valuetext', 'No attempt');
      return;
    }
    this.#head.style.left = `${(100 * (frame + 0.5)) / detail.frames}%`;
    const said = told(detail, frame);
    this.#root.setAttribute('aria-valuenow', String(frame));
    if (!isPlaying) this.#root.setAttribute('aria-valuetext', said.join(', '));
    this.#readout.replaceChildren(...said.map((part) => make('span', { text: part })));
  }

  /** @param {number | null} frame Where the moment of success is marked. */
  mark(frame) {
    this.#moment.hidden = frame === null || !this.#detail;
    if (frame !== null && this.#detail) {
      this.#moment.style.left = `${(100 * (frame + 0.5)) / this.#detail.frames}%`;
    }
  }

  #showOrHidePredictions() {
    this.#drawer.write(PREDICTIONS, this.#predictions.checked);
    this.show(this.#whole);
    this.at(this.#frame, false);
  }

  #grab(event) {
    if (!this.#detail || event.button !== 0) return;
    this.#isDragging = true;
    this.#root.setPointerCapture(event.pointerId);
    this.#point(event);
  }

  #point(event) {
    const { left, width } = this.#pilots.getBoundingClientRect();
    const frame = Math.floor(((event.clientX - left) / width) * this.#detail.frames);
    const isUnderWay = this.#wanted !== null;
    this.#wanted = Math.max(0, Math.min(this.#detail.frames - 1, frame));
    if (isUnderWay) return;
    requestAnimationFrame(() => {
      const wanted = this.#wanted;
      this.#wanted = null;
      this.#seek(wanted);
    });
  }

  #key(event) {
    const step = HANDLED_KEYS[event.key];
    if (step === undefined || !this.#detail || event.ctrlKey || event.altKey || event.metaKey)
      return;
    event.preventDefault();
    const now = Number(this.#root.getAttribute('aria-valuenow'));
    this.#seek(Math.max(0, Math.min(this.#detail.frames - 1, now + step)));
  }

  #drawLegend() {
    const detail = this.#detail;
    if (!detail) {
      this.#legend.replaceChildren();
      return;
    }
    const pilots = [...new Set(detail.segments.map((segment) => segment.pilot))];
    const entries = pilots.map((pilot) => [`swatch-${pilot}`, PILOTS[pilot]]);
    if (detail.segments.some((segment) => segment.is_correction))
      entries.push(['swatch-correction', 'correction']);
    if (detail.marks) {
      entries.push(
        ['swatch-value', 'predicted return'],
        ['swatch-up', 'positive advantage'],
        ['swatch-down', 'negative advantage'],
      );
    }
    this.#legend.replaceChildren(
      ...entries.map(([swatch, text]) =>
        make('li', {}, make('i', { class: `swatch ${swatch}` }), text),
      ),
    );
  }

  #drawTicks() {
    const detail = this.#detail;
    const width = this.#pilots.clientWidth;
    if (!detail || !width) {
      this.#ticks.replaceChildren();
      return;
    }
    const whole = detail.frames / detail.fps;
    const most = Math.max(2, width / PIXELS_A_TICK);
    const every = TICKS_S.find((step) => whole / step <= most) ?? whole;
    const ticks = [];
    for (let number = 0; number * every < whole; number += 1) {
      const tick = make('span', {
        text: number === 0 ? '0 s' : String(Number((number * every).toFixed(1))),
      });
      tick.style.left = `${(100 * number * every) / whole}%`;
      ticks.push(tick);
    }
    this.#ticks.replaceChildren(...ticks);
  }
}

/** Say in words what holds at a frame. */
function told(detail, frame) {
  const { segments, marks, fps, frames } = detail;
  const said = [`Frame ${frame + 1} of ${frames}`, seconds(frame, fps)];
  const segment = segments.find((each) => each.start <= frame && frame < each.stop);
  if (segment)
    said.push(`${PILOTS[segment.pilot]} in control${segment.is_correction ? ' (correction)' : ''}`);
  if (marks && frame < marks.value.length) {
    said.push(`value ${decimal(marks.value[frame], 2)}`);
    said.push(`advantage ${signed(marks.advantage[frame], 3)}, ${marks.indicator[frame]}`);
  }
  return said;
}

function strip(segments, frames) {
  return segments.map((segment) => {
    const part = make('i', { class: `pilot pilot-${segment.pilot}`, 'data-pilot': segment.pilot });
    part.classList.toggle('is-correction', segment.is_correction);
    place(part, segment, frames);
    return part;
  });
}

function shades(segments, frames) {
  return segments
    .filter((segment) => segment.is_correction)
    .map((segment) => {
      const shade = make('i', { class: 'correction-shade' });
      place(shade, segment, frames);
      return shade;
    });
}

function place(element, { start, stop }, frames) {
  element.style.left = `${(100 * start) / frames}%`;
  element.style.width = `${(100 * (stop - start)) / frames}%`;
}

/** Returns lie in [-1, 0]; a value model may leave that a little, and is then shown whole. */
function range(values) {
  return { low: Math.min(-1, ...values), high: Math.max(0, ...values) };
}

function curve(values, frames) {
  const { low, high } = range(values);
  const height = (value) => (TALL * (high - value)) / (high - low);
  const points = values.map((value, frame) => `${frame + 0.5},${height(value).toFixed(2)}`);
  const drawing = draw('svg', {
    viewBox: `0 0 ${frames} ${TALL}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  drawing.append(
    draw('line', { class: 'value-zero', x1: 0, x2: frames, y1: height(0), y2: height(0) }),
    draw('polyline', { class: 'value-line', points: points.join(' ') }),
  );
  return [drawing];
}

/** Runs of one sign: positive ones stand above the middle, negative ones hang below it. */
function signs(indicators, frames) {
  const drawing = draw('svg', {
    viewBox: `0 0 ${frames} ${TALL}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  });
  let start = 0;
  for (let frame = 1; frame <= indicators.length; frame += 1) {
    if (indicators[frame] === indicators[start]) continue;
    const isUp = indicators[start] === 'positive';
    drawing.append(
      draw('rect', {
        class: isUp ? 'sign-up' : 'sign-down',
        x: start,
        width: frame - start,
        y: isUp ? 0 : TALL / 2,
        height: TALL / 2,
      }),
    );
    start = frame;
  }
  return [drawing];
}
