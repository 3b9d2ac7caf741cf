// Channels: those with somebody on them, and the detail of any.

import { get } from '../api.js';
import { h } from '../dom.js';
import { appField, Filters } from '../filters.js';
import { counted, List } from '../list.js';
import { href, setQuery } from '../router.js';
import { Split } from '../split.js';
import { Table } from '../table.js';
import { count, plural, say } from '../text.js';
import { channelDetail } from './channel.js';
import { channelKind } from './kinds.js';

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function channels({ info, signal }) {
  /** @type {Record<string, string>} */
  let query = {};
  const several = info.apps.length > 1;
  const filters = new Filters([
    { name: 'q', label: 'Search channels', type: 'search', hint: 'Name or pattern, as room-*' },
    ...appField(info),
    {
      name: 'kind',
      label: 'Kind',
      choices: [['', 'All kinds'], ['public', 'Public'], ['private', 'Private'], ['encrypted', 'Encrypted'], ['presence', 'Presence'], ['server-to-user', 'To one user']],
    },
  ]);
  /** @type {Table<import('../types.js').Channel>} */
  const table = new Table({
    label: 'Channels',
    key: (c) => `${c.app} ${c.name}`,
    href: (c) => href(['channels', c.app, c.name], query),
    columns: [
      { title: 'Channel', sort: 'name', cell: (c) => say(c.name) },
      ...(several ? [{ title: 'App', width: '12ch', rank: /** @type {2} */ (2), cell: (/** @type {import('../types.js').Channel} */ c) => appName(info, c.app) }] : []),
      { title: 'Kind', width: '16ch', rank: 2, cell: channelKind },
      { title: 'Rule', width: '20ch', rank: 3, cell: (c) => (c.rule ? say(c.rule) : '') },
      { title: 'In process', width: '11ch', num: true, rank: 3, cell: (c) => (c.inProcess ? count(c.inProcess) : '') },
      { title: 'Subscribers', width: '12ch', num: true, sort: 'subscribers', down: true, cell: (c) => count(c.subscribers) },
    ],
    sub: channelKind,
    onSort: (sort) => setQuery({ sort: sort === '-subscribers' ? '' : sort }),
    onEnd: () => list.more(),
  });
  const list = new List({
    table,
    signal,
    filtered: () => Boolean(query.q || query.app || query.kind),
    fetch: (page, stop) => get('channels', { q: query.q, app: query.app, kind: query.kind, sort: query.sort || '-subscribers', ...page }, stop),
    onCount: (total) => (filters.count.textContent = counted(total, 'channel')),
    empty: (filtered) =>
      filtered
        ? h('div.empty', null, h('h2', null, 'No channel fits'), h('p', null, 'Only channels that somebody is subscribed to are listed. '), query.q && h('p', null, h('a', { href: href(['channels', query.app || info.apps[0]?.id || '', query.q]) }, 'Open ', say(query.q), ' all the same'), ', to see what it keeps.'))
        : h('div.empty', null, h('h2', null, 'No channel has subscribers'), h('p', null, 'They come and go with those who subscribe: open a page that does, and its channels are here.')),
  });
  const split = new Split({ title: 'Channels', filters, table });

  return {
    element: split.element,
    focusRows: split.focusRows,
    update({ path, query: wanted }) {
      query = wanted;
      filters.update(query);
      table.sorted(query.sort || '-subscribers');
      list.ask(query.q, query.app, query.kind, query.sort);
      const [, app, name, tab = ''] = path;
      split.open(name === undefined ? undefined : `${app} ${name}`, () => ({
        key: `${app} ${name} ${tab}`,
        title: say(name),
        back: href(['channels'], query),
        fill: (body, stop) => channelDetail({ info, body, signal: stop, app, name, tab, query }),
      }));
    },
  };
}

/**
 * appName is what an app is called.
 * @param {import('../types.js').Info} info
 * @param {string} id
 */
export function appName(info, id) {
  return say(info.apps.find((a) => a.id === id)?.name || id);
}

/** @param {number} n */
export const more = (n) => n > 0 && h('p.quiet', null, `and ${plural(n, 'other')}`);
