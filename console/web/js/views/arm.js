// Arming: from now on it is recorded who got what, for one channel, session or user.

import { get, post, remove } from '../api.js';
import { attempt } from '../ask.js';
import { fill, h } from '../dom.js';
import { clock, count } from '../text.js';

/** @typedef {{ app: string, channel?: string, session?: string, user?: string }} Target */

/**
 * arming is a switch with the words that say what it does.
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {AbortSignal} options.signal
 * @param {Target} options.target
 */
export function arming({ info, signal, target }) {
  const element = h('div.arming', null, h('p.quiet', null, h('span.skeleton')));
  /** @param {import('../types.js').Armed | undefined} armed */
  const show = (armed) => {
    const button = h('button.button', { type: 'button', disabled: info.readOnly }, armed ? 'Stop recording' : 'Record for 15 minutes');
    button.addEventListener('click', () =>
      attempt(button, async () => {
        if (armed) await remove('arm', { id: armed.id });
        const now = armed ? undefined : await post('arm', { ...target, minutes: 15 });
        show(now);
        return armed ? 'Recording stopped.' : 'Recording.';
      }),
    );
    const held = element.contains(document.activeElement);
    fill(
      element,
      h(
        'p.quiet',
        null,
        armed
          ? `Recorded until ${clock(armed.until).slice(0, 5)}: each step of every event. ${count(armed.events)} so far.`
          : 'Not recorded. While it is, every step of every event is kept for a while, and "Why?" has exact answers.',
      ),
      button,
    );
    if (held) button.focus();
  };
  armedNow(signal).then((all) => show(all.find((a) => same(a, target))), () => signal.aborted || fill(element, h('p.quiet', null, 'It is not known whether this is recorded.')));
  return element;
}

/**
 * @param {AbortSignal} signal
 * @returns {Promise<import('../types.js').Armed[]>}
 */
const armedNow = async (signal) => (await get('armed', {}, signal)).armed;

/** @param {Target} a @param {Target} b */
const same = (a, b) => a.app === b.app && a.channel === b.channel && a.session === b.session && a.user === b.user;
