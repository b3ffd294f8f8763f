/** How far the judging is, and whether everything said has reached the server. */

import { byId, make, setText } from '../dom.js';
import { count, counted } from '../words.js';
import { roughly } from './words.js';

const UNAUTHORIZED = 401;
const BLINK_MS = 400; // what is acknowledged sooner is not worth a word

/** The line at the top of the page. */
export class ProgressLine {
  #timer = 0;

  /**
   * Show the progress.
   * @param {object} progress As the server tells it.
   * @param {object} project
   */
  show(progress, project) {
    const judged = progress.episodes - progress.unjudged;
    const takesSeveral = project.raters_needed > 1 || project.rule !== 'latest';
    const bar = byId('progress-bar');
    bar.max = Math.max(1, progress.episodes);
    bar.value = judged;
    setText(
      byId('progress-text'),
      `${count(judged)} of ${count(progress.episodes)} ${takesSeveral ? 'decided' : 'judged'}`,
    );
    const rate = progress.yours_per_hour;
    const parts = [`${count(progress.yours)} by you`];
    if (rate !== null) parts.push(`${count(Math.round(rate))} an hour`);
    if (rate && progress.unjudged) parts.push(`${roughly((60 * progress.unjudged) / rate)} left`);
    setText(byId('progress-rate'), parts.join(' \u00b7 '));
    showFolders(progress);
  }

  /**
   * Show what has not reached the server.
   * @param {import('./outbox.js').Outbox} outbox What waits.
   * @param {{message: string, status: number} | null} gone Why the server is away; null while it
   *   answers.
   */
  showConnection(outbox, gone) {
    clearTimeout(this.#timer);
    const waiting = outbox.items.length;
    const tell = () => {
      const away = byId('away');
      away.hidden = !gone && !waiting;
      away.classList.toggle('is-away', Boolean(gone) || outbox.isOnlyHere);
      const onlyHere = outbox.isOnlyHere ? ', lost if you close this page' : '';
      setText(byId('waiting'), waiting ? `${count(waiting)} waiting${onlyHere}` : '');
      setText(byId('away-why'), gone ? `${shortly(gone)}${waiting ? ',' : ''}` : '');
      away.title = gone?.message ?? '';
    };
    if (gone || !waiting || outbox.isOnlyHere) tell();
    else this.#timer = setTimeout(tell, BLINK_MS);
  }
}

/** Say in few words why the server is away; what the person can mend is said in full. */
function shortly({ message, status }) {
  return status === UNAUTHORIZED ? message.replace(/\.$/, '') : 'Server away';
}

function showFolders({ indexing, damaged }) {
  const box = byId('damaged');
  box.hidden = !damaged.length && !indexing;
  const reading = indexing
    ? [make('p', { text: `${counted(indexing, 'attempt is', 'attempts are')} still being read.` })]
    : [];
  const broken = damaged.length
    ? [
        make(
          'details',
          {},
          make('summary', {
            text: `${counted(damaged.length, 'folder is', 'folders are')} not a whole attempt`,
          }),
          make('ul', {}, ...damaged.map((name) => make('li', { text: name }))),
        ),
      ]
    : [];
  const look = JSON.stringify([indexing, damaged]);
  if (box.dataset.look === look) return;
  box.dataset.look = look;
  box.replaceChildren(...reading, ...broken);
}
