/** The page for the people around the robot: it shows what the server worked out, and keeps up. */

import { Away, Refusal, get } from '../api.js';
import { byId, make, setText } from '../dom.js';
import { counted } from '../words.js';
import { disputeTable, judgingCards } from './judging.js';
import { headlines, lapCharts, lapTable, stepList } from './laps.js';
import { valueCards, valueTable } from './values.js';

const ASK_EVERY_MS = 2_000;
// A stage that ends writes files and adds no verdict, so the numbers are also asked for at times.
const LOOK_EVERY_MS = 15_000;

const shown = new Map();
let revision = null;
let lookedAt = -Infinity;

start();

function start() {
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) ask();
  });
  keepUp();
}

async function keepUp() {
  try {
    // A page that nobody sees asks for nothing.
    if (!document.hidden) await ask();
  } finally {
    setTimeout(keepUp, ASK_EVERY_MS);
  }
}

async function ask() {
  try {
    const progress = await get('/api/progress');
    const now = `${progress.revision} ${progress.indexing} ${progress.damaged.length}`;
    if (now !== revision || performance.now() - lookedAt > LOOK_EVERY_MS) {
      const [dashboard, agreement] = await Promise.all([
        get('/api/dashboard'),
        get('/api/agreement'),
      ]);
      revision = now;
      lookedAt = performance.now();
      show(dashboard, agreement);
    }
    tellAway('');
  } catch (error) {
    if (!(error instanceof Away || error instanceof Refusal)) throw error;
    tellAway(`${error.message} These are the last numbers; the page asks again by itself.`);
  }
}

function tellAway(sentence) {
  const notice = byId('away');
  setText(notice, sentence);
  notice.hidden = !sentence;
}

function show(dashboard, agreement) {
  setText(byId('lead'), lead(dashboard));
  // No number: how many of them are one's own to judge depends on who looks.
  const isOpen = dashboard.waiting + dashboard.third_looks > 0;
  setText(byId('judge'), isOpen ? 'Judge attempts' : 'Look at attempts');
  byId('judge').setAttribute('href', isOpen ? '/label' : '/label?show=any');
  byId('judge').hidden = dashboard.episodes === 0;
  put('problems', dashboard.problems, () => dashboard.problems.map((text) => make('li', { text })));
  byId('problems').hidden = dashboard.problems.length === 0;
  put(
    'headlines',
    [dashboard.laps, dashboard.waiting, dashboard.third_looks, dashboard.episodes],
    () => headlines(dashboard),
  );
  put('steps', dashboard.next_steps, () => stepList(dashboard.next_steps));
  byId('where').hidden = dashboard.next_steps.every((step) => step.command === null);
  put('lap-charts', dashboard.laps, () => lapCharts(dashboard.laps));
  put('laps', dashboard.laps, () => lapTable(dashboard.laps));
  byId('alone').hidden = dashboard.laps.every((lap) => lap.evaluation === null);
  byId('laps-section').hidden = dashboard.laps.length === 0;
  put('value-cards', dashboard.value_models, () => valueCards(dashboard.value_models));
  put('values', dashboard.value_models, () => valueTable(dashboard.value_models));
  byId('values-section').hidden = dashboard.value_models.length === 0;
  put('judging', [agreement, dashboard.decided, dashboard.rule, dashboard.raters_needed], () =>
    judgingCards(dashboard, agreement),
  );
  put('disputes', [dashboard.disputed_episodes, dashboard.disputed], () => disputeTable(dashboard));
  byId('judging-section').hidden = dashboard.episodes === 0;
  byId('numbers').hidden = false;
}

function lead({ episodes, decided, waiting, third_looks: thirdLooks, indexing }) {
  if (episodes === 0 && indexing === 0) return 'Nothing has been recorded yet.';
  const reading = indexing ? ` ${counted(indexing, 'more is', 'more are')} being read.` : '';
  const parts = [
    counted(decided, 'is decided', 'are decided'),
    ...(waiting ? [counted(waiting, 'waits for a verdict', 'wait for a verdict')] : []),
    ...(thirdLooks ? [counted(thirdLooks, 'needs a third look', 'need a third look')] : []),
  ];
  const said = parts.length > 1 ? `${parts.join(', ')}.` : 'All are decided.';
  return `${counted(episodes, 'attempt')}. ${said}${reading}`;
}

/** Draw a part of the page again if what it shows changed; the focus stays on the same link. */
function put(id, content, parts) {
  const text = JSON.stringify(content);
  if (shown.get(id) === text) return;
  shown.set(id, text);
  const part = byId(id);
  const focused = part.contains(document.activeElement)
    ? document.activeElement.getAttribute('href')
    : null;
  part.replaceChildren(...parts());
  if (focused) part.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}
