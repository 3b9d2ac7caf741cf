// What is around every view: the rail, the bars that say what is wrong, and keys.

import { help, keysAreOn } from './ask.js';
import { post } from './api.js';
import { fill, h, icon } from './dom.js';
import { go, href } from './router.js';
import { clock, plain, say } from './text.js';

/** @type {{ id: string, title: string, key: string, icon?: import('./dom.js').IconName }[]} */
export const places = [
  { id: 'now', title: 'Now', key: 'n', icon: 'now' },
  { id: 'channels', title: 'Channels', key: 'c', icon: 'channels' },
  { id: 'sessions', title: 'Sessions', key: 's', icon: 'sessions' },
  { id: 'events', title: 'Events', key: 'e', icon: 'events' },
  { id: 'console', title: 'Console', key: 'd', icon: 'console' },
  { id: 'why', title: 'Why', key: 'y' },
  { id: 'webhooks', title: 'Webhooks', key: 'w', icon: 'webhooks' },
];

/** Where the rail points to while something without a place in it is open. */
const within = { why: 'events' };

export class Shell {
  /**
   * @param {import('./types.js').Info} info
   * @param {import('./live.js').Live} live
   * @param {boolean} canLeave Whether there is a sign-in to be undone.
   */
  constructor(info, live, canLeave) {
    this.links = new Map(
      places.filter((p) => p.icon).map((p) => [
        p.id,
        h('a', { href: href([p.id]), title: `${p.title} (g ${p.key})` }, icon(/** @type {import('./dom.js').IconName} */ (p.icon)), h('span', null, p.title)),
      ]),
    );
    this.state = h('span.state', { role: 'status' });
    this.bars = h('div.bars', { role: 'region', 'aria-label': 'State' });
    this.main = h('main', { id: 'main', tabindex: -1 });
    this.rail = h(
      'nav.rail',
      { 'aria-label': 'Console' },
      h('a.home', { href: href(['now']), 'aria-label': `Carillon ${info.version}`, title: `Carillon ${info.version}, ${info.goVersion}` }, h('img', { src: 'icon.svg', alt: '', width: 28, height: 28 })),
      h('ul', null, [...this.links.values()].map((a) => h('li', null, a))),
      h(
        'div.rail-foot',
        null,
        this.state,
        h('button.icon-button', { type: 'button', title: 'Keys (?)', 'aria-label': 'Keys', onclick: help }, icon('help')),
        canLeave && h('button.icon-button', { type: 'button', title: 'Sign out', 'aria-label': 'Sign out', onclick: () => leave() }, icon('out')),
      ),
    );
    this.element = h('div.shell', null, h('button.skip.button', { type: 'button', onclick: () => this.main.focus() }, 'To the content'), this.rail, h('div.page', null, this.bars, this.main));
    this.info = info;
    this.live = live;
    live.addEventListener('state', () => this.#tell());
    live.addEventListener('now', () => this.#tell());
    this.#tell();
  }

  /** @param {string} place */
  mark(place) {
    const at = within[/** @type {'why'} */ (place)] ?? place;
    for (const [id, link] of this.links) {
      if (id === at) link.setAttribute('aria-current', 'page');
      else link.removeAttribute('aria-current');
    }
  }

  #said = '';

  #tell() {
    const { live, info } = this;
    const { state, now } = live;
    const store = now?.store;
    const said = JSON.stringify([state, store, now?.console.droppedEvents]);
    if (said === this.#said) return;
    this.#said = said;
    const words = { connecting: 'Connecting', open: 'Live', waiting: 'No answer' }[state];
    this.state.className = `state ${state}`;
    fill(this.state, h('i', { 'aria-hidden': 'true' }), h('span', null, words));
    fill(
      this.bars,
      state === 'waiting' && h('div.bar.warn', { role: 'status' }, icon('wait'), h('p', null, 'The server does not answer. What you see is from before; trying again…')),
      store && !store.ok &&
        h(
          'div.bar.bad',
          { role: 'alert' },
          icon('warn'),
          h('p', null, h('strong', null, 'The store does not answer. '), 'Channels without history go on. ', store.lastError && [h('span.quiet', null, `${clock(store.lastError.at)} ${plain(store.lastError.op)}: `), say(store.lastError.text)]),
        ),
      info.readOnly && h('div.bar', null, icon('ask'), h('p', null, 'You can look, and change nothing here.')),
    );
  }

  /**
   * listen makes keys do something.
   * @param {AbortSignal} signal
   */
  listen(signal) {
    let began = 0;
    document.addEventListener('keydown', (e) => {
      const target = /** @type {HTMLElement} */ (e.target);
      if (e.defaultPrevented || e.ctrlKey || e.metaKey || e.altKey || document.querySelector('dialog[open]')) return;
      if (e.key === 'Escape') {
        const close = /** @type {HTMLElement | null} */ (this.main.querySelector('.panel:not([hidden]) > header > button'));
        if (target.matches('input, textarea') && !target.closest('.panel')) target.blur();
        else close?.click();
        return;
      }
      if (!keysAreOn() || target.matches('input:not([type=checkbox]), textarea, select')) return;
      if (e.timeStamp - began < 1500) {
        const place = places.find((p) => p.key === e.key);
        began = 0;
        if (place) {
          e.preventDefault();
          go(href([place.id]));
          return;
        }
      }
      if (e.key === 'g') began = e.timeStamp;
      else if (e.key === '?') help();
      else if (e.key === '/') /** @type {HTMLElement | null} */ (this.main.querySelector('input[type=search]'))?.focus();
      else if (e.key === 'ArrowDown' && (target === document.body || target === this.main)) this.element.dispatchEvent(new CustomEvent('rows'));
      else return;
      e.preventDefault();
    }, { signal });
  }
}

async function leave() {
  await post('sign-out').catch(() => undefined);
  location.reload();
}

