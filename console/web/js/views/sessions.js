// Sessions: who is connected.

import { get } from '../api.js';
import { h } from '../dom.js';
import { appField, Filters } from '../filters.js';
import { counted, List } from '../list.js';
import { href, setQuery } from '../router.js';
import { Split } from '../split.js';
import { Table } from '../table.js';
import { age, bytes, count, plural, say } from '../text.js';
import { appName } from './channels.js';
import { transport } from './kinds.js';
import { sessionDetail } from './session.js';

/** @typedef {import('../types.js').Session} Session */

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function sessions({ info, signal }) {
  /** @type {Record<string, string>} */
  let query = {};
  const several = info.apps.length > 1;
  const filters = new Filters([
    { name: 'q', label: 'Search sessions', type: 'search', hint: 'Session, address or user' },
    ...appField(info),
    { name: 'user', label: 'User' },
    { name: 'channel', label: 'Channel' },
    {
      name: 'transport',
      label: 'Transport',
      choices: [['', 'All transports'], ['websocket', 'WebSocket'], ['xhr_streaming', 'HTTP streaming'], ['xhr_polling', 'HTTP polling'], ['sse', 'EventSource']],
    },
  ]);
  /** @type {Table<Session>} */
  const table = new Table({
    label: 'Sessions',
    key: (s) => s.id,
    href: (s) => href(['sessions', s.id], query),
    columns: [
      { title: 'Session', width: '34ch', sort: 'id', cell: (s) => say(s.id) },
      { title: 'User', rank: 2, cell: (s) => (s.user ? say(s.user) : '') },
      ...(several ? [{ title: 'App', width: '12ch', rank: /** @type {3} */ (3), cell: (/** @type {Session} */ s) => appName(info, s.app) }] : []),
      { title: 'Address', width: '17ch', rank: 3, cell: (s) => (s.ip ? say(s.ip) : '') },
      { title: 'Transport', width: '15ch', rank: 3, cell: (s) => transport(s.transport) },
      { title: 'Channels', width: '10ch', num: true, rank: 2, sort: 'channels', down: true, cell: (s) => count(s.channels) },
      { title: 'Queue', width: '17ch', num: true, rank: 2, sort: 'queue', down: true, cell: queue },
      { title: 'Age', width: '8ch', num: true, sort: 'since', cell: (s) => age(s.since) },
    ],
    sub: (s) => h('span', null, s.user ? say(s.user) : 'no user', `, ${transport(s.transport)}`, s.queue.messages > 0 && `, ${count(s.queue.messages)} waiting`),
    tone: (s) => (s.queue.bytes > s.queue.byteLimit / 2 || s.queue.messages > s.queue.messageLimit / 2 ? 'warn' : ''),
    onSort: (sort) => setQuery({ sort: sort === '-since' ? '' : sort }),
    onEnd: () => list.more(),
  });
  const list = new List({
    table,
    signal,
    filtered: () => Boolean(query.q || query.app || query.user || query.channel || query.transport),
    fetch: (page, stop) =>
      get('sessions', { q: query.q, app: query.app, user: query.user, channel: query.channel, transport: query.transport, sort: query.sort || '-since', ...page }, stop),
    onCount: (total) => (filters.count.textContent = counted(total, 'session')),
    empty: (filtered) =>
      filtered
        ? h('div.empty', null, h('h2', null, 'No session fits'), h('p', null, 'Those that have closed are not listed; ', h('a', { href: href(['events'], { kind: 'disconnect', user: query.user }) }, 'the log has when they did'), '.'))
        : h('div.empty', null, h('h2', null, 'Nobody is connected'), h('p', null, 'Whoever connects shows here at once.')),
  });
  const split = new Split({ title: 'Sessions', filters, table });

  return {
    element: split.element,
    focusRows: split.focusRows,
    update({ path, query: wanted }) {
      query = wanted;
      filters.update(query);
      table.sorted(query.sort || '-since');
      list.ask(query.q, query.app, query.user, query.channel, query.transport, query.sort);
      const [, id] = path;
      split.open(id, () => ({
        title: h('span.mono', null, say(id)),
        back: href(['sessions'], query),
        fill: (body, stop) => sessionDetail({ info, body, signal: stop, id }),
      }));
    },
  };
}

/** @param {Session} s */
const queue = (s) => (s.queue.messages ? `${count(s.queue.messages)}, ${bytes(s.queue.bytes)}` : 'empty');

/** @param {Session} s */
export const queueWords = (s) =>
  `${plural(s.queue.messages, 'message')} of ${count(s.queue.messageLimit)}, ${bytes(s.queue.bytes)} of ${bytes(s.queue.byteLimit)}`;
