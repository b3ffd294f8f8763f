/** The part of the dashboard that tells who judged, how far they agree, and where they do not. */

import { make } from '../dom.js';
import { count, counted } from '../words.js';
import { stackedTable } from './parts.js';
import { agreementWord, hundredths } from './words.js';

const RULES = {
  latest: 'the latest verdict decides',
  majority: 'more than half of the raters decide',
  unanimous: 'all raters must agree',
};
const MOST_LISTED = 6;
const KINDS = [
  ['successes', 'success'],
  ['failures', 'failure'],
  ['discards', 'discard'],
];

/** How far people agree, and what each of them did. */
export function judgingCards(dashboard, agreement) {
  return [agreementCard(dashboard, agreement), raterCard(dashboard, agreement.raters)];
}

function agreementCard({ rule, raters_needed: needed }, { kind, kappa, low, high, episodes }) {
  const people = needed > 1 ? `, once ${needed} people have judged` : '';
  const fine = make('p', { class: 'fine', text: `In this project ${RULES[rule]}${people}.` });
  const title = make('h3', { text: 'Agreement' });
  if (episodes === 0) {
    const advice = make(
      'p',
      {},
      'No attempt was judged by two people yet. Let a second person judge some of the same ones: it shows how far verdicts can be trusted. In the form, ',
      make('a', { href: '/label?show=not-yours', text: 'Not judged by you' }),
      ' offers them.',
    );
    return make('div', { class: 'card' }, title, advice, fine);
  }
  if (kappa === null) {
    const text = `${counted(episodes, 'episode was', 'episodes were')} judged by several people, too few or too much alike for a kappa.`;
    return make('div', { class: 'card' }, title, make('p', { text }), fine);
  }
  const range =
    low === null || high === null ? '' : `, 95\u202f%: ${hundredths(low)} to ${hundredths(high)}`;
  return make(
    'div',
    { class: 'card' },
    title,
    make(
      'p',
      { class: 'kappa' },
      make('strong', { text: hundredths(kappa) }),
      make('span', { text: agreementWord(kappa) }),
    ),
    make('p', {
      text: `${kind}${range}, over ${counted(episodes, 'episode')} that several people judged. 1 is full agreement, 0 what chance gives.`,
    }),
    fine,
  );
}

function raterCard({ decided }, raters) {
  const title = make('h3', { text: 'Raters' });
  if (raters.length === 0) {
    const text = decided
      ? 'No person has judged yet: every outcome is the simulator’s measurement.'
      : 'Nobody has judged yet.';
    return make('div', { class: 'card' }, title, make('p', { text }));
  }
  const most = Math.max(...raters.map(({ episodes }) => episodes));
  const rows = raters.map((rater) => {
    const parts = KINDS.filter(([name]) => rater[name] > 0);
    const words = parts.map(([name, one]) => counted(rater[name], one, name)).join(', ');
    const bars = make(
      'span',
      { class: 'share', 'aria-hidden': 'true' },
      ...parts.map(([name, one]) => {
        const part = make('i', { class: one });
        part.style.width = `${(100 * rater[name]) / most}%`;
        return part;
      }),
    );
    return make(
      'li',
      {},
      make('b', { text: rater.rater }),
      make('span', { class: 'amount', text: count(rater.episodes) }),
      bars,
      make('small', { text: words }),
    );
  });
  return make('div', { class: 'card' }, title, make('ul', { class: 'raters' }, ...rows));
}

/** The episodes that need a third look; each leads into the form. */
export function disputeTable({ disputed, disputed_episodes: known }) {
  if (disputed === 0) return [];
  const shown = known.slice(0, MOST_LISTED);
  const rows = shown.map(({ uid, task, outcome, verdicts }) => [
    [make('a', { href: `/label/${encodeURIComponent(uid)}`, text: uid })],
    [task],
    [
      Object.entries(verdicts)
        .map(([rater, verdict]) => `${rater}: ${verdict}`)
        .join(', '),
    ],
    [outcome ?? 'undecided'],
  ]);
  const table = make(
    'table',
    { class: 'stacked disputed' },
    ...stackedTable(
      'Episodes that people judged differently',
      ['Episode', 'Task', 'Verdicts', 'Counts as'],
      rows,
      '',
    ),
  );
  const parts = [make('h3', { text: `${counted(disputed, 'attempt')} judged differently` }), table];
  if (disputed > shown.length) {
    parts.push(
      make(
        'p',
        { class: 'fine' },
        `The newest ${count(shown.length)} are listed. `,
        make('a', { href: '/label?show=disputed', text: 'See all in the form' }),
      ),
    );
  }
  return parts;
}
