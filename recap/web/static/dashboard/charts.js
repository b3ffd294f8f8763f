/** The dashboard's drawings. Each has its numbers in a table beside it. */

import { draw, make } from '../dom.js';

const HEIGHT = 240;
const TALL = 330;
const MARGIN = { top: 24, right: 10, bottom: 28, left: 44 };
const BAR_WIDTH = 5;
const GAP_BETWEEN_BARS = 36;
const MOST_STEPS = 4;
// Closer together than this, the numbers over the bars would touch.
const LEAST_WIDTH_OF_NUMBERS = 84;

/**
 * @typedef {object} Mark One measured number with its interval.
 * @property {string} series Key of the series it belongs to.
 * @property {import('./words.js').Interval} interval
 */

/**
 * Draw intervals side by side, group by group.
 * @param {object} chart
 * @param {string} chart.title
 * @param {string} chart.description What a screen reader says in place of the drawing.
 * @param {{name: string, marks: Mark[]}[]} chart.groups
 * @param {{key: string, name: string, isJoined?: boolean}[]} chart.series In the order to draw.
 * @param {(number: number) => string} chart.words Puts a number in words.
 * @param {number} [chart.highest] End of the scale; without it, what the intervals need.
 * @returns {HTMLElement}
 */
export function intervalChart(chart) {
  const used = new Set(chart.groups.flatMap((group) => group.marks.map((mark) => mark.series)));
  const shown = chart.series.filter((series) => used.has(series.key));
  return figure(chart, shown, HEIGHT, (width) => drawIntervals({ ...chart, series: shown }, width));
}

/**
 * Draw curves over a few named places.
 * @param {object} chart
 * @param {string} chart.title
 * @param {string} chart.description
 * @param {string[]} chart.places
 * @param {{key: string, name: string, values: (number | null)[]}[]} chart.series
 * @param {(number: number) => string} chart.words
 * @param {number} chart.lowest
 * @param {number} chart.highest
 * @param {{at: number, name: string}} chart.reference A line to compare with.
 * @returns {HTMLElement}
 */
export function curveChart(chart) {
  return figure(chart, chart.series, TALL, (width) => drawCurves(chart, width));
}

function figure({ title, description }, series, height, drawing) {
  const plot = make('div', { class: 'drawing' });
  const keys = series.map(({ key, name }) =>
    make('li', {}, make('i', { class: `swatch ${key}`, 'aria-hidden': 'true' }), name),
  );
  const caption = make(
    'figcaption',
    {},
    make('h3', { text: title }),
    make('ul', { class: 'legend' }, ...keys),
  );
  let drawn = 0;
  const redraw = () => {
    const width = Math.floor(plot.clientWidth);
    if (width <= 0 || width === drawn) return;
    drawn = width;
    const svg = draw('svg', {
      viewBox: `0 0 ${width} ${height}`,
      height,
      width,
      role: 'img',
      'aria-label': description,
    });
    svg.append(...drawing(width));
    plot.replaceChildren(svg);
  };
  // Drawn for the width there is, so that the text keeps its size on a phone.
  new ResizeObserver(redraw).observe(plot);
  return make('figure', { class: 'card chart-card' }, caption, plot);
}

function drawIntervals({ groups, series, words, highest }, width) {
  const needed = Math.max(
    0,
    ...groups.flatMap(({ marks }) => marks.map(({ interval }) => interval.high ?? interval.point)),
  );
  const ticks =
    highest === undefined
      ? roundTicks(needed)
      : [0, highest / 4, highest / 2, (3 * highest) / 4, highest];
  const y = scale(0, ticks[ticks.length - 1], HEIGHT);
  const step = (width - MARGIN.left - MARGIN.right) / Math.max(1, groups.length);
  const centre = (index) => MARGIN.left + (index + 0.5) * step;
  const nodes = axis(ticks, y, words, width);
  const points = new Map(series.map(({ key }) => [key, []]));
  groups.forEach(({ name, marks }, index) => {
    nodes.push(text(centre(index), HEIGHT - 8, shortName(name, step), 'tick middle'));
    const ordered = series.filter(({ key }) => marks.some((mark) => mark.series === key));
    ordered.forEach(({ key }, place) => {
      const { interval } = marks.find((mark) => mark.series === key);
      const x =
        centre(index) + (place - (ordered.length - 1) / 2) * Math.min(GAP_BETWEEN_BARS, step / 2.4);
      points.get(key).push([x, y(interval.point)]);
      nodes.push(
        ...bar(x, interval, key, y, step >= LEAST_WIDTH_OF_NUMBERS ? words(interval.point) : ''),
      );
    });
  });
  const lines = series
    .filter(({ isJoined }) => isJoined)
    .map(({ key }) => line(points.get(key), `join ${key}`));
  return [...lines, ...nodes];
}

