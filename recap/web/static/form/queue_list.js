/** The queue as a list on the page, and its filters. */

import { byId, icon, make, setText } from '../dom.js';
import { count } from '../words.js';
import { NO_FILTERS } from './queue.js';
import { VERDICTS, listed } from './words.js';

const NEAR_THE_END_PIXELS = 400;
const FILTER_NAMES = Object.keys(NO_FILTERS);

/** The list and the filters. */
export class QueueList {
  #list = byId('queue');
  #form = byId('filters');
  #told;
  #rows = new Map();

  /**
   * @param {{choose: (uid: string) => void, filter: (filters: object) => void, end: () => void}} told
   *   Called when an episode is chosen, when a filter changes, and near the end of the list.
   */
  constructor(told) {
    this.#told = told;
    this.#list.addEventListener('click', (event) => {
      const row = event.target.closest('[data-uid]');
      if (row) told.choose(row.dataset.uid);
    });
    this.#form.addEventListener('submit', (event) => event.preventDefault());
    this.#form.addEventListener('change', () => told.filter(this.#chosen()));
    byId('clear-filters').addEventListener('click', () => told.filter({ ...NO_FILTERS }));
    const scroller = byId('queue-scroll');
    scroller.addEventListener('scroll', () => {
      if (scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_THE_END_PIXELS)
        told.end();
    });
    byId('more').addEventListener('click', () => told.end());
  }

  /**
   * Offer what the project has, and show what is chosen.
   * @param {object} project
   * @param {object} filters
   */
  showFilters(project, filters) {
    const { task, iteration } = this.#form.elements;
    offer(
      task,
      'Any task',
      project.tasks.map((text) => [text, text]),
    );
    offer(
      iteration,
      'Any iteration',
      [...project.iterations]
        .sort((a, b) => b - a)
        .map((number) => [
          String(number),
          number === 0 ? 'Demonstrations (0)' : `Iteration ${number}`,
        ]),
    );
    for (const name of FILTER_NAMES) this.#form.elements[name].value = filters[name];
    const chosen = FILTER_NAMES.filter((name) => name !== 'show' && filters[name]).length;
    setText(byId('filters-chosen'), chosen ? `${chosen} set` : '');
    byId('clear-filters').hidden = !chosen && filters.show === NO_FILTERS.show;
  }

  /**
   * Show the list.
   * @param {import('./queue.js').Queue} queue
   * @param {string} current Uid of the episode on the screen.
   * @param {Set<string>} waiting Uids whose verdict the server has not acknowledged.
   */
  show(queue, current, waiting) {
    const cards = queue.list;
    const wanted = new Map(cards.map((card) => [card.uid, card]));
    for (const [uid, row] of this.#rows) {
      if (wanted.has(uid)) continue;
      row.remove();
      this.#rows.delete(uid);
    }
    cards.forEach((card, place) => {
      const row = this.#row(card.uid);
      paint(row, card, {
        yours: queue.yours(card),
        isCurrent: card.uid === current,
        isWaiting: waiting.has(card.uid),
      });
      // Only what moved is moved, so that the focus and the scrolling stay.
      if (this.#list.children[place] !== row)
        this.#list.insertBefore(row, this.#list.children[place] ?? null);
    });
    byId('more').hidden = !queue.hasMore;
    setText(byId('queue-count'), queue.isLoaded ? count(queue.total) : '');
    byId('queue-empty').hidden = cards.length > 0 || !queue.isLoaded;
  }

  /** @param {string} uid Scroll the list, and only the list, to an episode. */
  reveal(uid) {
    const row = this.#rows.get(uid);
    const scroller = byId('queue-scroll');
    if (!row || scroller.scrollHeight <= scroller.clientHeight) return;
    const top = row.offsetTop - scroller.offsetTop;
    const isSeen =
      top >= scroller.scrollTop + row.offsetHeight &&
      top + 2 * row.offsetHeight <= scroller.scrollTop + scroller.clientHeight;
    if (!isSeen) scroller.scrollTop = top - row.offsetHeight;
  }

  #row(uid) {
    const there = this.#rows.get(uid);
    if (there) return there;
    const row = make(
      'li',
      { 'data-uid': uid },
      make('button', { type: 'button', class: 'queued' }),
    );
    this.#rows.set(uid, row);
    return row;
  }

  #chosen() {
    return Object.fromEntries(FILTER_NAMES.map((name) => [name, this.#form.elements[name].value]));
  }
}

function offer(select, nothing, choices) {
  const wanted = JSON.stringify(choices);
  if (select.dataset.offered === wanted) return;
  select.dataset.offered = wanted;
  select.replaceChildren(
    make('option', { value: '', text: nothing }),
    ...choices.map(([value, text]) => make('option', { value, text })),
  );
}

function paint(row, card, { yours, isCurrent, isWaiting }) {
  const look = JSON.stringify([
    yours,
    isCurrent,
    isWaiting,
    card.is_disputed,
    card.looked_at_by,
    card.task,
  ]);
  if (row.dataset.look === look) return;
  row.dataset.look = look;
  if (isCurrent) row.setAttribute('aria-current', 'true');
  else row.removeAttribute('aria-current');
  row.firstChild.replaceChildren(
    mark(yours, isWaiting),
    make('span', { class: 'queued-task', text: card.task }),
    make('span', { class: 'queued-about' }, ...about(card)),
  );
}

function mark(yours, isWaiting) {
  if (!yours)
    return make(
      'span',
      { class: 'mark' },
      icon('open'),
      make('span', { class: 'unseen', text: 'Not judged by you: ' }),
    );
  const { word, icon: name } = VERDICTS[yours];
  const text = `${word}${isWaiting ? ', waiting to be sent' : ''}: `;
  return make(
    'span',
    { class: `mark said-${yours}` },
    icon(isWaiting ? 'waiting' : name),
    make('span', { class: 'unseen', text }),
  );
}

function about(card) {
  const parts = [make('span', { class: 'uid', text: card.uid })];
  if (card.corrected_frames)
    parts.push(make('span', { class: 'badge badge-corrected', text: 'corrected' }));
  if (card.is_disputed)
    parts.push(make('span', { class: 'badge badge-disputed' }, icon('dispute'), 'disagreement'));
  if (card.looked_at_by.length) {
    parts.push(make('span', { class: 'badge' }, icon('eye'), listed(card.looked_at_by)));
  }
  return parts;
}
