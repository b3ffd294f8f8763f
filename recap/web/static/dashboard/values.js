/** The part of the dashboard that tells how far the value models can be relied on. */

import { make } from '../dom.js';
import { counted } from '../words.js';
import { curveChart } from './charts.js';
import { gradeMark, stackedTable } from './parts.js';
import { hundredths, lapName, plain } from './words.js';

const AUCS = ['AUC at 25 %', 'AUC at 50 %', 'AUC at 75 %'];
const PLACES = ['a quarter in', 'halfway', 'three quarters in'];
const MOST_CURVES = 3;

/** The newest model in plain words, and how early it and those before it know the outcome. */
export function valueCards(models) {
  const newest = models.at(-1);
  if (!newest) return [];
  const readings = newest.figures.map(({ name, grade, reading }) =>
    make('li', {}, gradeMark(grade), make('span', {}, make('b', { text: name }), reading)),
  );
  const title =
    newest.iteration === null ? 'Pre-training' : `Iteration ${newest.iteration}, the newest`;
  const card = make(
    'div',
    { class: 'card reading' },
    make('h3', { text: title }),
    make('p', {
      class: 'fine',
      text: `Measured on ${counted(newest.held_out_episodes, 'episode')} it never saw`,
    }),
    make('p', { class: 'gate' }, gradeMark(newest.grade), newest.headline),
    make('ul', { class: 'readings' }, ...readings),
  );
  return [card, curves(models.slice(-MOST_CURVES))];
}

function curves(models) {
  // The newest takes the first colour, whichever number it has.
  const series = models.map((model, index) => ({
    key: `series-${models.length - 1 - index}`,
    name: lapName(model.iteration),
    values: AUCS.map((name) => model.figures.find((figure) => figure.name === name)?.value ?? null),
  }));
  const lowest = Math.min(
    0.44,
    ...series.flatMap(({ values }) => values.map((value) => value ?? 1)),
  );
  return curveChart({
    title: 'How early it tells a success from a failure',
    description:
      'AUC a quarter, half and three quarters into an episode. The table below has the numbers.',
    places: PLACES,
    series,
    words: hundredths,
    lowest: Math.max(0, Math.floor((lowest - 0.04) * 5) / 5),
    highest: 1,
    reference: { at: 0.5, name: 'a coin' },
  });
}

/** Every figure of every model. */
export function valueTable(models) {
  const names = models.at(-1)?.figures.map(({ name }) => name) ?? [];
  const rows = models
    .toReversed()
    .map((model) => [[lapName(model.iteration)], ...model.figures.map(cellOf)]);
  return stackedTable(
    'Value models, on episodes they were not trained on',
    ['Model', ...names],
    rows,
    '',
  );
}

function cellOf({ name, value, train }) {
  if (value === null) return null;
  const words = name === 'Error in steps' ? plain : hundredths;
  return train === null ? [words(value)] : [words(value), `${words(train)} in training`];
}
