/** What waits in the outbox: how a verdict and a withdrawal are written down. */

import { newRequestId } from '../api.js';

/**
 * Write a verdict down.
 * @param {object} detail The episode.
 * @param {object} draft What the panel says.
 * @param {object} by Who says it, of which project.
 * @returns {Omit<import('./outbox.js').Waiting, 'order'>}
 */
export function verdictItem(detail, draft, by) {
  return {
    kind: 'verdict',
    uid: detail.uid,
    said: draft.verdict,
    card: cardOf(detail),
    body: { ...draft, ...by, request_id: newRequestId() },
  };
}

/**
 * Write a withdrawal down.
 * @param {import('./mine.js').Said} said What is taken back.
 * @param {object} by Who takes it back, of which project.
 * @returns {Omit<import('./outbox.js').Waiting, 'order'>}
 */
export function withdrawalItem(said, by) {
  return {
    kind: 'withdrawal',
    uid: said.uid,
    said: said.verdict,
    of: said.request,
    judgement: said.judgement ?? undefined,
    body: { ...by, request_id: newRequestId() },
  };
}

/**
 * Note a verdict for undo.
 * @param {Omit<import('./outbox.js').Waiting, 'order'>} item
 * @returns {import('./mine.js').Said}
 */
export function saidBy(item) {
  const { uid, said, body } = item;
  return { request: body.request_id, uid, verdict: said, judgement: null };
}

/**
 * Note a judgement for undo that was made elsewhere.
 * @param {object} line Of an episode's history.
 * @returns {import('./mine.js').Said}
 */
export function saidIn(line) {
  return { request: '', uid: line.episode_uid, verdict: line.verdict, judgement: line.id };
}

/**
 * Keep what the queue needs to know of an episode.
 * @param {object} detail
 * @returns {object}
 */
export function cardOf({
  history: _history,
  segments: _segments,
  marks: _marks,
  videos: _videos,
  ...card
}) {
  return card;
}
