// What a channel keeps, newest first, page by page.

import { get } from '../api.js';
import { failure, fill, h, icon } from '../dom.js';
import { href } from '../router.js';
import { bytes, dateTime, plain, say } from '../text.js';
import { payload } from './event.js';
import { facts } from '../panel.js';

/**
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {HTMLElement} options.body
 * @param {AbortSignal} options.signal
 * @param {import('../types.js').ChannelDetail} options.channel
 */
export function historyList({ info, body, signal, channel }) {
  const list = h('ul.kept');
  const foot = h('div.kept-foot');
  const input = h('input.input', { type: 'search', 'aria-label': 'Search the history', placeholder: 'Search the history', autocomplete: 'off', maxlength: 200 });
  let q = '';
  /** @type {string | undefined} */
  let next;
  let timer = 0;
  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(() => {
      if (input.value.trim() === q) return;
      q = input.value.trim();
      next = undefined;
      load(true);
    }, 250);
  });
  fill(body, info.store.search && channel.kept && h('span.search', null, icon('search'), input), list, foot);

  /** @param {boolean} anew */
  async function load(anew) {
    const asked = q;
    if (anew) fill(foot, h('span.skeleton'), h('span.skeleton'));
    try {
      const answer = await get('channel/history', { app: channel.app, name: channel.name, before: next, limit: 30, q: asked }, signal);
      if (asked !== q) return;
      if (anew) fill(list);
      next = answer.next;
      const fresh = answer.events.map(entry);
      const reading = foot.contains(document.activeElement);
      list.append(...fresh);
      fill(
        foot,
        next
          ? h('button.button', { type: 'button', onclick: (/** @type {Event} */ e) => (/** @type {HTMLElement} */ (e.currentTarget).setAttribute('aria-busy', 'true'), load(false)) }, 'Older')
          : list.childElementCount
            ? h('p.quiet', null, 'That is all.')
            : h('div.empty', null, h('p', null, asked ? 'Nothing in it fits.' : channel.kept ? 'Nothing is kept at the moment.' : 'This channel keeps no history. A rule with a history makes it keep one.')),
      );
      if (reading) fresh[0]?.querySelector('summary')?.focus();
    } catch (error) {
      if (!signal.aborted) fill(foot, failure(error, () => load(anew)));
    }
  }

  /** @param {import('../types.js').Kept} e */
  const entry = (e) => {
    const inside = h('div.kept-body');
    const notes = [e.encrypted && 'encrypted', e.retracted && 'retracted', e.version > 1 && `version ${e.version}`].filter(Boolean).join(', ');
    return h(
      'li',
      null,
      h(
        'details',
        {
          ontoggle: () =>
            inside.childElementCount ||
            fill(
              inside,
              facts([
                ['ID', h('code', null, plain(e.id))],
                ['Position', h('code', null, plain(e.position))],
                e.user ? ['User', say(e.user)] : null,
                e.session ? ['From session', h('a', { href: href(['sessions', e.session]) }, say(e.session))] : null,
              ]),
              !e.retracted && payload(info, e),
              h('a.button', { href: href(['why'], { app: channel.app, channel: channel.name, event: e.id }) }, 'Who got it?'),
            ),
        },
        h('summary', null, h('span.name', null, say(e.name)), notes && h('span.tag', null, notes), h('span.quiet.num', null, bytes(e.size)), h('time.quiet.num', null, dateTime(e.time).slice(0, 19))),
        inside,
      ),
    );
  };

  load(true);
}
