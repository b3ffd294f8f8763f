/** What the form says in words. */

import { byId, setText } from '../dom.js';
import { count, counted } from '../words.js';

const LEAST_SHOWN_MS = 4000;
const READING_MS_A_LETTER = 70;

let timer = 0;

/** @param {string} sentence Said in passing, and read out. */
export function say(sentence) {
  // Emptied first, so that the same sentence twice is heard twice.
  byId('status').textContent = '';
  byId('status').textContent = sentence;
  clearTimeout(timer);
  timer = setTimeout(
    () => setText(byId('status'), ''),
    Math.max(LEAST_SHOWN_MS, READING_MS_A_LETTER * sentence.length),
  );
}

/**
 * Say what stays until somebody has read it.
 * @param {string} sentence
 * @param {string} uid The attempt it is about.
 */
export function warn(sentence, uid) {
  setText(byId('alert-text'), sentence);
  byId('alert').hidden = false;
  byId('alert').dataset.uid = uid;
}

/** @param {string} uid Take back what was warned of this attempt: it is settled. */
export function settle(uid) {
  if (byId('alert').dataset.uid === uid) byId('alert').hidden = true;
}

/**
 * Say why there is no attempt on the screen, and offer what else there is to see.
 * @param {{isAway: boolean, progress: object | null, queue: import('./queue.js').Queue}} state
 * @returns {[string, string]} A title and a sentence.
 */
export function whyEmpty({ isAway, progress, queue }) {
  const attempts = progress?.episodes ?? 0;
  const isNarrowed = queue.isNarrowed;
  const canSecond = !isNarrowed && attempts > (progress?.yours ?? 0);
  byId('show-all').hidden = attempts === 0 || isNarrowed;
  byId('show-not-yours').hidden = !canSecond;
  byId('clear-filters-here').hidden = !isNarrowed;
  if (isAway) {
    return [
      'The server is away',
      'More attempts appear when it is back. Everything you said is kept.',
    ];
  }
  if (attempts === 0) {
    return ['Nothing has been recorded yet', 'Attempts appear here while they are recorded.'];
  }
  if (isNarrowed) return ['No attempt fits these filters', 'Take a filter away to see more.'];
  if (!canSecond) return ['All judged', 'New attempts appear here while they are recorded.'];
  return ['Nothing to judge for you', whoDecided(progress)];
}

function whoDecided({ episodes, unjudged, decided_by_simulator: bySimulator }) {
  const decided = episodes - unjudged;
  const byPeople = decided - bySimulator;
  const by = [
    bySimulator ? `${count(bySimulator)} by the simulator` : '',
    byPeople ? `${count(byPeople)} by people` : '',
  ].filter(Boolean);
  const said = [];
  if (decided)
    said.push(`${counted(decided, 'attempt is', 'attempts are')} decided: ${by.join(', ')}.`);
  if (unjudged)
    said.push(`${counted(unjudged, 'attempt waits', 'attempts wait')} for other people.`);
  return said.join(' ');
}
