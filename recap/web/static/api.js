/** Requests to the form's server. */

const PATIENCE_MS = 10_000;
// Worth asking again: too slow, too many, no token (somebody may open the new link), another
// project that is served here for now, a server that is starting or broken.
const PASSING = new Set([401, 408, 421, 425, 429]);

/** The server said no, and will say so again. `message` is its sentence. */
export class Refusal extends Error {
  /** @param {number} status @param {string} sentence */
  constructor(status, sentence) {
    super(sentence);
    this.status = status;
  }
}

/** The server did not take the request this time. `message` says why. */
export class Away extends Error {
  /** @param {string} sentence @param {number} [status] 0 where nothing answered at all. */
  constructor(sentence, status = 0) {
    super(sentence);
    this.status = status;
  }
}

/**
 * Make a name for a request, so that sending it again adds nothing.
 * @returns {string} 32 hexadecimal digits.
 */
export function newRequestId() {
  // Not crypto.randomUUID: a tablet opens the form over plain HTTP, where that does not exist.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * Ask for something.
 * @param {string} path
 * @param {Record<string, string | number | null | undefined>} [query] Empty values are left out.
 * @returns {Promise<any>}
 * @throws {Refusal | Away}
 */
export function get(path, query = {}) {
  const wanted = Object.entries(query).filter(
    ([, value]) => value !== null && value !== undefined && value !== '',
  );
  const text = new URLSearchParams(wanted.map(([name, value]) => [name, String(value)])).toString();
  return request(text ? `${path}?${text}` : path, { method: 'GET' });
}

/**
 * Say something.
 * @param {string} path
 * @param {object} body
 * @returns {Promise<any>} The answer; null for an empty one.
 * @throws {Refusal | Away}
 */
export function post(path, body) {
  return request(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** @param {string} uid @returns {string} The episode's address in the API. */
export function episodePath(uid) {
  return `/api/episodes/${encodeURIComponent(uid)}`;
}

async function request(path, options) {
  let response;
  let body;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), PATIENCE_MS);
  try {
    response = await fetch(path, {
      ...options,
      signal: stop.signal,
      cache: 'no-store',
      credentials: 'same-origin',
    });
    body = response.status === 204 ? null : await response.json().catch(() => undefined);
  } catch {
    throw new Away('The server does not answer.');
  } finally {
    clearTimeout(timer);
  }
  if (response.ok && body !== undefined) return body;
  throw refused(response, body);
}

function refused(response, body) {
  const said =
    typeof body?.detail === 'string' ? body.detail : `The server answers ${response.status}.`;
  if (response.status === 401)
    return new Away('Needs the new link that recap label printed.', 401);
  const isPassing = response.ok || response.status >= 500 || PASSING.has(response.status);
  return isPassing ? new Away(said, response.status) : new Refusal(response.status, said);
}
