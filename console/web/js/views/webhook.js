// The detail of a webhook: every attempt, and the answer to each.

import { get, post } from '../api.js';
import { attempt } from '../ask.js';
import { fill, h, inUse, skeleton } from '../dom.js';
import { facts, section } from '../panel.js';
import { href } from '../router.js';
import { bytes, clockMs, count, json, ms, say } from '../text.js';
import { appName } from './channels.js';
import { verdict } from './kinds.js';

/** @typedef {import('../types.js').Webhook} Webhook */

/**
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {HTMLElement} options.body
 * @param {AbortSignal} options.signal
 * @param {string} options.id
 * @param {() => Webhook | undefined} options.find In the list, which is renewed by itself.
 */
export async function webhookDetail({ info, body, signal, id, find }) {
  fill(body, skeleton());
  let said = '';
  const show = async () => {
    let w = find();
    if (!w && !said) w = await search(id, signal).catch(() => undefined);
    if (signal.aborted) return;
    if (!w) {
      if (!said) fill(body, h('div.empty', null, h('h3', null, 'No longer known'), h('p', null, 'Only the latest webhooks are kept here.')));
      return;
    }
    const text = JSON.stringify(w);
    if (text === said || (said && inUse(body))) return;
    said = text;
    fill(body, ...detail(info, w));
  };
  const timer = setInterval(show, 1000);
  signal.addEventListener('abort', () => clearInterval(timer));
  await show();
}

/**
 * @param {string} id
 * @param {AbortSignal} signal
 * @returns {Promise<Webhook | undefined>}
 */
async function search(id, signal) {
  let next;
  for (let pages = 0; pages < 5; pages++) {
    const answer = await get('webhooks', { limit: 200, next }, signal);
    const found = answer.items.find((/** @type {Webhook} */ w) => w.id === id);
    next = answer.next;
    if (found || !next) return found;
  }
  return undefined;
}

/**
 * @param {import('../types.js').Info} info
 * @param {Webhook} w
 */
function detail(info, w) {
  const button = h('button.button', { type: 'button', disabled: info.readOnly || !w.canResend }, 'Send again');
  button.addEventListener('click', () =>
    attempt(button, async () => {
      const { ok, status, error, tookMs } = await post('webhook/resend', { id: w.id });
      if (!ok) throw new Error(error || `The receiver answered ${status}.`);
      return `Sent: ${status} in ${ms(tookMs)}.`;
    }),
  );
  return [
    h('p.headline', null, verdict(w.state)),
    h('div.actions', null, button, !w.canResend && !info.readOnly && h('span.quiet', null, 'This console cannot send webhooks.')),
    facts([
      ['To', say(w.url)],
      ['App', appName(info, w.app)],
      ['Events', say(w.events.join(', '))],
      w.channels.length > 0 && ['Channels', h('span', null, w.channels.slice(0, 10).flatMap((c, i) => [i ? ', ' : '', h('a', { href: href(['channels', w.app, c]) }, say(c))]), w.channels.length > 10 && ` and ${w.channels.length - 10} more`)],
      ['Size', bytes(w.size)],
      ['ID', h('code', null, w.id)],
    ]),
    section(
      `Attempts ${count(w.attempts.length)}`,
      h(
        'ol.attempts',
        null,
        w.attempts.map((a) =>
          h('li', null, h('span.num', null, clockMs(a.at)), verdict(a.status && a.status < 300 ? 'ok' : 'stop', a.status ? String(a.status) : 'no answer'), h('span.quiet.num', null, ms(a.tookMs)), a.error && h('p.quiet', null, say(a.error))),
        ),
      ),
    ),
    w.body !== undefined && section('Body', h('pre', { tabindex: 0 }, say(json(w.body), { lines: true }))),
  ];
}
