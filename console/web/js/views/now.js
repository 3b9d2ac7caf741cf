// Now: what goes through, how fast, and what went wrong.

import { get } from '../api.js';
import { Chart } from '../chart.js';
import { fill, h, icon, setText } from '../dom.js';
import { href, setQuery } from '../router.js';
import { age, bytes, clock, count, ms, plain, rate, say } from '../text.js';
import { refusal } from './kinds.js';

/** @typedef {import('../types.js').Point} Point */

/** @type {{ key: keyof import('../types.js').Figures, label: string, unit?: string, format: (n: number | null) => string }[]} */
const cards = [
  { key: 'sessions', label: 'Connections', format: count },
  { key: 'publishedPerS', label: 'Published', unit: '/s', format: rate },
  { key: 'outPerS', label: 'Messages out', unit: '/s', format: rate },
  { key: 'p99Ms', label: 'Latency, 99 % below', format: ms },
  { key: 'channels', label: 'Channels', format: count },
  { key: 'inPerS', label: 'Messages in', unit: '/s', format: rate },
  { key: 'bytesOutPerS', label: 'Bytes out', unit: '/s', format: bytes },
  { key: 'p50Ms', label: 'Latency, half below', format: ms },
  { key: 'queuedBytes', label: 'Waiting in queues', format: bytes },
  { key: 'bytesInPerS', label: 'Bytes in', unit: '/s', format: bytes },
  { key: 'memory', label: 'Memory', format: bytes },
  { key: 'goroutines', label: 'Goroutines', format: count },
];

const spans = { minute: { step: 1, span: 60_000 }, hour: { step: 60, span: 3_600_000 } };

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function now({ info, live, signal }) {
  const drawn = cards.map((card) => {
    const value = h('span.figure', null, '–');
    const chart = new Chart({ label: card.label, format: card.format, onLook: (v) => setText(value, card.format(v)) });
    const element = h('section.card', { 'data-figure': card.key }, h('h2', null, card.label), h('p', null, value, card.unit && h('span.unit', null, ` ${card.unit}`)), chart.element);
    return { ...card, chart, element };
  });
  const choice = h(
    'div.choice',
    { role: 'group', 'aria-label': 'Time' },
    [['minute', 'Last minute'], ['hour', 'Last hour']].map(([value, text]) => h('button', { type: 'button', 'data-span': value, onclick: () => setQuery({ span: value === 'minute' ? '' : value }) }, text)),
  );
  const about = h('p.about.quiet');
  const hello = h('div');
  const lists = h('div.lists');
  const element = h(
    'div.view.now',
    null,
    h('header.view-head', null, h('h1', null, 'Now'), about, choice),
    hello,
    h('div.cards', null, drawn.map((d) => d.element)),
    lists,
  );

  /** @type {Point[]} */
  let points = [];
  /** @type {keyof typeof spans} */
  let span = 'minute';
  let asked = 0;

  const draw = () => {
    for (const { key, chart } of drawn) chart.set(points.map((p) => ({ at: p.at, value: p[key] ?? null })), spans[span].span);
  };

  const load = async () => {
    const wanted = span;
    asked = Date.now();
    try {
      const answer = await get('series', { step: spans[span].step }, signal);
      if (wanted !== span) return;
      points = answer.points;
      draw();
    } catch {
      // The bar above says that there is no answer; what was drawn stays.
    }
  };

  /** @param {import('../types.js').Now} now */
  const take = (now) => {
    const last = points.at(-1)?.at ?? 0;
    if (span === 'minute' && points.length && now.at - last < 5000) {
      if (now.at > last) points = [...points, { ...now.figures, at: now.at }].slice(-120);
      draw();
    } else if (Date.now() - asked > 10_000 || span === 'minute') {
      load();
    }
    setText(about, `Up ${age(info.started, now.at)}, ${store(info.store.kind)}`);
    const quiet = !now.totals.connected && !now.totals.published;
    if (quiet !== (hello.childElementCount > 0)) fill(hello, quiet && welcome(info));
    tell(now);
  };

  let said = '';
  /** @param {import('../types.js').Now} now */
  const tell = (now) => {
    const text = JSON.stringify([now.refusals, now.errors, now.slow, now.totals.slowSessions]);
    if (text === said) return;
    said = text;
    fill(lists, problems(now), refusals(now), slow(now));
  };

  live.addEventListener('now', (e) => take(/** @type {CustomEvent} */ (e).detail), { signal });
  document.addEventListener('visibilitychange', () => document.hidden || load(), { signal });
  const scheme = matchMedia('(prefers-color-scheme: dark)');
  scheme.addEventListener('change', draw, { signal });
  signal.addEventListener('abort', () => drawn.forEach((d) => d.chart.stop()));
  if (live.now) take(live.now);
  else fill(lists, ...['Errors', 'Refused', 'Cut off as slow'].map((t) => list(t, '', [h('li.skeleton-line', null, h('span.skeleton'))])));

  return {
    element,
    update({ query }) {
      const wanted = query.span === 'hour' ? 'hour' : 'minute';
      for (const b of choice.children) b.setAttribute('aria-pressed', String(b.getAttribute('data-span') === wanted));
      if (wanted !== span || !asked) {
        span = wanted;
        points = [];
        load();
      }
    },
  };
}

