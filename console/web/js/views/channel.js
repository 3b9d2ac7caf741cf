// The detail of a channel: what it is, who is on it, and what it keeps.

import { get, remove } from '../api.js';
import { confirm, copy } from '../ask.js';
import { failure, fill, h, icon, inUse, setText, skeleton } from '../dom.js';
import { facts, section } from '../panel.js';
import { href } from '../router.js';
import { age, count, json, plain, plural, say } from '../text.js';
import { arming } from './arm.js';
import { appName, more } from './channels.js';
import { historyList } from './history.js';
import { channelKind } from './kinds.js';

/**
 * @param {object} options
 * @param {import('../types.js').Info} options.info
 * @param {HTMLElement} options.body
 * @param {AbortSignal} options.signal
 * @param {string} options.app
 * @param {string} options.name
 * @param {string} options.tab
 * @param {Record<string, string>} options.query
 */
export async function channelDetail({ info, body, signal, app, name, tab, query }) {
  const tabs = h('nav.tabs', { 'aria-label': 'Parts of the channel' });
  const part = h('div.part');
  fill(body, tabs, part);
  fill(part, skeleton());

  const links = [['', 'Overview'], ['people', 'Subscribers'], ['history', 'History']].map(([id, text]) =>
    h('a', { href: href(['channels', app, name, ...(id ? [id] : [])], query), 'aria-current': tab === id ? 'page' : undefined }, text),
  );
  fill(tabs, links);
  /** @param {import('../types.js').ChannelDetail} c */
  const head = (c) => setText(links[1], c.kind === 'presence' ? `Members ${count(c.memberCount)}` : `Subscribers ${count(c.subscribers)}`);

  /** @type {import('../types.js').ChannelDetail} */
  let channel;
  try {
    channel = await get('channel', { app, name, limit: 100 }, signal);
  } catch (error) {
    if (!signal.aborted) fill(part, failure(error));
    return;
  }
  head(channel);
  if (tab === 'history') return historyList({ info, body: part, signal, channel });
  if (tab === 'people') return fill(part, people(channel));

  const figures = h('div');
  const refresh = setInterval(async () => {
    if (document.hidden || inUse(figures)) return;
    const c = await get('channel', { app, name, limit: 1 }, signal).catch(() => undefined);
    if (c) (fill(figures, overview(info, c)), head(c));
  }, 3000);
  signal.addEventListener('abort', () => clearInterval(refresh));
  fill(figures, overview(info, channel));
  fill(
    part,
    h(
      'div.actions',
      null,
      h('a.button', { href: href(['console'], { app, channel: name }) }, icon('console'), 'Send an event'),
      h('a.button', { href: href(['events'], { app, channel: name }) }, icon('events'), 'Its events'),
      h('button.button', { type: 'button', onclick: () => copy(name, 'Name') }, icon('copy'), 'Copy name'),
    ),
    figures,
    section('Rule', rule(channel.rule)),
    section('Who got what', arming({ info, signal, target: { app, channel: name } })),
    !info.readOnly && channel.kept && section('History', h('p.quiet', null, 'Deleting it is for everybody and for good.'), h('button.button.danger', { type: 'button', onclick: () => forget(channel) }, 'Delete history…')),
  );
}

/**
 * @param {import('../types.js').Info} info
 * @param {import('../types.js').ChannelDetail} c
 */
function overview(info, c) {
  return facts([
    ['Name', say(c.name)],
    ['App', appName(info, c.app)],
    ['Kind', channelKind(c)],
    ['Subscribers', c.occupied ? `${count(c.subscribers)}${c.inProcess ? `, and ${count(c.inProcess)} in process` : ''}` : 'nobody at the moment'],
    c.kind === 'presence' && ['Members', count(c.memberCount)],
    ['Position', c.position ? h('code', null, plain(c.position)) : c.kept ? '–' : 'keeps no history'],
    c.storeError ? ['Store', h('span.bad', null, say(c.storeError))] : null,
  ]);
}

/** @param {import('../types.js').Rule | undefined} r */
function rule(r) {
  if (!r) return h('p.quiet', null, 'None: nothing is kept, and the limits are those of all channels.');
  /** @param {number} n */
  const span = (n) => (n ? age(0, n) : 'for ever');
  return facts([
    ['Pattern', r.pattern ? say(r.pattern) : 'none fits: the defaults'],
    ['History', r.historyEvents ? `${plural(r.historyEvents, 'event')}, ${span(r.historyAgeMs)}` : 'none'],
    r.rewind ? ['Rewind', `the last ${plural(r.rewind, 'event')} to who subscribes`] : null,
    r.publishers ? ['Publishers', say(r.publishers)] : null,
    r.leaveGraceMs ? ['Grace before leaving', age(0, r.leaveGraceMs)] : null,
    r.maxSubscribers ? ['Most subscribers', count(r.maxSubscribers)] : null,
    r.maxMembers ? ['Most members', count(r.maxMembers)] : null,
    r.cacheTtlMs ? ['Cache', age(0, r.cacheTtlMs)] : null,
  ]);
}

/** @param {import('../types.js').ChannelDetail} c */
function people(c) {
  const sessions = c.sessions.map((s) =>
    h('li', null, h('a', { href: href(['sessions', s.id]) }, h('span.mono', null, say(s.id)), h('span.grow', null, s.user ? say(s.user) : ''), h('span.quiet.num', null, age(s.since)))),
  );
  const members = c.members.map((m) =>
    h('li', null, h('details', null, h('summary', null, say(m.id)), h('pre', { tabindex: 0 }, say(json(m.info ?? null), { lines: true })))),
  );
  return [
    c.kind === 'presence' && section(`Members ${count(c.memberCount)}`, members.length ? h('ul.rows', null, members) : h('p.quiet', null, 'Nobody.'), more(c.moreMembers)),
    section(`Subscribers ${count(c.subscribers)}`, sessions.length ? h('ul.rows', null, sessions) : h('p.quiet', null, 'Nobody at the moment.'), more(c.moreSessions)),
  ];
}

/** @param {import('../types.js').ChannelDetail} channel */
function forget({ app, name }) {
  confirm({
    title: 'Delete the history?',
    text: ['What ', h('strong', null, say(name)), ' keeps will be gone for everybody. Those who come back cannot be given what they missed. This cannot be undone.'],
    yes: 'Delete history',
    act: async () => {
      await remove('channel/history', { app, name });
      window.dispatchEvent(new HashChangeEvent('hashchange'));
      return 'History deleted.';
    },
  });
}
