// The page begins here: who may look, what there is, and which view is shown.

import { gate, get, post } from './api.js';
import { mountNotes } from './ask.js';
import { fill, h } from './dom.js';
import { Live } from './live.js';
import { decode, go, here, href } from './router.js';
import { places, Shell } from './shell.js';
import { channels } from './views/channels.js';
import { events } from './views/events.js';
import { now } from './views/now.js';
import { refused, signIn } from './views/gate.js';
import { send } from './views/send.js';
import { sessions } from './views/sessions.js';
import { webhooks } from './views/webhooks.js';
import { why } from './views/why.js';

/**
 * @typedef {object} World What every view is given.
 * @property {import('./types.js').Info} info
 * @property {Live} live
 * @property {AbortSignal} signal When the view ends.
 *
 * @typedef {object} View
 * @property {HTMLElement} element
 * @property {(route: import('./router.js').Route) => void} update For where the page is now.
 * @property {() => void} [focusRows]
 */

/** @type {Record<string, (world: World) => View>} */
const views = { now, channels, sessions, events, console: send, why, webhooks };

const root = /** @type {HTMLElement} */ (document.getElementById('app'));

/** A link that the program printed has the token behind the #: it is used and forgotten. */
async function useToken() {
  const [, token] = location.hash.match(/^#token=(.+)$/) ?? [];
  if (!token) return;
  history.replaceState(null, '', `${location.pathname}${location.search}#/now`);
  await post('sign-in', { token: decode(token) }).catch(() => undefined);
}

async function begin() {
  await useToken();
  const access = await get('session-state').catch((error) => error);
  if (access instanceof Error) return refused(root, access, begin);
  if (!access.signedIn) return access.methods.includes('token') ? signIn(root, begin) : refused(root, undefined, begin);
  const info = await get('info').catch((error) => error);
  if (info instanceof Error) return refused(root, info, begin);
  open(info, access.methods.includes('token'));
}

/** @type {AbortController | undefined} */
let opened;

/**
 * @param {import('./types.js').Info} info
 * @param {boolean} canLeave
 */
function open(info, canLeave) {
  const page = new AbortController();
  opened = page;
  const live = new Live(info);
  const shell = new Shell(info, live, canLeave);
  fill(root, shell.element);
  shell.listen(page.signal);
  live.start();
  page.signal.addEventListener('abort', () => live.stop());

  let place = '';
  /** @type {View | undefined} */
  let view;
  let control = new AbortController();
  const turn = () => {
    const route = here();
    const wanted = route.path[0] ?? '';
    if (!Object.hasOwn(views, wanted)) return go(href(['now']), { replace: true });
    if (wanted !== place) {
      control.abort();
      control = new AbortController();
      place = wanted;
      live.follow(null);
      view = views[place]({ info, live, signal: control.signal });
      fill(shell.main, view.element);
      shell.mark(place);
      if (document.activeElement === document.body) shell.main.focus({ preventScroll: true });
    }
    document.title = `${places.find((p) => p.id === place)?.title} – Carillon`;
    view?.update(route);
  };
  shell.element.addEventListener('rows', () => view?.focusRows?.());
  window.addEventListener('hashchange', turn, { signal: page.signal });
  page.signal.addEventListener('abort', () => control.abort());
  turn();
}

gate.addEventListener('denied', () => {
  if (!opened || opened.signal.aborted) return;
  opened.abort();
  begin();
});

mountNotes();
fill(root, h('div.shell.starting', { 'aria-busy': 'true', 'aria-label': 'Loading' }, h('div.rail'), h('div.page')));
begin();
