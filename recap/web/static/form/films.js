/** Videos as whole files in memory, few at a time, so that no verdict queues behind a video. */

import { Away, Refusal } from '../api.js';

const MOST_AT_ONCE = 3;
const LARGEST_KEPT_BYTES = 96 * 1024 * 1024;

let atWork = 0;
/** @type {{isUrgent: boolean, begin: () => void}[]} */
const line = [];

/**
 * Fetch a video.
 * @param {string} address
 * @param {{isUrgent: boolean, signal: AbortSignal}} how Urgent ones overtake those that only
 *   might be wanted.
 * @returns {Promise<{source: string, release: () => void}>} What to give to a video element, and
 *   what to call when it is shown no more. A very large file is left to the browser to stream.
 * @throws {Refusal | Away | DOMException}
 */
export async function fetchFilm(address, { isUrgent, signal }) {
  await turn(isUrgent, signal);
  try {
    const stop = new AbortController();
    signal.addEventListener('abort', () => stop.abort(signal.reason), { once: true });
    const response = await ask(address, stop.signal);
    if (!response.ok) throw await refused(response);
    if (Number(response.headers.get('Content-Length')) > LARGEST_KEPT_BYTES) {
      stop.abort();
      return { source: address, release: () => {} };
    }
    const source = URL.createObjectURL(await response.blob());
    return { source, release: () => URL.revokeObjectURL(source) };
  } finally {
    atWork -= 1;
    line.shift()?.begin();
  }
}

async function ask(address, signal) {
  try {
    return await fetch(address, { signal, credentials: 'same-origin' });
  } catch (error) {
    if (signal.aborted) throw error;
    throw new Away('The server does not answer.');
  }
}

async function refused(response) {
  const body = await response.json().catch(() => null);
  const said = body?.detail ?? `The server answers ${response.status}.`;
  return response.status >= 500
    ? new Away(said, response.status)
    : new Refusal(response.status, said);
}

function turn(isUrgent, signal) {
  signal.throwIfAborted();
  if (atWork < MOST_AT_ONCE) {
    atWork += 1;
    return Promise.resolve();
  }
  return new Promise((resolve, reject) => {
    const place = {
      isUrgent,
      begin: () => {
        atWork += 1;
        resolve();
      },
    };
    const before = isUrgent ? line.findIndex((each) => !each.isUrgent) : -1;
    line.splice(before < 0 ? line.length : before, 0, place);
    signal.addEventListener('abort', () => {
      const at = line.indexOf(place);
      if (at < 0) return;
      line.splice(at, 1);
      reject(signal.reason);
    });
  });
}
