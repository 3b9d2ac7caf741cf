// Events: the log as it is written. It stands still while somebody reads it.

import { get } from '../api.js';
import { keysAreOn } from '../ask.js';
import { failure, fill, h, icon, setText } from '../dom.js';
import { appField, Filters } from '../filters.js';
import { href } from '../router.js';
import { Split } from '../split.js';
import { Table } from '../table.js';
import { bytes, clockMs, count, ms, plain, say } from '../text.js';
import { eventDetail } from './event.js';
import { allKinds, kindTone, kindWords, tone } from './kinds.js';

/** @typedef {import('../types.js').LogEvent} LogEvent */

const most = 2000;
const names = ['q', 'app', 'kind', 'channel', 'event', 'user', 'session'];

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function events({ info, live, signal }) {
  /** @type {Record<string, string>} */
  let query = {};
  /** @type {LogEvent[]} */
  let shown = [];
  /** @type {LogEvent[]} Newest first, as the shown ones. */
  let waiting = [];
  let skipped = 0;
  /** @type {number | undefined} Where older ones begin. */
  let before;
  let paused = false;
  let over = false;
  let loading = false;

  const filters = new Filters(
    [
      { name: 'q', label: 'Search events', type: 'search', hint: 'Text in names, data, reasons' },
      ...appField(info),
      { name: 'kind', label: 'Kind', choices: [['', 'All kinds'], ['publish,client-event', 'events'], ['refuse-connect,refuse-subscribe,refuse-publish,slow,gap', 'everything refused'], ...allKinds.map((k) => /** @type {[string, string]} */ ([k, kindWords(k)]))] },
      { name: 'channel', label: 'Channel', title: 'A name, or a pattern as room-*' },
      { name: 'event', label: 'Event', title: 'A name, or a pattern as order-*' },
      { name: 'user', label: 'User' },
      { name: 'session', label: 'Session' },
    ],
  );
  const wait = h('button.button.small.waiting', { type: 'button', hidden: true, onclick: () => resume() });
  const pause = h('button.button.small.pause', { type: 'button', title: 'p', 'aria-pressed': 'false', onclick: () => toggle() }, icon('pause'), h('span', null, 'Pause'));
  filters.end.append(wait, pause);

  /** @type {Table<LogEvent>} */
  const table = new Table({
    label: 'Events',
    key: (e) => String(e.seq),
    href: (e) => href(['events', String(e.seq)], query),
    name: (e) => `${clockMs(e.at)} ${plain(e.text)}`,
    columns: [
      { title: 'Time', width: '13ch', cell: (e) => clockMs(e.at) },
      { title: 'What', width: '22ch', cell: (e) => h('span.kind', { class: tone(e) }, h('i', { 'aria-hidden': 'true' }), h('span', null, kindWords(e.kind))) },
      { title: 'Channel', rank: 2, cell: (e) => (e.channel ? say(e.channel) : '') },
      { title: 'Event', rank: 2, cell: about },
      { title: 'Who', width: '19ch', rank: 3, cell: (e) => (e.user || e.session ? say(e.user || e.session) : '') },
      { title: 'To', width: '8ch', num: true, rank: 3, cell: (e) => (e.subscribers === undefined ? '' : count(e.subscribers)) },
      { title: 'Size', width: '9ch', num: true, rank: 3, cell: (e) => (e.size === undefined ? '' : bytes(e.size)) },
      { title: 'Took', width: '9ch', num: true, rank: 3, cell: (e) => (e.tookMs === undefined ? '' : ms(e.tookMs)) },
    ],
    sub: (e) => h('span', null, e.channel && say(e.channel), e.channel && e.event && ' · ', e.event ? say(e.event) : !e.channel && say(e.user || e.session || e.text)),
    onEnd: () => older(),
  });
  table.element.addEventListener('pointerenter', (e) => e.pointerType === 'mouse' && hover(true));
  table.element.addEventListener('pointerleave', () => hover(false));
  table.element.addEventListener('scroll', () => flush());
  table.element.addEventListener('focusout', () => requestAnimationFrame(flush));
  const split = new Split({ title: 'Events', filters, table, look: 'log' });

  const still = () => paused || over || table.element.scrollTop > 4 || table.body.contains(document.activeElement);

  function flush() {
    if (waiting.length && !still()) {
      shown = [...waiting, ...shown].slice(0, most);
      waiting = [];
      table.set(shown);
    }
    tellWaiting();
  }

  /** Shows what waits, whatever the reason was. */
  function resume() {
    paused = over = false;
    table.element.scrollTop = 0;
    if (table.body.contains(document.activeElement)) pause.focus();
    tellPause();
    flush();
  }

  function toggle() {
    paused = !paused;
    tellPause();
    if (!paused) resume();
  }

  /** @param {boolean} is */
  function hover(is) {
    over = is;
    flush();
  }

  function tellPause() {
    pause.setAttribute('aria-pressed', String(paused));
    fill(pause, icon(paused ? 'play' : 'pause'), h('span', null, paused ? 'Go on' : 'Pause'));
  }

  function tellWaiting() {
    wait.hidden = !waiting.length;
    setText(wait, waiting.length >= most ? `more than ${count(most)} wait` : waiting.length === 1 ? '1 waits' : `${count(waiting.length)} wait`);
    setText(filters.count, skipped ? `${count(skipped)} too many to show` : '');
    split.element.classList.toggle('still', waiting.length > 0);
  }

  function tellNone() {
    if (shown.length) return table.say(before ? h('p.more.quiet', null, 'Older ones as you scroll…') : h('p.more.quiet', null, 'Older ones are not kept.'));
    const filtered = names.some((n) => query[n]);
    table.say(
      filtered
        ? h('div.empty', null, h('h2', null, 'No event fits'), h('p', null, 'Those that come and fit show here at once.'))
        : h('div.empty', null, h('h2', null, 'Nothing has happened yet'), h('p', null, 'Whoever connects, subscribes or publishes shows here at once. You can ', h('a', { href: href(['console']) }, 'send an event'), '.')),
    );
  }

  const filter = () => Object.fromEntries(names.filter((n) => query[n]).map((n) => [n, query[n]]));

  let asked = '';
  async function load() {
    const mine = (asked = JSON.stringify(filter()));
    loading = true;
    try {
      const answer = await get('events', { ...filter(), limit: 200 }, signal);
      if (mine !== asked) return;
      shown = answer.events;
      waiting = [];
      skipped = 0;
      before = answer.next ? Number(answer.next) : undefined;
      table.set(shown);
      tellNone();
      tellWaiting();
      live.follow(filter(), answer.newest);
    } catch (error) {
      if (signal.aborted || mine !== asked) return;
      table.set([]);
      table.say(failure(error, load));
    } finally {
      if (mine === asked) loading = false;
    }
  }

  async function older() {
    if (!before || loading || shown.length >= most) return;
    loading = true;
    const mine = asked;
    try {
      const answer = await get('events', { ...filter(), before, limit: 200 }, signal);
      if (mine !== asked) return;
      shown = [...shown, ...answer.events];
      before = answer.next ? Number(answer.next) : undefined;
      table.set(shown);
      tellNone();
    } catch {
      before = undefined;
    } finally {
      loading = false;
    }
  }

  live.addEventListener(
    'events',
    (e) => {
      const batch = /** @type {CustomEvent} */ (e).detail;
      const newest = waiting[0]?.seq ?? shown[0]?.seq ?? 0;
      const fresh = batch.events.filter((/** @type {LogEvent} */ x) => x.seq > newest).reverse();
      skipped += (batch.skipped ?? 0) + (batch.lost ?? 0);
      waiting = [...fresh, ...waiting].slice(0, most);
      const none = !shown.length;
      flush();
      if (none) tellNone();
    },
    { signal },
  );
  // Another server counts from the beginning.
  live.addEventListener('restart', load, { signal });
  document.addEventListener(
    'keydown',
    (e) => {
      if (e.key !== 'p' || e.ctrlKey || e.metaKey || e.altKey || /** @type {HTMLElement} */ (e.target).matches('input, select, textarea') || !keysAreOn()) return;
      toggle();
    },
    { signal },
  );
  signal.addEventListener('abort', () => table.stop());

  return {
    element: split.element,
    focusRows: split.focusRows,
    update({ path, query: wanted }) {
      query = wanted;
      filters.update(query);
      if (JSON.stringify(filter()) !== asked) {
        if (!shown.length) table.skeleton();
        load();
      }
      const [, seq] = path;
      split.open(seq, () => ({
        title: 'Event',
        back: href(['events'], query),
        fill: (body, stop) => eventDetail({ info, body, signal: stop, seq, known: [...waiting, ...shown].find((e) => String(e.seq) === seq) }),
      }));
    },
  };
}

/** @param {LogEvent} e */
function about(e) {
  if (tone(e) === 'bad') return h('span', null, say(e.text));
  if (e.event) return e.reason ? h('span', null, say(e.event), h('span.quiet', null, ': ', say(e.reason))) : say(e.event);
  if (e.reason) return h('span', null, say(e.reason));
  return kindTone(e.kind) === 'other' || !e.channel ? h('span.quiet', null, say(e.text)) : '';
}
