/** Making and finding elements. Text always goes in as text, never as markup. */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * Find the element with an id.
 * @param {string} id
 * @returns {HTMLElement}
 * @throws {Error} If the page has none: the page and its scripts do not belong together.
 */
export function byId(id) {
  const found = document.getElementById(id);
  if (!found) throw new Error(`The page has no element #${id}.`);
  return found;
}

/**
 * Make an element.
 * @param {string} tag
 * @param {Record<string, string | number | boolean | null | undefined>} [attributes] `text` becomes
 *   the text; true sets an empty attribute; false, null and undefined set none.
 * @param {...(Node | string)} children
 * @returns {HTMLElement}
 */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/**
 * Make a drawn element.
 * @param {string} tag
 * @param {Record<string, string | number>} [attributes]
 * @param {...Node} children
 * @returns {SVGElement}
 */
export function draw(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/**
 * Make one of the page's icons, for the eye only.
 * @param {string} name The part after `icon-` of a symbol in the page.
 * @returns {SVGElement}
 */
export function icon(name) {
  return draw(
    'svg',
    { class: 'icon', 'aria-hidden': 'true' },
    draw('use', { href: `#icon-${name}` }),
  );
}

/**
 * Set a text only where it changes, so that screen readers do not hear it twice.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === 'text') element.textContent = String(value);
    else if (value === true) element.setAttribute(name, '');
    else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, String(value));
    }
  }
  element.append(...children);
  return element;
}
