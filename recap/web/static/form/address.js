/** The page's address: it names the episode on the screen and the filters, and can be shared. */

import { NO_FILTERS } from './queue.js';

/**
 * Read which episode and which filters the address asks for.
 * @returns {{uid: string, filters: Record<string, string>}} The first of the queue has no uid.
 */
export function readAddress() {
  const found = /^\/label\/([A-Za-z0-9][A-Za-z0-9_-]*)$/.exec(location.pathname);
  const asked = new URLSearchParams(location.search);
  const known = Object.keys(NO_FILTERS).filter((name) => asked.has(name));
  return {
    uid: found ? found[1] : '',
    filters: Object.fromEntries(known.map((name) => [name, asked.get(name)])),
  };
}

/**
 * Write it, so that a reload shows the same.
 * @param {string} uid Empty for none.
 * @param {Record<string, string>} filters
 */
export function writeAddress(uid, filters) {
  const chosen = Object.entries(filters).filter(([name, value]) => value !== NO_FILTERS[name]);
  const asked = new URLSearchParams(chosen).toString();
  history.replaceState(null, '', `/label${uid ? `/${uid}` : ''}${asked ? `?${asked}` : ''}`);
}

/** Begin anew with the first of the queue: another project is served here now. */
export function startAnew() {
  location.assign('/label');
}
