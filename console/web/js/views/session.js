// The detail of a session, and what one can do to it.

import { get, post } from '../api.js';
import { confirm } from '../ask.js';
import { failure, fill, h, icon, inUse, skeleton } from '../dom.js';
import { facts, section } from '../panel.js';
import { href } from '../router.js';
import { age, clock, dateTime, json, plural, say } from '../text.js';
import { arming } from './arm.js';
import { appName, more } from './channels.js';
import { transport } from './kinds.js';
import { queueWords } from './sessions.js';

/**
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {HTMLElement} options.body
 * @param {AbortSignal} options.signal
 * @param {string} options.id
 */
export async function sessionDetail({ info, body, signal, id }) {
  const live = h('div');
  const rest = h('div');
  fill(body, live, rest);
  fill(live, skeleton());
  /** @type {import('../types.js').SessionDetail | undefined} */
  let session;

  const load = async () => {
    try {
      const s = /** @type {import('../types.js').SessionDetail} */ (await get('session', { id }, signal));
      const first = !session;
      session = s;
      fill(live, state(info, s));
      if (first) fill(rest, ...about(info, s, signal));
    } catch (error) {
      const { status } = /** @type {import('../api.js').ApiError} */ (error);
      if (signal.aborted || (session && status !== 404)) return;
      clearInterval(timer);
      fill(
        live,
        status === 404
          ? h('div.empty', null, h('h3', null, 'This session has closed'), h('p', null, 'What was recorded of it is in the log.'), h('a.button', { href: href(['events'], { session: id }) }, icon('events'), 'Its events'))
          : failure(error, load),
      );
      if (status === 404) fill(rest);
    }
  };
  const timer = setInterval(() => document.hidden || inUse(live) || load(), 2000);
  signal.addEventListener('abort', () => clearInterval(timer));
  await load();
}

/**
 * @param {import('../types.js').Info} info
 * @param {import('../types.js').SessionDetail} s
 */
function state(info, s) {
  const full = Math.max(s.queue.messages / (s.queue.messageLimit || Infinity), s.queue.bytes / (s.queue.byteLimit || Infinity));
  return facts([
    ['User', s.user ? h('a', { href: href(['sessions'], { app: s.app, user: s.user }) }, say(s.user)) : 'has not signed in'],
    ['App', appName(info, s.app)],
    s.ip ? ['Address', say(s.ip)] : ['Address', 'hidden'],
    ['Transport', `${transport(s.transport)}${s.secure ? ', encrypted' : ''}`],
    ['Connected', h('time', null, `${age(s.since)}, since ${dateTime(s.since).slice(0, 19)}`)],
    s.lastReceived ? ['Last heard of', `${age(s.lastReceived)} ago, at ${clock(s.lastReceived)}`] : null,
    ['Queue', h('span', { class: full > 0.5 ? 'warn' : '' }, s.queue.messages ? queueWords(s) : 'empty')],
  ]);
}

/**
 * @param {import('../types.js').Info} info
 * @param {import('../types.js').SessionDetail} s
 * @param {AbortSignal} signal
 */
function about(info, s, signal) {
  return [
    h(
      'div.actions',
      null,
      h('a.button', { href: href(['events'], { app: s.app, session: s.id }) }, icon('events'), 'Its events'),
      h('a.button', { href: href(['why'], { app: s.app, session: s.id }) }, icon('ask'), 'Why (not)?'),
      !info.readOnly && h('button.button.danger', { type: 'button', onclick: () => close(s) }, 'Close session…'),
      !info.readOnly && s.user && h('button.button.danger', { type: 'button', onclick: () => terminate(s.app, /** @type {string} */ (s.user)) }, 'Terminate user…'),
    ),
    section(
      `Channels ${s.subscriptions.length + s.moreSubscriptions}`,
      s.subscriptions.length
        ? h('ul.rows', null, s.subscriptions.map((c) => h('li', null, h('a', { href: href(['channels', s.app, c.channel]) }, h('span.grow', null, say(c.channel)), c.member && h('span.quiet', null, 'as ', say(c.member)), c.since && h('span.quiet.num', null, age(c.since))))))
        : h('p.quiet', null, 'It is subscribed to nothing.'),
      more(s.moreSubscriptions),
    ),
    s.userInfo !== undefined && section('User info', h('pre', { tabindex: 0 }, say(json(s.userInfo), { lines: true }))),
    s.watchlist > 0 && section('Watchlist', h('p', null, plural(s.watchlist, 'user'))),
    section('Who got what', arming({ info, signal, target: { app: s.app, session: s.id } })),
  ];
}

/** @param {import('../types.js').SessionDetail} s */
const close = (s) =>
  confirm({
    title: 'Close this session?',
    text: ['The connection of ', h('strong', null, say(s.user ?? s.id)), ' ends. Its page most likely connects again at once.'],
    yes: 'Close session',
    act: async () => {
      await post('session/close', { id: s.id });
      return 'Session closed.';
    },
  });

/** @param {string} app @param {string} user */
const terminate = (app, user) =>
  confirm({
    title: 'Terminate this user?',
    text: ['All connections of ', h('strong', null, say(user)), ' end, and their pages are told not to connect again by themselves.'],
    yes: 'Terminate user',
    act: async () => {
      const { sessions } = await post('user/terminate', { app, user });
      return `${plural(sessions, 'session')} closed.`;
    },
  });
