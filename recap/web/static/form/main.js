/** The form: puts its parts together and keeps asking the server how things are. */

import { Away, get } from '../api.js';
import { byId, setText } from '../dom.js';
import { readAddress } from './address.js';
import { Drafts } from './drafts.js';
import { Form } from './form.js';
import { fillHelp, listen } from './keys.js';
import { Person } from './people.js';
import { Player } from './player.js';
import { ProgressLine } from './progress.js';
import { NO_FILTERS } from './queue.js';
import { QueueList } from './queue_list.js';
import { Drawer } from './storage.js';
import { Timeline } from './timeline.js';
import { VerdictPanel } from './verdict.js';

const ASK_EVERY_MS = 2000;

await start();

async function start() {
  const project = await askUntilAnswered();
  let form = null;
  const player = new Player({
    frame: (frame) => timeline.at(frame, player.isPlaying),
    state: () => queueMicrotask(() => showPlaying(player)),
  });
  const timeline = new Timeline((frame) => player.seek(frame));
  const drafts = new Drafts(new Drawer(project.id, 'sessionStorage'), () => person.name);
  const panel = new VerdictPanel(drafts, {
    judge: (verdict) => judge(form, panel, verdict),
    submit: () => form?.judge(panel.checklistVerdict()),
    moment: (frame) => timeline.mark(frame),
  });
  const list = new QueueList({
    choose: (uid) => void form?.show(uid),
    filter: (filters) => void form?.filter(filters),
    end: () => void form?.extend(),
  });
  const person = new Person(
    (name) => void form?.begin(name, readAddress().filters, form?.detail?.uid ?? readAddress().uid),
  );
  form = new Form(project, new Drawer(project.id), {
    player,
    panel,
    timeline,
    list,
    line: new ProgressLine(),
    person,
    drafts,
  });

  wirePlayer(player);
  wireForm(form, panel, player);
  wireKeys(form, panel, player, timeline);
  fillHelp(panel.hasChecklist);
  showPlaying(player);
  leaveWhatWasClicked();
  if (!person.name) person.ask();
  await form.begin(person.name, readAddress().filters, readAddress().uid);
  keepAsking(form);
}

async function askUntilAnswered() {
  for (;;) {
    try {
      return await get('/api/project');
    } catch (error) {
      setText(
        byId('notice-title'),
        error instanceof Away ? 'The server is away' : 'The form cannot be shown',
      );
      setText(byId('notice-text'), error.message);
      await new Promise((resolve) => setTimeout(resolve, ASK_EVERY_MS));
    }
  }
}

function wirePlayer(player) {
  byId('play').addEventListener('click', () => player.toggle());
  byId('back').addEventListener('click', () => player.step(-1));
  byId('forward').addEventListener('click', () => player.step(1));
  byId('loop').addEventListener('click', () => player.toggleLoop());
  byId('autoplay').addEventListener('click', () => player.toggleStartingItself());
  byId('speed').addEventListener('change', (event) => player.setSpeed(Number(event.target.value)));
  byId('room').addEventListener('click', () => player.toggle());
}

function wireForm(form, panel, player) {
  byId('undo').addEventListener('click', () => void form.undo());
  byId('next').addEventListener('click', () => void form.move(1));
  byId('previous').addEventListener('click', () => void form.move(-1));
  byId('mark-success').addEventListener('click', () => panel.toggleMoment(player.frame));
  for (const [id, show] of [
    ['show-all', 'any'],
    ['show-not-yours', 'not-yours'],
    ['clear-filters-here', NO_FILTERS.show],
  ]) {
    byId(id).addEventListener('click', () => void form.filter({ ...NO_FILTERS, show }));
  }
  byId('alert-show').addEventListener('click', () => {
    byId('alert').hidden = true;
    void form.show(byId('alert').dataset.uid);
  });
  byId('alert-close').addEventListener('click', () => {
    byId('alert').hidden = true;
  });
  byId('help-open').addEventListener('click', toggleHelp);
  byId('help-close').addEventListener('click', toggleHelp);
}

/** Judge by a button or its key: a plain success means that everything was met. */
function judge(form, panel, verdict) {
  if (verdict === 'success' && panel.hasChecklist && form.detail) panel.tickAll();
  form.judge(verdict);
}

function wireKeys(form, panel, player, timeline) {
  listen({
    success: () => judge(form, panel, 'success'),
    failure: () => judge(form, panel, 'failure'),
    discard: () => judge(form, panel, 'discard'),
    submit: () => {
      if (panel.hasChecklist) form.judge(panel.checklistVerdict());
    },
    undo: () => void form.undo(),
    next: () => void form.move(1),
    previous: () => void form.move(-1),
    moment: () => panel.toggleMoment(player.frame),
    note: () => byId('note').focus(),
    criterion: (key) => panel.toggleCriterion(Number(key)),
    play: () => player.toggle(),
    back: (key, isTen) => player.step(isTen && key === 'ArrowLeft' ? -10 : -1),
    forward: (key, isTen) => player.step(isTen && key === 'ArrowRight' ? 10 : 1),
    slower: () => player.changeSpeed(-1),
    faster: () => player.changeSpeed(1),
    loop: () => player.toggleLoop(),
    autoplay: () => player.toggleStartingItself(),
    predictions: () => timeline.togglePredictions(),
    help: toggleHelp,
  });
}

function toggleHelp() {
  const help = byId('help');
  if (help.open) help.close();
  else {
    help.showModal();
    help.scrollTop = 0;
  }
}

function showPlaying(player) {
  const play = byId('play');
  play.setAttribute('aria-label', player.isPlaying ? 'Pause' : 'Play');
  play.classList.toggle('is-playing', player.isPlaying);
  byId('loop').setAttribute('aria-pressed', String(player.isLooping));
  byId('autoplay').setAttribute('aria-pressed', String(player.isStartingItself));
  byId('speed').value = String(player.speed);
}

/** After a click the keys belong to the form again; who moves by keyboard keeps the focus. */
function leaveWhatWasClicked() {
  let isByPointer = false;
  addEventListener(
    'pointerdown',
    () => {
      isByPointer = true;
    },
    true,
  );
  addEventListener(
    'keydown',
    () => {
      isByPointer = false;
    },
    true,
  );
  const leave = (event) => {
    const control =
      event.target instanceof Element &&
      event.target.closest('button, input[type=checkbox], select, summary');
    if (isByPointer && control && !control.closest('dialog')) control.blur();
  };
  document.addEventListener('click', (event) => {
    if (!(event.target instanceof Element && event.target.closest('select'))) leave(event);
  });
  document.addEventListener('change', leave);
}

function keepAsking(form) {
  let timer = 0;
  const ask = async () => {
    clearTimeout(timer);
    // A hidden page stays silent, unless it still has something to hand in.
    if (!document.hidden || form.isWaiting) await form.poll();
    clearTimeout(timer);
    timer = setTimeout(ask, ASK_EVERY_MS);
  };
  document.addEventListener('visibilitychange', () => {
    if (!document.hidden) void ask();
  });
  timer = setTimeout(ask, ASK_EVERY_MS);
}