/**
 * @param {string} title
 * @param {import('../dom.js').Child} total
 * @param {HTMLElement[]} rows
 * @param {string} [none]
 */
const list = (title, total, rows, none) =>
  h('section.list', null, h('h2', null, title, h('span.quiet', null, total)), rows.length ? h('ul', null, rows) : h('p.quiet.none', null, icon('yes'), none));

/** @param {import('../types.js').Now} now */
function problems({ errors }) {
  const rows = errors.slice(0, 6).map((e) =>
    h(
      'li',
      null,
      h('span.time.num', null, clock(e.at)),
      h('span.what', null, say(e.text), e.channel && h('a', { href: href(['channels', e.app ?? '', e.channel]) }, say(e.channel))),
      e.count > 1 && h('span.times.num', null, `${count(e.count)} ×`),
    ),
  );
  return list('Errors', '', rows, 'None since the start.');
}

/** @param {import('../types.js').Now} now */
function refusals({ refusals, at }) {
  const most = Math.max(1, ...refusals.map((r) => r.count));
  const rows = [...refusals].sort((a, b) => b.count - a.count).slice(0, 6).map((r) => {
    const bar = h('i.amount', { 'aria-hidden': 'true' });
    bar.style.inlineSize = `${(100 * r.count) / most}%`;
    return h('li', null, h('span.what', null, refusal(r.what, r.reason), bar), h('span.quiet.num', null, `${age(r.lastAt, at)} ago`), h('span.times.num', null, count(r.count)));
  });
  return list('Refused', '', rows, 'Nobody since the start.');
}

/** @param {import('../types.js').Now} now */
function slow({ slow, totals }) {
  const rows = slow.slice(0, 6).map((s) =>
    h(
      'li',
      null,
      h('span.time.num', null, clock(s.at)),
      h('span.what', null, h('a', { href: href(['events'], { session: s.session }) }, say(s.user ?? s.session))),
      h('span.times.num', null, `${count(s.messages)} waiting, ${bytes(s.bytes)}`),
    ),
  );
  return list('Cut off as slow', totals.slowSessions ? ` ${count(totals.slowSessions)}` : '', rows, 'Nobody since the start.');
}

/** @type {Record<string, string>} */
const stores = { sqlite: 'SQLite', postgres: 'PostgreSQL', redis: 'Redis', nats: 'NATS' };

/**
 * store says where events are kept; the server names the type of the store.
 * @param {string} kind
 */
function store(kind) {
  const name = kind.replace(/\.Store$/, '');
  return name === 'memory' ? 'events kept in memory' : `events kept by ${Object.hasOwn(stores, name) ? stores[name] : plain(kind)}`;
}

/** @param {import('../types.js').Info} info */
function welcome(info) {
  const app = info.apps[0];
  return h(
    'section.welcome',
    null,
    h('h2', null, 'Nothing has happened yet'),
    h('p', null, 'Connect a client or publish an event, and it shows here within a second. You can also ', h('a', { href: href(['console']) }, 'send an event from here'), app ? [' to the app ', h('strong', null, say(app.name || app.id)), '.'] : '.'),
  );
}
