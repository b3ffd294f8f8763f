/** The keys of the form: one table, which the help shows too. */

import { byId, make } from '../dom.js';

/** What every key does: its names, the action, and the words for the help. */
const KEYS = [
  { group: 'Verdict', keys: ['s'], action: 'success', says: 'Success' },
  { group: 'Verdict', keys: ['f'], action: 'failure', says: 'Failure' },
  { group: 'Verdict', keys: ['x'], action: 'discard', says: 'Discard, or unsure' },
  {
    group: 'Verdict',
    keys: ['u'],
    action: 'undo',
    says: 'Undo your newest verdict and show that attempt',
  },
  {
    group: 'Verdict',
    keys: ['m'],
    action: 'moment',
    says: 'Mark the moment of success here; again there to clear',
  },
  { group: 'Verdict', keys: ['n'], action: 'note', says: 'Write a note; Escape leaves it' },
  {
    group: 'Verdict',
    keys: ['1', '2', '3', '4', '5', '6', '7', '8', '9'],
    shown: ['1', '\u2026', '9'],
    action: 'criterion',
    says: 'Tick a criterion',
    isChecklist: true,
  },
  {
    group: 'Verdict',
    keys: ['Enter'],
    action: 'submit',
    says: 'Submit what the checklist says',
    isChecklist: true,
  },
  { group: 'Attempts', keys: ['j'], action: 'next', says: 'Next attempt' },
  { group: 'Attempts', keys: ['k'], action: 'previous', says: 'Previous attempt' },
  { group: 'Video', keys: [' '], shown: ['Space'], action: 'play', says: 'Play or pause' },
  {
    group: 'Video',
    keys: [',', 'ArrowLeft'],
    shown: [',', '\u2190'],
    action: 'back',
    says: 'One frame back; with Shift and the arrow, ten',
    mayRepeat: true,
  },
  {
    group: 'Video',
    keys: ['.', 'ArrowRight'],
    shown: ['.', '\u2192'],
    action: 'forward',
    says: 'One frame forward; with Shift and the arrow, ten',
    mayRepeat: true,
  },
  { group: 'Video', keys: ['-', '_'], shown: ['\u2212'], action: 'slower', says: 'Slower' },
  { group: 'Video', keys: ['+', '='], shown: ['+'], action: 'faster', says: 'Faster' },
  { group: 'Video', keys: ['l'], action: 'loop', says: 'Play over and over, or once' },
  {
    group: 'Video',
    keys: ['a'],
    action: 'autoplay',
    says: 'Play every attempt as soon as it is shown, or wait',
  },
  {
    group: 'Video',
    keys: ['v'],
    action: 'predictions',
    says: 'Show or hide predictions: the value and advantage of every frame',
  },
  { group: 'Help', keys: ['?'], action: 'help', says: 'Show or hide this' },
];

const WITH_SHIFT = new Set(['ArrowLeft', 'ArrowRight', '?', '+', '_']);
const OWN_KEYS = new Set(['Enter', ' ']);
const TEXT_TYPES = new Set(['text', 'search', 'number', 'email', 'url', 'tel', 'password', '']);

/**
 * Listen to the keys.
 * @param {Record<string, (key: string, isTen: boolean) => void>} actions By the table's names.
 */
export function listen(actions) {
  document.addEventListener('keydown', (event) => {
    const found = meant(event);
    if (!found) {
      holdBack(event);
      return;
    }
    event.preventDefault();
    if (!event.repeat || found.entry.mayRepeat)
      actions[found.entry.action]?.(found.key, event.shiftKey);
  });
}

/**
 * List the keys in the help.
 * @param {boolean} hasChecklist Whether the project has one.
 */
export function fillHelp(hasChecklist) {
  const groups = Map.groupBy
    ? Map.groupBy(KEYS, (entry) => entry.group)
    : KEYS.reduce(
        (all, entry) => all.set(entry.group, [...(all.get(entry.group) ?? []), entry]),
        new Map(),
      );
  byId('help-keys').replaceChildren(
    ...[...groups].map(([group, entries]) =>
      make(
        'section',
        {},
        make('h3', { text: group }),
        make(
          'dl',
          {},
          ...entries.filter((entry) => hasChecklist || !entry.isChecklist).map(helpRow),
        ),
      ),
    ),
  );
}

function helpRow(entry) {
  const names = (entry.shown ?? entry.keys).map((key) =>
    key === '\u2026' ? key : make('kbd', { text: key.length === 1 ? key.toUpperCase() : key }),
  );
  return make('div', {}, make('dt', {}, ...names), make('dd', { text: entry.says }));
}

/** Return the table's entry that a key press means, if any. */
function meant(event) {
  if (event.defaultPrevented || event.isComposing || event.ctrlKey || event.altKey || event.metaKey)
    return null;
  const key = named(event);
  const entry = KEYS.find((each) => each.keys.includes(key));
  if (!entry) return null;
  const target = event.target instanceof Element ? event.target : document.body;
  if (isTextField(target)) return null;
  if (document.querySelector('dialog[open]') && !(entry.action === 'help' && byId('help').open))
    return null;
  // A focused button is pressed by these, as everywhere.
  if (OWN_KEYS.has(key) && target.closest('button, a, summary, input, select')) return null;
  if (event.shiftKey && key.length > 1 && !WITH_SHIFT.has(key)) return null;
  return { entry, key };
}

/** Name a key by what it writes, or, where that is not Latin, by where it lies. */
function named(event) {
  if (event.key.length > 1 || /^[ -~]$/.test(event.key)) {
    return event.key.length === 1 ? event.key.toLowerCase() : event.key;
  }
  const lies = /^(?:Key|Digit)([A-Z0-9])$/.exec(event.code);
  return lies ? lies[1].toLowerCase() : event.key;
}

function isTextField(target) {
  if (target.closest('textarea, select, [contenteditable]')) return true;
  const input = target.closest('input');
  return Boolean(input) && TEXT_TYPES.has(input.type);
}

/** A button that is held down must not give one verdict after another. */
function holdBack(event) {
  const isHeld = event.repeat && OWN_KEYS.has(event.key);
  if (isHeld && event.target instanceof Element && event.target.closest('button'))
    event.preventDefault();
}
