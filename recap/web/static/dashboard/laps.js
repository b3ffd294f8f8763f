/** The parts of the dashboard that tell how the laps went. */

import { make } from '../dom.js';
import { count, counted } from '../words.js';
import { intervalChart } from './charts.js';
import { headlineCard, stackedTable } from './parts.js';
import { lapName, percent, percentRange, plain, plainRange } from './words.js';

const SERIES = [
  { key: 'demonstrations', name: 'Demonstrations' },
  { key: 'attempts', name: 'Attempts, with help' },
  { key: 'evaluation', name: 'Evaluation, alone', isJoined: true },
];

/** The few numbers to see from across the room. */
export function headlines(dashboard) {
  if (dashboard.episodes === 0 && dashboard.laps.length === 0) return [];
  const measured = dashboard.laps.findLast((lap) => lap.evaluation);
  const flown = dashboard.laps.findLast((lap) => lap.attempts?.corrected);
  const judged = dashboard.laps.findLast((lap) => lap.attempts?.success);
  const cards = [];
  const best = measured?.evaluation ?? judged?.attempts;
  if (best) {
    const whose = measured
      ? `Iteration ${measured.iteration}, held-out worlds`
      : `Iteration ${judged.iteration}, decided attempts`;
    cards.push(
      headlineCard(
        percent(best.success.point),
        'success',
        `${whose}, 95\u202f%: ${percentRange(best.success)}`,
      ),
    );
    if (best.successes_per_hour) {
      cards.push(
        headlineCard(
          plain(best.successes_per_hour.point),
          'successes an hour',
          `${whose}, 95\u202f%: ${plainRange(best.successes_per_hour)}`,
        ),
      );
    }
  }
  if (flown) {
    const { corrected, corrected_frame_share: frames } = flown.attempts;
    const detail = `Iteration ${flown.iteration}, ${percent(frames)} of its frames`;
    cards.push(headlineCard(percent(corrected.share.point), 'of attempts corrected', detail));
  }
  const { waiting, third_looks: thirdLooks } = dashboard;
  const open = thirdLooks
    ? `, ${counted(thirdLooks, 'more needs a third look', 'more need a third look')}`
    : '';
  cards.push(
    headlineCard(
      count(waiting),
      waiting === 1 ? 'waits for a verdict' : 'wait for a verdict',
      `of ${counted(dashboard.episodes, 'attempt')}${open}`,
      waiting || thirdLooks ? 'waiting' : '',
    ),
  );
  return cards;
}

/** What is missing, and what to click or type. */
export function stepList(steps) {
  return steps.map(({ text, link, command }) => {
    const item = make('li', {}, link ? make('a', { href: link, text }) : make('span', { text }));
    if (command) item.append(commandLine(command));
    return item;
  });
}

function commandLine(command) {
  // Each word stays whole: a line that ends in the dashes of a setting is hard to read.
  const words = command
    .split(' ')
    .flatMap((word, index) => [index ? ' ' : '', make('span', { text: word })]);
  const line = make('span', { class: 'command' }, make('code', {}, ...words));
  // Only where the browser lets a page write there: not over plain HTTP from another machine.
  if (navigator.clipboard) {
    const button = make('button', {
      type: 'button',
      text: 'Copy',
      'aria-label': `Copy: ${command}`,
    });
    button.addEventListener('click', async () => {
      await navigator.clipboard.writeText(command);
      button.textContent = 'Copied';
      setTimeout(() => {
        button.textContent = 'Copy';
      }, 1_500);
    });
    line.append(button);
  }
  return line;
}

/** Success and throughput, iteration by iteration. */
export function lapCharts(laps) {
  const chart = (title, name, words, highest) => {
    const groups = laps.map((lap) => ({ name: lapName(lap.iteration), marks: marksOf(lap, name) }));
    const drawn = groups.filter(({ marks }) => marks.length > 0);
    const description = `${title} by iteration, with 95 % intervals. The table has the numbers.`;
    return drawn.length
      ? [intervalChart({ title, description, groups: drawn, series: SERIES, words, highest })]
      : [];
  };
  return [
    ...chart('Success', 'success', percent, 1),
    ...chart('Successes an hour', 'successes_per_hour', plain),
  ];
}

function marksOf({ attempts, evaluation }, name) {
  const marks = [];
  if (attempts?.[name]) {
    const series = attempts.demonstrations === attempts.episodes ? 'demonstrations' : 'attempts';
    marks.push({ series, interval: attempts[name] });
  }
  if (evaluation?.[name]) marks.push({ series: 'evaluation', interval: evaluation[name] });
  return marks;
}

/** All numbers of all laps. */
export function lapTable(laps) {
  const columns = [
    'Iteration',
    'Attempts',
    'Success',
    'Success uncorrected',
    'Corrected',
    'Successes an hour',
    'Held-out success',
    'Held-out an hour',
    'Report',
  ];
  const rows = laps.toReversed().map((lap) => [
    [String(lap.iteration)],
    ...attemptCells(lap.attempts),
    ...evaluationCells(lap.evaluation),
    lap.report
      ? [
          make('a', {
            href: lap.report,
            text: 'Report',
            'aria-label': `Report of iteration ${lap.iteration}`,
          }),
        ]
      : null,
  ]);
  return stackedTable(
    'Attempts and evaluations, iteration by iteration',
    columns,
    rows,
    'Iteration',
  );
}

function attemptCells(attempts) {
  if (!attempts) return [null, null, null, null, null];
  return [
    [count(attempts.episodes), told(attempts)],
    attempts.success && [percent(attempts.success.point), percentRange(attempts.success)],
    attempts.alone && [
      percent(attempts.alone.share.point),
      `${count(attempts.alone.count)} of ${count(attempts.alone.episodes)}`,
    ],
    attempts.corrected && [
      percent(attempts.corrected.share.point),
      `${percent(attempts.corrected_frame_share)} of frames`,
    ],
    attempts.successes_per_hour && [
      plain(attempts.successes_per_hour.point),
      plainRange(attempts.successes_per_hour),
    ],
  ];
}

function told(attempts) {
  const shown =
    attempts.demonstrations === attempts.episodes
      ? 'demonstrations'
      : `${count(attempts.demonstrations)} demonstrations`;
  const parts = [
    [attempts.waiting, 'waiting'],
    [attempts.third_looks, 'for a third look'],
    [attempts.discards, 'discarded'],
    [attempts.disputed_decided, 'decided in dispute'],
    [attempts.interrupted, 'interrupted'],
  ];
  const said = parts
    .filter(([number]) => number > 0)
    .map(([number, what]) => `${count(number)} ${what}`);
  if (attempts.demonstrations) said.unshift(shown);
  return said.join(', ') || 'all decided';
}

function evaluationCells(evaluation) {
  if (!evaluation) return [null, null];
  return [
    [percent(evaluation.success.point), percentRange(evaluation.success)],
    evaluation.successes_per_hour && [
      plain(evaluation.successes_per_hour.point),
      plainRange(evaluation.successes_per_hour),
    ],
  ];
}