function bar(x, { low, point, high }, key, y, label) {
  const top = y(high ?? point);
  const bottom = y(low ?? 0);
  const nodes = [
    draw('rect', {
      x: x - BAR_WIDTH / 2,
      y: top,
      width: BAR_WIDTH,
      height: Math.max(1, bottom - top),
      rx: BAR_WIDTH / 2,
      class: `whisker ${key}`,
    }),
    draw('circle', { cx: x, cy: y(point), r: 5, class: `point ${key}` }),
  ];
  if (label) nodes.push(text(x, top - 7, label, `number middle ${key}`));
  return nodes;
}

function drawCurves({ places, series, words, lowest, highest, reference }, width) {
  const y = scale(lowest, highest, TALL);
  const ticks = [0, 1, 2, 3].map((index) => lowest + (index * (highest - lowest)) / 3);
  const step = (width - MARGIN.left - MARGIN.right) / places.length;
  const x = (index) => MARGIN.left + (index + 0.5) * step;
  const nodes = axis(ticks, y, words, width);
  nodes.push(
    draw('line', {
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: y(reference.at),
      y2: y(reference.at),
      class: 'reference',
    }),
    text(width - MARGIN.right, y(reference.at) - 5, reference.name, 'tick end'),
  );
  places.forEach((name, index) => nodes.push(text(x(index), TALL - 8, name, 'tick middle')));
  const isNearerAbove = (place, value) => {
    const others = series
      .map(({ values }) => values[place])
      .filter((other) => other !== null && other !== value);
    const above = Math.min(
      ...others.filter((other) => other > value).map((other) => other - value),
    );
    const below = Math.min(
      ...others.filter((other) => other < value).map((other) => value - other),
    );
    return above < below;
  };
  series.forEach(({ key, values }, index) => {
    const known = values.flatMap((value, place) =>
      value === null ? [] : [[x(place), y(value), value, place]],
    );
    nodes.push(line(known, `join ${key}`));
    for (const [cx, cy, value, place] of known) {
      nodes.push(draw('circle', { cx, cy, r: 5, class: `point ${key}` }));
      // Only the newest has its numbers, away from the other curves, or they would lie on them.
      const away = isNearerAbove(place, value) ? 20 : -11;
      if (index === series.length - 1)
        nodes.push(text(cx, cy + away, words(value), `number middle ${key}`));
    }
  });
  return nodes;
}

function axis(ticks, y, words, width) {
  return ticks.flatMap((tick, index) => [
    draw('line', {
      x1: MARGIN.left,
      x2: width - MARGIN.right,
      y1: y(tick),
      y2: y(tick),
      class: index === 0 ? 'floor' : 'grid',
    }),
    text(MARGIN.left - 8, y(tick) + 4, words(tick), 'tick end'),
  ]);
}

function scale(low, high, height) {
  const span = height - MARGIN.top - MARGIN.bottom;
  return (value) =>
    height - MARGIN.bottom - (span * (Math.min(Math.max(value, low), high) - low)) / (high - low);
}

function roundTicks(needed) {
  if (needed <= 0) return [0, 1];
  const rough = needed / MOST_STEPS;
  const power = 10 ** Math.floor(Math.log10(rough));
  const size = [1, 2, 2.5, 5, 10]
    .map((factor) => factor * power)
    .find((candidate) => candidate >= rough);
  return Array.from({ length: Math.ceil(needed / size) + 1 }, (_, index) => index * size);
}

function shortName(name, width) {
  return width < 90 ? name.replace(/^\D+ (?=\d)/, '') : name;
}

function line(points, kind) {
  return draw('polyline', { points: points.map(([x, y]) => `${x},${y}`).join(' '), class: kind });
}

function text(x, y, words, kind) {
  const node = draw('text', { x, y, class: kind });
  node.textContent = words;
  return node;
}
