/** Words and numbers as people read them. */

/** What each verdict is called, and the icon that stands beside its colour. */
export const VERDICTS = {
  success: { word: 'Success', icon: 'check' },
  failure: { word: 'Failure', icon: 'cross' },
  discard: { word: 'Discard', icon: 'discard' },
};

/** Who can be in control, in words. */
export const PILOTS = {
  policy: 'policy',
  expert: 'expert',
  teleoperator: 'teleoperator',
};

const ENDINGS = {
  terminated: 'ended by itself',
  time_limit: 'time ran out',
  stopped: 'stopped by hand',
  interrupted: 'interrupted',
};

const THIN = '\u202f';
const MINUS = '\u2212';

/** @param {number} number @param {number} digits @returns {string} With a real minus sign. */
export function decimal(number, digits) {
  return number.toFixed(digits).replace('-', MINUS);
}

/** @param {number} number @param {number} digits @returns {string} With a plus where it is due. */
export function signed(number, digits) {
  return (number > 0 ? '+' : '') + decimal(number, digits);
}

/** @param {number} frame @param {number} fps @returns {string} Time since the first frame. */
export function seconds(frame, fps) {
  return `${(frame / fps).toFixed(2)}${THIN}s`;
}

/** @param {number} number @param {number} fps @returns {string} How long so many frames last. */
export function length(number, fps) {
  const whole = number / fps;
  if (whole < 60) return `${whole.toFixed(1)}${THIN}s`;
  return `${Math.floor(whole / 60)}:${String(Math.floor(whole % 60)).padStart(2, '0')}${THIN}min`;
}

/** @param {number} minutes @returns {string} A rough time to go. */
export function roughly(minutes) {
  if (minutes < 1) return 'under a minute';
  if (minutes < 90) return `about ${Math.round(minutes)}${THIN}min`;
  return `about ${(minutes / 60).toFixed(1)}${THIN}h`;
}

/** @param {string} ending @returns {string} */
export function endingWords(ending) {
  return ENDINGS[ending] ?? ending;
}

/** @param {string} text A moment as the server writes it. @returns {string} In local time. */
export function moment(text) {
  const when = new Date(text);
  const isToday = when.toDateString() === new Date().toDateString();
  const time = when.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' });
  return isToday ? time : `${when.toLocaleDateString()} ${time}`;
}

/** @param {string[]} names @returns {string} "Ada", "Ada and Ben", "Ada, Ben and Cy". */
export function listed(names) {
  if (names.length < 2) return names.join('');
  return `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
