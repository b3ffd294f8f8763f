/** Pieces that several parts of the dashboard are made of. */

import { make } from '../dom.js';

/** A number to see from across the room. */
export function headlineCard(number, what, detail, kind = '') {
  return make(
    'p',
    { class: `card headline ${kind}`.trim() },
    make('strong', { text: number }),
    make('span', { class: 'what', text: what }),
    make('span', { class: 'detail', text: detail }),
  );
}

/** A grade in a word, with a dot in its colour. */
export function gradeMark(grade) {
  return make('span', { class: `grade ${grade}`, text: grade === 'bad' ? 'poor' : grade });
}

/**
 * Make the inside of a table that stands row under row on a phone, and is a table to a screen
 * reader either way.
 * @param {string} caption What the table holds, for those who cannot see the heading above it.
 * @param {string[]} columns
 * @param {(null | (string | Node | [string, string])[])[][]} rows Each cell is its text and perhaps
 *   a smaller line; null for nothing.
 * @param {string} first What the first column's text belongs behind on a phone.
 */
export function stackedTable(caption, columns, rows, first) {
  // What no row has needs no column: a robot's project has no held-out worlds.
  const used = columns.map((_, index) => index === 0 || rows.some((row) => row[index]));
  return wholeTable(
    caption,
    columns.filter((_, index) => used[index]),
    rows.map((row) => row.filter((_, index) => used[index])),
    first,
  );
}

function wholeTable(caption, columns, rows, first) {
  // The roles are said again because a table whose rows are laid out anew stops being one.
  const heads = columns.map((text) => make('th', { role: 'columnheader', scope: 'col', text }));
  const lines = rows.map((cells) =>
    make(
      'tr',
      { role: 'row' },
      ...cells.map((cell, index) => {
        if (index === 0)
          return make('th', { role: 'rowheader', scope: 'row', 'data-before': first }, ...cell);
        if (!cell)
          return make(
            'td',
            { role: 'cell', class: 'none', 'data-column': columns[index] },
            make('span', { 'aria-label': 'none', text: '\u2013' }),
          );
        const [main, small] = cell;
        const inside = small === undefined ? [main] : [main, make('small', { text: small })];
        return make(
          'td',
          { role: 'cell', 'data-column': columns[index] },
          make('span', {}, ...inside),
        );
      }),
    ),
  );
  return [
    make('caption', { text: caption }),
    make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...heads)),
    make('tbody', { role: 'rowgroup' }, ...lines),
  ];
}
