/** How every page writes numbers. */

/** @param {number} number @returns {string} `12,345` */
export function count(number) {
  return number.toLocaleString('en-US');
}

/**
 * @param {number} number @param {string} one @param {string} [many]
 * @returns {string} `1 attempt`, `2 attempts`
 */
export function counted(number, one, many = `${one}s`) {
  return `${count(number)} ${number === 1 ? one : many}`;
}
