/** How the dashboard puts numbers into words. */

const THIN_SPACE = '\u202f';
const DASH = '\u2013';

/** @param {number | null} share In [0, 1]. @returns {string} `62 %` */
export function percent(share) {
  return share === null ? DASH : `${Math.round(100 * share)}${THIN_SPACE}%`;
}

/** @param {number | null} number @returns {string} Three digits at most: `581`, `2.72` */
export function plain(number) {
  if (number === null) return DASH;
  const digits =
    Math.abs(number) >= 100 ? { maximumFractionDigits: 0 } : { maximumSignificantDigits: 3 };
  return number.toLocaleString('en-US', digits).replace('-', '\u2212');
}

/** @param {number | null} number @returns {string} `0.64` */
export function hundredths(number) {
  return number === null ? DASH : number.toFixed(2).replace('-', '\u2212');
}

/** @typedef {{low: number | null, point: number, high: number | null}} Interval */

/** @param {Interval} interval @returns {string} `55–68 %` */
export function percentRange({ low, high }) {
  return `${Math.round(100 * (low ?? 0))}${DASH}${Math.round(100 * (high ?? 1))}${THIN_SPACE}%`;
}

/** @param {Interval} interval @returns {string} `500–668` */
export function plainRange({ low, high }) {
  return `${plain(low ?? 0)}${DASH}${high === null ? '∞' : plain(high)}`;
}

/** @param {number | null} iteration @returns {string} `Iteration 2`, `Pre-training` */
export function lapName(iteration) {
  return iteration === null ? 'Pre-training' : `Iteration ${iteration}`;
}

/**
 * Say what a kappa means.
 * Source: J. R. Landis and G. G. Koch, 1977.
 * @param {number} kappa
 * @returns {string}
 */
export function agreementWord(kappa) {
  const words = [
    [0.8, 'almost perfect'],
    [0.6, 'substantial'],
    [0.4, 'moderate'],
    [0.2, 'fair'],
    [0, 'slight'],
  ];
  return words.find(([above]) => kappa > above)?.[1] ?? 'no better than chance';
}
