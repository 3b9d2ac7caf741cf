// The detail of what stands in the log.

import { get, post } from '../api.js';
import { attempt, copy } from '../ask.js';
import { failure, fill, h, icon, skeleton } from '../dom.js';
import { facts, section } from '../panel.js';
import { href } from '../router.js';
import { bytes, count, dateTime, json, ms, plain, say } from '../text.js';
import { appName } from './channels.js';
import { kindWords, tone } from './kinds.js';

/** @typedef {import('../types.js').LogEvent} LogEvent */

const published = ['publish', 'client-event'];

/**
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {HTMLElement} options.body
 * @param {AbortSignal} options.signal
 * @param {string} options.seq
 * @param {LogEvent | undefined} options.known Where the log on the page has it already.
 */
export async function eventDetail({ info, body, signal, seq, known }) {
  let e = known;
  if (!e) {
    fill(body, skeleton());
    try {
      const answer = await get('events', { before: Number(seq) + 1, limit: 1 }, signal);
      e = answer.events.find((/** @type {LogEvent} */ x) => String(x.seq) === seq);
    } catch (error) {
      if (!signal.aborted) fill(body, failure(error));
      return;
    }
    if (!e) {
      fill(body, h('div.empty', null, h('h3', null, 'No longer in the log'), h('p', null, `It holds the last ${count(info.limits.events)} at most. What channels keep is in their history.`)));
      return;
    }
  }
  fill(body, ...detail(info, e));
}

/**
 * @param {import('../types.js').Info} info
 * @param {LogEvent} e
 */
function detail(info, e) {
  const isEvent = published.includes(e.kind);
  const app = info.apps.find((a) => a.id === e.app);
  const curl = h('button.button', { type: 'button' }, icon('copy'), 'Copy as curl');
  curl.addEventListener('click', () =>
    attempt(curl, async () => {
      const { curl } = await post('curl', { app: e.app, channel: e.channel, event: e.event, data: e.data ?? '', exclude: e.exclude });
      await copy(curl, 'curl');
    }),
  );
  return [
    h('p.headline', null, h('span.kind', { class: tone(e) }, h('i', { 'aria-hidden': 'true' }), h('span', null, kindWords(e.kind)))),
    h('p.said', null, say(e.text)),
    (isEvent || e.session) && h(
      'div.actions',
      null,
      isEvent && h('a.button.primary', { href: href(['why'], { app: e.app, channel: e.channel, event: e.id, seq: e.seq }) }, icon('ask'), 'Who got it, and why not?'),
      isEvent && app?.canCurl && e.data !== undefined && !e.dataCut && curl,
      isEvent && e.data !== undefined && !e.dataCut && !info.readOnly && h('a.button', { href: href(['console'], { app: e.app, channel: e.channel, event: e.event, data: e.data }) }, icon('console'), 'Send again'),
      !isEvent && e.session && h('a.button', { href: href(['events'], { app: e.app, session: e.session }) }, icon('events'), 'All of this session'),
    ),
    facts([
      ['Time', h('time', null, dateTime(e.at))],
      ['App', appName(info, e.app)],
      e.channel ? ['Channel', h('a', { href: href(['channels', e.app, e.channel]) }, say(e.channel))] : null,
      e.event ? ['Event', say(e.event)] : null,
      e.reason && !e.reason.startsWith('refused') ? ['Reason', say(e.reason)] : null,
      e.code ? ['Code', say(e.code)] : null,
      e.status ? ['Status', String(e.status)] : null,
      e.url ? ['URL', say(e.url)] : null,
      e.attempt ? ['Attempt', count(e.attempt)] : null,
      e.user ? ['User', h('a', { href: href(['sessions'], { app: e.app, user: e.user }) }, say(e.user))] : null,
      e.session ? ['Session', h('a', { href: href(['sessions', e.session]) }, say(e.session))] : null,
      e.ip ? ['Address', say(e.ip)] : null,
      e.subscribers !== undefined ? ['Handed to', count(e.subscribers)] : null,
      e.exclude ? ['Without', h('a', { href: href(['sessions', e.exclude]) }, say(e.exclude))] : null,
      e.size !== undefined ? ['Size', bytes(e.size)] : null,
      e.tookMs !== undefined ? ['Took', `${ms(e.tookMs)}${e.storeMs === undefined ? '' : `, of it ${ms(e.storeMs)} in the store`}`] : null,
      e.id ? ['ID', h('code', null, plain(e.id))] : null,
      e.position ? ['Position', h('code', null, plain(e.position))] : null,
    ]),
    (isEvent || e.data !== undefined) && payload(info, e),
  ];
}

/**
 * payload shows what an event carries.
 * @param {import('../types.js').Info} info
 * @param {{ data?: string, dataCut?: boolean, size?: number }} e
 */
export function payload(info, { data, dataCut, size }) {
  if (data === undefined) {
    return section('Data', h('p.quiet', null, info.redacted.includes('payloads') ? 'Hidden by the program that this console belongs to.' : 'Not recorded: nobody looked at the log at that time.'));
  }
  return section(
    h('span.with-action', null, 'Data', h('button.button.bare.small', { type: 'button', onclick: () => copy(data, 'Data') }, 'Copy')),
    h('pre', { tabindex: 0 }, say(dataCut ? data : json(data), { lines: true })),
    dataCut && h('p.quiet', null, `The first part of ${bytes(size)}.`),
  );
}
