/** Who is judging: asked once, kept in this browser, changed at any time. */

import { get } from '../api.js';
import { byId, make, setText } from '../dom.js';
import { Drawer } from './storage.js';

const KEY = 'rater';
// The same as the server's: letters and digits of any script, spaces and a few signs.
const WORD = '\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}\\u200c\\u200d';
const ALLOWED = new RegExp(`^(?!_)[${WORD}]([${WORD} .@'-]*[${WORD}.])?$`, 'u');

/** The name of the person at this screen. */
export class Person {
  #drawer = new Drawer('');
  #dialog = byId('who');
  #field = byId('rater-name');
  #problem = byId('rater-problem');
  #changed;
  #name = '';

  /** @param {(name: string) => void} changed Called with every new name. */
  constructor(changed) {
    this.#changed = changed;
    const kept = this.#drawer.read(KEY);
    this.#name = typeof kept === 'string' && problemOf(kept) === '' ? kept : '';
    this.#show();
    byId('who-form').addEventListener('submit', (event) => this.#submit(event));
    byId('rater').addEventListener('click', () => this.ask());
    this.#field.addEventListener('input', () => this.#complain(''));
    // Without a name nothing can be judged, so the question cannot be closed.
    this.#dialog.addEventListener('cancel', (event) => {
      if (!this.#name) event.preventDefault();
    });
    byId('who-close').addEventListener('click', () => this.#dialog.close());
  }

  /** @returns {string} Empty until somebody has said it. */
  get name() {
    return this.#name;
  }

  /** Ask for the name. */
  ask() {
    this.#field.value = this.#name;
    this.#complain('');
    byId('who-close').hidden = !this.#name;
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#field.select();
    void this.#offer();
  }

  /** @param {string} problem Ask for another name: the server does not take this one. */
  refuse(problem) {
    const refused = this.#name;
    this.#name = '';
    this.#drawer.remove(KEY);
    this.#show();
    this.ask();
    this.#field.value = refused;
    this.#field.select();
    this.#complain(problem);
  }

  #submit(event) {
    event.preventDefault();
    const name = this.#field.value.normalize('NFC').trim().replace(/\s+/g, ' ');
    const problem = problemOf(name);
    if (problem) {
      this.#complain(problem);
      this.#field.focus();
      return;
    }
    const isNew = name !== this.#name;
    this.#name = name;
    this.#drawer.write(KEY, name);
    this.#dialog.close();
    this.#show();
    if (isNew) this.#changed(name);
  }

  #show() {
    setText(byId('rater-shown'), this.#name || 'Your name');
    byId('rater').setAttribute(
      'aria-label',
      this.#name ? `You are ${this.#name}. Change the name` : 'Say your name',
    );
  }

  #complain(problem) {
    setText(this.#problem, problem);
    this.#problem.hidden = !problem;
    this.#field.setAttribute('aria-invalid', String(Boolean(problem)));
  }

  /** Offer the names that are in use, so that nobody is counted as two people. */
  async #offer() {
    const { raters } = await get('/api/agreement').catch(() => ({ raters: [] }));
    const names = raters.map((row) => row.rater).filter((name) => problemOf(name) === '');
    byId('raters').replaceChildren(...names.map((name) => make('option', { value: name })));
  }
}

function problemOf(name) {
  if (!name) return 'Type a name: every verdict is kept with the person who gave it.';
  if ([...name].length > 60) return 'Use at most 60 characters.';
  if (name.normalize('NFKC').trim().toLowerCase() === 'simulator')
    return 'That name belongs to the simulator. Use your own.';
  if (!ALLOWED.test(name))
    return "Use letters, digits, spaces and . _ - @ ' only, beginning with a letter or digit.";
  return '';
}
