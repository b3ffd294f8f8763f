/** The line above the video: which episode this is. */

import { byId, make, setText } from '../dom.js';
import { counted } from '../words.js';
import { endingWords, length } from './words.js';

/**
 * Say which episode is on the screen.
 * @param {object | null} detail
 * @param {object} project
 */
export function showHead(detail, project) {
  setText(byId('task'), detail?.task ?? '');
  byId('about').replaceChildren(
    ...(detail ? facts(detail) : []).map((text) => make('span', { text })),
  );
  setText(byId('announcement'), detail ? `Now: ${detail.task}, ${detail.uid}` : '');
  document.title = detail
    ? `${detail.task} \u00b7 ${project.name}`
    : `Judge \u00b7 ${project.name}`;
}

function facts(detail) {
  const where =
    detail.source === 'demonstration' ? 'demonstration' : `iteration ${detail.iteration}`;
  const told = [
    detail.uid,
    where,
    `${counted(detail.frames, 'frame')}, ${length(detail.frames, detail.fps)}`,
    endingWords(detail.ending),
  ];
  if (detail.corrected_frames)
    told.push(`${Math.round((100 * detail.corrected_frames) / detail.frames)}\u202f% corrected`);
  return told;
}
