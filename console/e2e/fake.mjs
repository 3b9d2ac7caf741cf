// A server with the console's page and made-up answers, for states that take a while, or a
// fault, to bring about: 100 000 channels, a store that is down, a webhook that fails.
// contract.test.mjs holds that the real server answers in the same shapes.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { extname } from 'node:path';

const web = new URL('../web/', import.meta.url);
const types = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
export const policy =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; font-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/** The time at which everything in here happened, so that pictures of two runs are alike. */
export const noon = Date.UTC(2026, 10, 24, 12, 0, 0);

export const hostile = {
  html: '<img src=x onerror="window.hit=1">',
  script: '</script><script>window.hit=1</script>',
  bidi: 'invoice\u202Efdp.exe',
  zero: 'ad\u200Bmin\u2060',
  rtl: 'שלום עולם',
  long: 'presence-' + 'x'.repeat(155),
  control: 'tab\there\u0007',
  spaces: ' padded ',
};

/** A generator that gives the same numbers each time. */
function dice(seed) {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const users = ['ann', 'bob', 'cy', 'dee', 'eli', 'fay', 'gus', 'hana'];
const rooms = ['presence-room-1', 'presence-room-2', 'private-orders', 'news', 'prices', 'private-encrypted-ward-7', 'cache-scores', 'private-user-ann'];
const kindOf = (name) => (name.startsWith('presence-') ? 'presence' : name.startsWith('private-encrypted-') ? 'encrypted' : name.startsWith('private-') ? 'private' : 'public');

function figures(i, r, quiet) {
  const wave = 1 + 0.35 * Math.sin(i / 9) + 0.25 * r();
  if (quiet) {
    return { sessions: 0, channels: 0, inPerS: 0, outPerS: 0, publishedPerS: 0, bytesInPerS: 0, bytesOutPerS: 0, p50Ms: null, p99Ms: null, samples: 0, memory: 14_200_000, goroutines: 21, queuedBytes: 0, slowPerS: 0, refusedPerS: 0 };
  }
  return {
    sessions: Math.round(4180 + 160 * Math.sin(i / 21) + 20 * r()),
    channels: Math.round(1240 + 40 * Math.sin(i / 17) + 6 * r()),
    inPerS: 410 * wave, outPerS: 29_600 * wave, publishedPerS: 398 * wave,
    bytesInPerS: 61_000 * wave, bytesOutPerS: 9_800_000 * wave,
    p50Ms: 0.4 + 0.2 * r(), p99Ms: 4 + 3.5 * r() * wave, samples: 120,
    memory: 182_000_000 + 9_000_000 * Math.sin(i / 30) + 3_000_000 * r(), goroutines: Math.round(4320 + 30 * r()),
    queuedBytes: r() > 0.8 ? 90_000 * r() : 4000 * r(), slowPerS: r() > 0.97 ? 1 : 0, refusedPerS: r() > 0.7 ? 0.4 : 0,
  };
}

/** The log: a mixture of what happens. */
function event(seq, at, r) {
  const channel = rooms[Math.floor(r() * rooms.length)];
  const user = users[Math.floor(r() * users.length)];
  const session = `${1000 + Math.floor(r() * 9000)}.${10_000 + Math.floor(r() * 90_000)}`;
  const base = { seq, at, app: 'shop', session, user };
  const dice = r();
  if (dice < 0.62) {
    const data = JSON.stringify({ id: seq, text: ['Price went up', 'New order', 'Hello all', 'Typing'][seq % 4], user: { id: user, name: user } });
    const got = Math.floor(r() * 400);
    return { ...base, kind: dice < 0.5 ? 'publish' : 'client-event', channel, event: ['new-message', 'price', 'user-status-changed', 'client-typing'][seq % 4], id: `01JD${seq.toString(36).toUpperCase().padStart(8, '0')}`, position: `3:${seq}`, size: data.length, data, subscribers: got, tookMs: 1.2 + 3 * r(), storeMs: 0.1 + r(), text: `published to ${channel} for ${got} subscribers` };
  }
  if (dice < 0.72) return { ...base, kind: 'subscribe', channel, tookMs: r(), text: `${user} subscribed to ${channel}` };
  if (dice < 0.8) return { ...base, kind: 'join', channel: 'presence-room-1', text: `${user} joined presence-room-1` };
  if (dice < 0.86) return { ...base, kind: 'connect', ip: '203.0.113.9', text: `connected from 203.0.113.9` };
  if (dice < 0.91) return { ...base, kind: 'disconnect', code: 1001, reason: 'going away', text: 'disconnected: going away' };
  if (dice < 0.95) return { ...base, kind: 'refuse-subscribe', channel: 'private-orders', reason: 'refused-signature', code: 4009, text: 'subscription to private-orders refused: wrong signature' };
  if (dice < 0.98) return { seq, at, app: 'shop', kind: 'webhook', url: 'https://backend.example/hooks', status: r() > 0.5 ? 200 : 503, attempt: 1, tookMs: 12 + 20 * r(), text: 'webhook channel_occupied' };
  return { ...base, kind: 'slow', reason: '1,024 messages waiting', text: `${user} was cut off as slow` };
}

export class Fake {
  /**
   * @param {{ quiet?: boolean, channels?: number, storeDown?: boolean, denied?: boolean, token?: boolean, readOnly?: boolean, apps?: number, names?: string[], trace?: string, webhooks?: string, redacted?: string[], noStream?: boolean, still?: boolean }} options
   */
  static async start(options = {}) {
    const fake = new Fake();
    fake.options = options;
    fake.signedIn = !options.token;
    fake.calls = [];
    fake.streams = new Set();
    fake.rules = [];
    const r = dice(7);
    fake.log = options.quiet ? [] : Array.from({ length: 260 }, (_, i) => event(9000 + i, noon - (260 - i) * 430, r));
    if (options.names) {
      options.names.forEach((name, i) =>
        fake.log.push({ seq: 9300 + i, at: noon - 200 + i, app: 'shop', kind: 'publish', channel: name, event: name, user: name, session: '1.1', id: `H${i}`, size: 20, data: JSON.stringify({ text: name }), subscribers: 1, text: `published to ${name}` }),
      );
    }
    fake.armed = [];
    fake.http = createServer((request, response) => fake.#serve(request, response).catch((error) => response.writeHead(500).end(String(error))));
    fake.http.listen(0, '127.0.0.1');
    await once(fake.http, 'listening');
    fake.url = `http://127.0.0.1:${fake.http.address().port}/some/prefix/`;
    return fake;
  }

  stop() {
    this.http.closeAllConnections();
    this.http.close();
  }

  async #serve(request, response) {
    const url = new URL(request.url, 'http://fake');
    const path = url.pathname.replace(/^\/some\/prefix\//, '');
    if (path === url.pathname) return response.writeHead(404).end();
    if (!path.startsWith('api/')) {
      const name = path || 'index.html';
      const body = await readFile(new URL(name, web)).catch(() => undefined);
      if (!body) return response.writeHead(404).end();
      return response.writeHead(200, { 'Content-Type': types[extname(name)] ?? 'application/octet-stream', 'Content-Security-Policy': policy, 'X-Content-Type-Options': 'nosniff' }).end(body);
    }
    let text = '';
    for await (const chunk of request) text += chunk;
    const call = { method: request.method, path: path.slice(4), query: Object.fromEntries(url.searchParams), body: text ? JSON.parse(text) : undefined };
    this.calls.push(call);
    const send = (status, body) => response.writeHead(status, { 'Content-Type': 'application/json', 'Cache-Control': 'no-store' }).end(body === undefined ? '' : JSON.stringify(body));
    const fail = (status, code, error, more) => send(status, { error, code, ...more });
    if (request.method !== 'GET' && request.headers['x-carillon-console'] !== '1') return fail(403, 'csrf', 'This call did not come from the console.');
    if (call.path === 'session-state') return send(200, { signedIn: this.signedIn && !this.options.denied, methods: [this.options.denied ? 'program' : this.options.token === undefined ? 'loopback' : 'token'] });
    if (call.path === 'sign-in') {
      if (call.body.token !== 'open sesame') return fail(401, 'unauthorized', 'That is not the token.');
      this.signedIn = true;
      return send(204);
    }
    if (call.path === 'sign-out') return (this.signedIn = false), send(204);
    if (!this.signedIn) return fail(401, 'unauthorized', 'The token is missing.', { signIn: 'token' });
    if (call.path === 'events/stream') return this.#stream(call.query, response);
    for (const { path, answer } of this.rules) if (path === call.path) return send(answer.status ?? 200, answer.body);
    const handler = answers[`${call.method} ${call.path}`];
    if (!handler) return fail(404, 'not_found', 'There is no such call.');
    try {
      send(200, await handler(this, call.query, call.body));
    } catch (error) {
      if (!error.status) throw error;
      fail(error.status, error.code, error.message);
    }
  }

  /** answer makes a call answer something else from now on. */
  answer(path, body, status) {
    this.rules.unshift({ path, answer: { body, status } });
  }

  #stream(query, response) {
    if (this.options.noStream) return response.writeHead(503).end();
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' });
    const stream = { query, send: (name, data, id) => response.write(`${id ? `id: ${id}\n` : ''}event: ${name}\ndata: ${JSON.stringify(data)}\n\n`) };
    this.streams.add(stream);
    response.write(': hello\n\n');
    stream.send('now', now(this));
    const timer = this.options.still ? undefined : setInterval(() => stream.send('now', now(this)), 1000);
    response.on('close', () => (this.streams.delete(stream), clearInterval(timer)));
  }

  /** push writes into the log, and to those who look at it. */
  push(...events) {
    for (const e of events) this.log.push({ seq: (this.log.at(-1)?.seq ?? 0) + 1, at: noon, app: 'shop', text: '', ...e });
    const fresh = this.log.slice(-events.length);
    for (const s of this.streams) {
      const fit = fresh.filter((e) => fits(e, s.query));
      if (s.query.events !== '0') s.send('events', { events: fit, skipped: 0, lost: 0, newest: this.log.at(-1).seq }, this.log.at(-1).seq);
    }
  }
}

const glob = (pattern) => new RegExp(`^${pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '.*').replace(/\?/g, '.')}$`, 'i');
const fits = (e, q) =>
  (!q.app || e.app === q.app) && (!q.kind || q.kind.split(',').includes(e.kind)) && (!q.user || e.user === q.user) && (!q.session || e.session === q.session) &&
  (!q.channel || glob(q.channel).test(e.channel ?? '')) && (!q.event || glob(q.event).test(e.event ?? '')) &&
  (!q.q || JSON.stringify([e.channel, e.event, e.data, e.reason, e.text]).toLowerCase().includes(q.q.toLowerCase()));

const bad = (status, code, message) => Object.assign(new Error(message), { status, code });

/** page cuts a list as the server does. */
function page(items, { limit = 50, next = 0 }) {
  const from = Number(next);
  const to = from + Math.min(200, Number(limit));
  return { items: items.slice(from, to), ...(to < items.length && { next: String(to) }) };
}

const sorted = (items, sort, value) => {
  const down = sort?.startsWith('-');
  const key = sort?.replace('-', '');
  return [...items].sort((a, b) => (value(a, key) < value(b, key) ? -1 : 1) * (down ? -1 : 1));
};

function now(fake) {
  const { quiet, storeDown, still } = fake.options;
  const r = dice(3);
  const at = still ? noon : Date.now();
  const hostileNames = fake.options.names ?? [];
  return {
    at,
    figures: figures(60, r, quiet),
    totals: quiet ? { published: 0, delivered: 0, connected: 0, refused: 0, slowSessions: 0 } : { published: 1_284_220, delivered: 94_118_332, connected: 81_220, refused: 1904, slowSessions: 12 },
    refusals: quiet ? [] : [
      { what: 'subscribe', reason: 'wrong signature', count: 1204, lastAt: at - 4000 }, { what: 'connect', reason: 'origin not allowed', count: 412, lastAt: at - 65_000 },
      { what: 'publish', reason: 'limit: events a second', count: 268, lastAt: at - 340_000 }, { what: 'client-event', reason: 'refused by the program', count: 20, lastAt: at - 7_200_000 },
    ],
    slow: quiet ? [] : [{ at: at - 93_000, app: 'shop', session: '4411.90233', user: 'gus', messages: 1024, bytes: 1_900_000 }, { at: at - 990_000, app: 'shop', session: '7120.11870', messages: 1024, bytes: 804_000 }],
    errors: [
      ...(storeDown ? [{ at: at - 2000, what: 'store', app: 'shop', channel: 'presence-room-1', text: 'append: database is locked', count: 212 }] : []),
      ...(quiet ? [] : [{ at: at - 3_720_000, what: 'webhook', app: 'shop', text: 'backend.example answered 503', count: 3 }]),
      ...hostileNames.map((n) => ({ at, what: 'hook', app: 'shop', channel: n, text: n, count: 1 })),
    ],
    store: storeDown ? { ok: false, lastError: { at: at - 2000, op: 'append', text: 'database is locked' } } : { ok: true },
    console: { viewers: 1, armed: 0, droppedEvents: 0, notRecorded: 0 },
  };
}

function channelList(fake) {
  const { quiet, channels, names = [] } = fake.options;
  if (quiet) return [];
  fake.channels ??= [
    ...names.map((name, i) => ({ app: 'shop', name, kind: kindOf(name), cache: false, subscribers: 3 + i, inProcess: 0 })),
    ...rooms.map((name, i) => ({ app: 'shop', name, kind: kindOf(name), cache: name.startsWith('cache-'), subscribers: 2400 - 270 * i, inProcess: i === 3 ? 1 : 0, ...(name.startsWith('presence-') && { rule: 'presence-room-*' }) })),
    ...Array.from({ length: channels ?? 32 }, (_, i) => ({ app: 'shop', name: `private-user-${String(i + 1).padStart(channels ? 6 : 1, '0')}`, kind: 'private', cache: false, subscribers: 1 + ((i * 7) % 5), inProcess: 0, rule: 'private-user-*' })),
  ];
  return fake.channels;
}

function sessionList(fake) {
  const { quiet, names = [] } = fake.options;
  if (quiet) return [];
  const r = dice(11);
  fake.sessions ??= Array.from({ length: 240 }, (_, i) => ({
    app: 'shop', id: i === 0 ? '1234.5678' : `${1000 + Math.floor(r() * 9000)}.${10_000 + Math.floor(r() * 90_000)}`, ip: `203.0.113.${1 + (i % 250)}`,
    ...(i % 5 !== 4 && { user: names[i] ?? users[i % users.length] }), since: noon - Math.floor(8e6 * r() ** 3) - 3000, transport: ['websocket', 'websocket', 'websocket', 'xhr_streaming', 'sse'][i % 5], secure: true,
    queue: i === 0 ? { messages: 3, bytes: 2120, messageLimit: 1024, byteLimit: 4_194_304 } : i === 3 ? { messages: 871, bytes: 2_800_000, messageLimit: 1024, byteLimit: 4_194_304 } : { messages: 0, bytes: 0, messageLimit: 1024, byteLimit: 4_194_304 },
    channels: 1 + (i % 6), lastReceived: noon - 2000 - i * 10,
  }));
  return fake.sessions;
}

const rule = { pattern: 'presence-room-*', historyEvents: 100, historyAgeMs: 86_400_000, rewind: 50, reach: 100, publishers: 'members', leaveGraceMs: 2000, maxMembers: 200, maxSubscribers: 0, cacheTtlMs: 0 };

function trace(fake, q) {
  const wanted = fake.options.trace ?? 'yes';
  const e = fake.log.find((x) => x.id === q.event || String(x.seq) === q.seq) ?? fake.log.find((x) => x.kind === 'publish') ?? { at: noon, event: 'message', channel: q.channel };
  const known = { id: e.id, seq: e.seq, at: e.at, name: e.event, channel: e.channel ?? q.channel, size: e.size, position: e.position };
  const common = [
    { at: e.at, afterMs: 0, step: 'accepted', verdict: 'ok', text: 'came in by the HTTP API from 198.51.100.7' },
    { afterMs: 0.4, step: 'stored', verdict: 'ok', text: 'kept at 3:9001', tookMs: 0.3 },
    { afterMs: 0.5, step: 'handed-out', verdict: 'ok', text: 'to 3 sessions' },
  ];
  const got = (session, user, after) => ({ session, user, verdict: 'got', reason: 'written', text: 'written to its socket', steps: [
    { step: 'subscribed', verdict: 'ok', text: 'since 11:41:07' }, { afterMs: 0.6, step: 'queued', verdict: 'ok', text: 'behind 2 others', tookMs: after - 0.6 }, { afterMs: after, step: 'written', verdict: 'ok', text: '231 bytes in one write with 2 others' }] });
  const notGot = { session: '7781.20514', user: 'dee', verdict: 'not-got', reason: 'excluded', text: 'excluded by the publisher', steps: [
    { step: 'subscribed', verdict: 'ok', text: 'since 11:52:40' }, { afterMs: 0.5, step: 'excluded', verdict: 'stop', text: 'the publish named this session as the one to leave out' }] };
  const base = { event: known, question: q, notRecorded: [], armedSince: noon - 600_000, moreSessions: 0, got: 0 };
  if (wanted === 'unknown') {
    return { ...base, armedSince: undefined, verdict: 'unknown', reason: 'not-recorded', text: 'The event was published and handed out to 214 sessions. Which, is not known.', common: [common[0], { step: 'handed-out', verdict: 'unknown', text: 'to 214 sessions' }], sessions: [], notRecorded: [{ what: 'Who got it', why: 'nothing was armed for this channel or session when it was published' }, { what: 'Socket writes', why: 'they are recorded only for what is armed' }] };
  }
  if (q.session || q.user) {
    const way = wanted === 'no' ? notGot : got(q.session || '1234.5678', q.user || 'ann', 2.1);
    return { ...base, verdict: way.verdict, reason: way.reason, text: wanted === 'no' ? 'It was excluded by the publisher.' : 'It was written to its socket 2.1 ms after the publish.', common, sessions: [way], got: wanted === 'no' ? 0 : 1 };
  }
  return { ...base, verdict: 'partly', reason: 'excluded', text: '3 of 4 sessions got it, the last after 12 ms.', common, sessions: [got('1234.5678', 'ann', 2.1), got('2210.77120', 'bob', 2.2), got('9018.33411', 'cy', 12.4), notGot], got: 3 };
}

function webhookList(fake) {
  const mode = fake.options.webhooks ?? (fake.options.quiet ? 'none' : 'some');
  if (mode === 'none') return [];
  return Array.from({ length: 60 }, (_, i) => {
    const state = mode === 'failing' ? (i < 4 ? 'retrying' : i < 12 ? 'failed' : 'delivered') : i === 0 ? 'retrying' : 'delivered';
    const at = noon - i * 17_000;
    const miss = (n) => ({ at: at - n * 1000, ...(n === 1 ? { tookMs: 10_000, error: 'no answer within 10 s' } : { status: 503, tookMs: 18.4 }) });
    return {
      id: `wh-${9000 - i}`, app: 'shop', url: 'https://backend.example/hooks/carillon', events: [['channel_occupied'], ['member_added', 'member_removed'], ['client_event']][i % 3], channels: [rooms[i % rooms.length]], size: 180 + i, state, firstAt: at - 3000, lastAt: at,
      attempts: state === 'delivered' ? [{ at, status: 200, tookMs: 11 + i }] : [miss(2), miss(1), miss(0)], body: '{"time_ms":1764000000000,"events":[{"name":"channel_occupied","channel":"presence-room-1"}]}', canResend: i !== 5,
    };
  });
}

const answers = {
  'GET info': ({ options }) => ({
    version: 'v0.1.0', goVersion: 'go1.26.0', started: options.started ?? noon - 93_600_000,
    apps: [{ id: 'shop', name: 'Shop', sessions: 240, canCurl: true }, { id: 'chat', name: 'Chat', sessions: 12, canCurl: false }].slice(0, options.apps ?? 1),
    store: { kind: options.quiet ? 'memory.Store' : 'sqlite.Store', durable: true, shared: false, search: true, amend: true }, redacted: options.redacted ?? [], readOnly: Boolean(options.readOnly),
    limits: { events: 16384, webhooks: 1000, armed: 16, viewers: 16 },
  }),
  'GET now': (fake) => now(fake),
  'GET series': ({ options }, { step }) => {
    const r = dice(5);
    const n = options.quiet ? 20 : step === '60' ? 60 : 61;
    const end = options.still ? noon : Date.now();
    return { step: Number(step), points: Array.from({ length: n }, (_, i) => ({ at: end - (n - 1 - i) * 1000 * Number(step), ...figures(i, r, options.quiet) })) };
  },
  'GET channels': (fake, q) => {
    const pattern = q.q && glob(/[*?]/.test(q.q) ? q.q : `*${q.q}*`);
    const all = sorted(channelList(fake).filter((c) => (!pattern || pattern.test(c.name)) && (!q.kind || c.kind === q.kind) && (!q.app || c.app === q.app)), q.sort, (c, key) => c[key]);
    return { total: all.length, ...page(all, q) };
  },
  'GET channel': (fake, { app, name }) => {
    const c = channelList(fake).find((x) => x.name === name);
    const presence = kindOf(name) === 'presence';
    return {
      app, name, kind: kindOf(name), cache: false, occupied: Boolean(c), subscribers: c?.subscribers ?? 0, inProcess: c?.inProcess ?? 0, memberCount: presence ? users.length : 0,
      rule: presence ? rule : { ...rule, pattern: '', historyEvents: 0, historyAgeMs: 0, rewind: 0, leaveGraceMs: 0, maxMembers: 0 }, kept: presence, ...(presence && { position: '3:9260' }),
      sessions: sessionList(fake).slice(0, 40).map(({ id, user, ip, since }) => ({ id, user, ip, since })), moreSessions: 12,
      members: presence ? [...(fake.options.names ?? []), ...users].map((id) => ({ id, info: { name: id, role: 'member' } })) : [], moreMembers: 0,
    };
  },
  'GET channel/history': (fake, { q, before }) => {
    const all = fake.log.filter((e) => e.kind === 'publish' && (!q || e.data.includes(q))).reverse();
    const from = before ? Number(before) : 0;
    return {
      events: all.slice(from, from + 30).map((e, i) => ({ id: e.id, position: e.position ?? '3:1', time: e.at, name: e.event, size: e.size, data: e.data, json: true, user: e.user, session: e.session, version: i === 2 ? 3 : 1, retracted: false, encrypted: false })),
      ...(from + 30 < all.length && { next: String(from + 30) }), search: true,
    };
  },
  'DELETE channel/history': () => ({ ok: true }),
  'GET sessions': (fake, q) => {
    const all = sorted(sessionList(fake).filter((s) => (!q.q || JSON.stringify([s.id, s.ip, s.user]).includes(q.q)) && (!q.user || s.user === q.user) && (!q.transport || s.transport === q.transport)), q.sort, (s, key) => (key === 'queue' ? s.queue.bytes : s[key]));
    return { total: all.length, ...page(all, q) };
  },
  'GET session': (fake, { id }) => {
    const s = sessionList(fake).find((x) => x.id === id);
    if (!s) throw bad(404, 'not_found', 'There is no such session.');
    return { ...s, userInfo: { name: 'Ann Lee', role: 'admin' }, watchlist: 3, subscriptions: rooms.slice(0, 5).map((channel) => ({ channel, kind: kindOf(channel), since: s.since, ...(kindOf(channel) === 'presence' && { member: s.user }) })), moreSubscriptions: 0 };
  },
  'POST session/close': (fake, _, { id }) => ((fake.sessions = sessionList(fake).filter((s) => s.id !== id)), { ok: true }),
  'POST user/terminate': (fake, _, { user }) => {
    const before = sessionList(fake).length;
    fake.sessions = fake.sessions.filter((s) => s.user !== user);
    return { sessions: before - fake.sessions.length };
  },
  'GET events': (fake, q) => {
    const all = fake.log.filter((e) => fits(e, q) && (!q.before || e.seq < Number(q.before))).reverse();
    const limit = Number(q.limit ?? 50);
    return { events: all.slice(0, limit), oldest: fake.log[0]?.seq ?? 0, newest: fake.log.at(-1)?.seq ?? 0, dropped: 0, notRecorded: 0, ...(all.length > limit && { next: String(all[limit - 1].seq) }) };
  },
  'POST publish': (fake, _, { channel, event, data }) => {
    if (!channel) throw bad(400, 'bad_request', 'Which channel?');
    if (channel === 'private-encrypted-x') return { refused: { code: 'invalid', reason: 'invalid', text: 'The data of an encrypted channel has to be encrypted.' } };
    const e = { seq: (fake.log.at(-1)?.seq ?? 0) + 1, at: noon, app: 'shop', kind: 'publish', channel, event, id: '01JDNEW', position: '3:9261', size: data.length, data, subscribers: 4, text: `published to ${channel}` };
    fake.log.push(e);
    return { id: e.id, seq: e.seq, position: e.position };
  },
  'POST curl': (_, __, { channel }) => ({ curl: `curl -d '{"channel":"${channel}"}' 'http://127.0.0.1/apps/shop/events?auth_signature=…'` }),
  'GET armed': (fake) => ({ armed: fake.armed, limit: 16 }),
  'POST arm': (fake, _, { app, channel, session, user }) => {
    const a = { id: `a${fake.armed.length + 1}`, app, channel, session, user, since: noon, until: noon + 900_000, events: 0, forgotten: 0, steps: 0 };
    fake.armed.push(a);
    return a;
  },
  'DELETE arm': (fake, { id }) => ((fake.armed = fake.armed.filter((a) => a.id !== id)), { ok: true }),
  'GET trace': (fake, q) => trace(fake, q),
  'GET webhooks': (fake, q) => {
    const all = webhookList(fake).filter((w) => !q.state || w.state === q.state);
    const failing = fake.options.webhooks === 'failing';
    return { ...page(all, q), stats: fake.options.quiet ? { delivered: 0, retried: 0, dropped: 0 } : { delivered: 8120, retried: failing ? 214 : 3, dropped: failing ? 8 : 0 }, kept: all.length, dropped: 0 };
  },
  'POST webhook/resend': ({ options }) => (options.webhooks === 'failing' ? { ok: false, status: 503, tookMs: 18, error: 'The receiver answered 503.' } : { ok: true, status: 200, tookMs: 12 }),
};
