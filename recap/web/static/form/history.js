/** Who said what of an episode. What others said is folded away until you have judged it. */

import { byId, icon, make } from '../dom.js';
import { counted } from '../words.js';
import { VERDICTS, listed, moment, seconds } from './words.js';

/**
 * Show the history of an episode.
 * @param {object | null} detail
 * @param {string} rater The person at the screen.
 * @param {string | null} yours What they say, also if it still waits to be sent.
 * @param {object | null} project
 */
export function showHistory(detail, rater, yours, project) {
  const lines = detail?.history ?? [];
  const mine = lines.filter((line) => line.rater === rater);
  const others = lines.filter((line) => line.rater !== rater);
  const parts = [];
  if (mine.length) parts.push(listOf(mine, lines, detail));
  if (others.length) parts.push(folded(others, lines, detail, yours));
  if (!lines.length)
    parts.push(
      make('p', { class: 'quiet', text: detail ? 'Nobody has judged this attempt yet.' : '' }),
    );
  if (detail && yours) parts.unshift(...standing(detail, project));
  byId('history').replaceChildren(...parts);
}

/**
 * Find what a person says now.
 * @param {object} detail
 * @param {string} rater
 * @returns {object | null} Their standing judgement.
 */
export function standingOf(detail, rater) {
  return detail.history.find((line) => line.rater === rater && line.is_standing) ?? null;
}

function standing(detail, project) {
  const parts = [];
  if (detail.is_disputed) {
    const said = detail.history
      .filter((line) => line.is_standing && line.rater !== 'simulator')
      .map((line) => `${line.rater} says ${line.verdict}`);
    parts.push(make('p', { class: 'dispute' }, icon('dispute'), `Disagreement: ${listed(said)}.`));
  }
  const rule = {
    latest: 'the latest verdict counts',
    majority: 'the majority counts',
    unanimous: 'all must agree',
  };
  const by = project
    ? ` (${rule[project.rule]}${project.raters_needed > 1 ? `, at least ${project.raters_needed} people` : ''})`
    : '';
  parts.push(
    make('p', {
      class: 'quiet',
      text: `${detail.outcome ? `Decided: ${detail.outcome}` : 'Undecided'}${by}.`,
    }),
  );
  if (detail.measured_success !== null) {
    parts.push(
      make('p', {
        class: 'quiet',
        text: `The simulator measured a ${detail.measured_success ? 'success' : 'failure'}.`,
      }),
    );
  }
  return parts;
}

function folded(others, lines, detail, yours) {
  const people = [...new Set(others.map((line) => line.rater))];
  const title = yours ? `Said by ${listed(people)}` : counted(people.length, 'other verdict');
  const hint = make('span', { class: 'quiet', text: yours ? '' : 'shown after yours' });
  return make(
    'details',
    { open: Boolean(yours) },
    make('summary', {}, title, ' ', hint),
    listOf(others, lines, detail),
  );
}

function listOf(shown, all, detail) {
  const newestFirst = [...shown].sort((a, b) => b.id - a.id);
  return make('ol', { class: 'lines' }, ...newestFirst.map((line) => row(line, all, detail)));
}

function row(line, all, detail) {
  const known = VERDICTS[line.verdict];
  const said = known
    ? make('span', { class: `said said-${line.verdict}` }, icon(known.icon), known.word)
    : make(
        'span',
        { class: 'said' },
        icon('undo'),
        `took back ${all.find((each) => each.id === line.withdraws)?.verdict ?? 'a verdict'}`,
      );
  const about = [line.rater, moment(line.judged_at)];
  if (line.success_frame !== null) about.push(`at ${seconds(line.success_frame, detail.fps)}`);
  if (known && !line.is_standing) {
    const isWithdrawn = all.some((each) => each.withdraws === line.id);
    about.push(isWithdrawn ? 'taken back' : 'changed since');
  }
  const parts = [
    make('div', {}, said, make('span', { class: 'quiet', text: about.join(' \u00b7 ') })),
  ];
  const missed = Object.entries(line.answers ?? {})
    .filter(([, isMet]) => !isMet)
    .map(([name]) => name);
  if (missed.length)
    parts.push(make('p', { class: 'quiet', text: `Not met: ${missed.join(', ')}` }));
  if (line.note) parts.push(make('p', { class: 'said-note', text: line.note }));
  return make('li', { class: known && !line.is_standing ? 'is-past' : null }, ...parts);
}
