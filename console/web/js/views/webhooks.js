// Webhooks: what was sent to the backend, and what it said.

import { get } from '../api.js';
import { h } from '../dom.js';
import { appField, Filters } from '../filters.js';
import { List } from '../list.js';
import { href } from '../router.js';
import { Split } from '../split.js';
import { Table } from '../table.js';
import { clock, count, ms, plain, say } from '../text.js';
import { appName } from './channels.js';
import { verdict } from './kinds.js';
import { webhookDetail } from './webhook.js';

/** @typedef {import('../types.js').Webhook} Webhook */

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function webhooks({ info, signal }) {
  /** @type {Record<string, string>} */
  let query = {};
  const several = info.apps.length > 1;
  const filters = new Filters([
    { name: 'state', label: 'State', choices: [['', 'All'], ['delivered', 'Delivered'], ['retrying', 'Retrying'], ['failed', 'Failed']] },
    ...appField(info),
  ]);
  /** @type {Table<Webhook>} */
  const table = new Table({
    label: 'Webhooks',
    key: (w) => w.id,
    href: (w) => href(['webhooks', w.id], query),
    name: (w) => `${clock(w.lastAt)} ${w.state} ${plain(w.events.join(', '))}`,
    columns: [
      { title: 'Time', width: '9ch', cell: (w) => clock(w.lastAt) },
      { title: 'State', width: '14ch', cell: (w) => verdict(w.state) },
      { title: 'Events', rank: 2, cell: (w) => say(w.events.join(', ')) },
      { title: 'To', rank: 2, cell: (w) => say(w.url) },
      ...(several ? [{ title: 'App', width: '12ch', rank: /** @type {3} */ (3), cell: (/** @type {Webhook} */ w) => appName(info, w.app) }] : []),
      { title: 'Last answer', width: '18ch', rank: 3, cell: (w) => answer(w) },
      { title: 'Attempts', width: '9ch', num: true, rank: 3, cell: (w) => count(w.attempts.length) },
      { title: 'Took', width: '9ch', num: true, rank: 2, cell: (w) => ms(w.attempts.at(-1)?.tookMs) },
    ],
    sub: (w) => say(w.events.join(', ')),
    onEnd: () => list.more(),
  });
  const totals = h('dl.totals');
  const list = new List({
    table,
    signal,
    filtered: () => Boolean(query.state || query.app),
    fetch: async (page, stop) => {
      const got = await get('webhooks', { app: query.app, state: query.state, ...page }, stop);
      showTotals(totals, got.stats);
      return { ...got, total: got.items.length };
    },
    empty: (filtered) =>
      filtered
        ? h('div.empty', null, h('h2', null, 'None in this state'), h('p', null, h('a', { href: href(['webhooks']) }, 'Show all')))
        : h('div.empty', null, h('h2', null, 'No webhooks yet'), h('p', null, 'They are sent where an app has a webhook, and something happens that it asks for.')),
  });
  const split = new Split({ title: 'Webhooks', filters, table, more: totals });

  return {
    element: split.element,
    focusRows: split.focusRows,
    update({ path, query: wanted }) {
      query = wanted;
      filters.update(query);
      list.ask(query.state, query.app);
      const [, id] = path;
      split.open(id, () => ({
        title: 'Webhook',
        back: href(['webhooks'], query),
        fill: (body, stop) => webhookDetail({ info, body, signal: stop, id, find: () => list.items.find((w) => w.id === id) }),
      }));
    },
  };
}

/** @param {Webhook} w */
export function answer(w) {
  const last = w.attempts.at(-1);
  if (!last) return 'none yet';
  return last.status ? String(last.status) : say(last.error ?? '–');
}

/**
 * @param {HTMLElement} element
 * @param {Record<string, number>} stats
 */
function showTotals(element, stats) {
  /** @type {Record<string, string>} */
  const names = { delivered: 'delivered', retried: 'retried', dropped: 'given up' };
  const shown = Object.entries(names).filter(([key]) => stats[key] !== undefined);
  const values = shown.map(([key]) => count(stats[key]));
  if (element.childElementCount !== shown.length) {
    element.replaceChildren(...shown.map(([key, name]) => h('div', { class: key === 'dropped' && stats[key] ? 'bad' : '' }, h('dt', null, name), h('dd.num'))));
  }
  [...element.querySelectorAll('dd')].forEach((dd, i) => (dd.textContent = values[i]));
}
