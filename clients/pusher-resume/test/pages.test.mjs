// History and rewind, frame by frame.

import { afterEach, beforeEach, mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { resume } from '../dist/esm/index.js';
import { Stub } from './lib/stub.mjs';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const at = (n) => `0000000000000000000001:${n}`;
const past = (n, more = {}) => ({ event: 'x', data: JSON.stringify(at(n)), id: `i-${n}`, time: '2026-11-25T21:00:00.123Z', pos: at(n), ...more });
const settled = () => new Promise((resolve) => setImmediate(resolve));

function subscribed({ status = 'fresh', pos = at(17), options } = {}) {
  const pusher = resume(new Stub(), options);
  pusher.connect();
  pusher.subscribe('c');
  pusher.success('c', status, pos);
  pusher.take();
  return pusher;
}

/** answer answers the last request. */
const answer = (pusher, page) => {
  const [event, { id }] = pusher.sent.at(-1);
  assert.equal(event, 'pusher:history');
  pusher.get({ event: 'pusher_internal:history', channel: 'c', data: { id, ...page } });
};
const request = (pusher) => {
  const { id, ...rest } = pusher.sent.at(-1)[1];
  assert.equal(typeof id, 'number');
  return rest;
};

test('the first page ends where live events begin, the others before it', async () => {
  const pusher = subscribed();
  pusher.event('c', at(18));
  pusher.lose();
  pusher.connect();
  pusher.success('c', 'resumed', at(18));
  pusher.event('c', at(19));
  const page = pusher.history('c', { limit: 2 });
  assert.deepEqual(request(pusher), { channel: 'c', limit: 2, until: at(17) }, 'where they began first');
  answer(pusher, { events: [past(17), past(16)], more: true });
  assert.deepEqual(await page, { events: [past(17, { data: at(17) }), past(16, { data: at(16) })], more: true });
  const older = pusher.history('c', { before: at(16) });
  assert.deepEqual(request(pusher), { channel: 'c', before: at(16) });
  answer(pusher, { events: [], more: false });
  assert.deepEqual(await older, { events: [], more: false });
  assert.deepEqual(pusher.take(), [at(18), 'success', ['resumed', 0], at(19)]);
});

test('after a gap the first page ends where it goes on', async () => {
  const pusher = subscribed();
  pusher.lose();
  pusher.connect();
  pusher.success('c', 'gap', at(40));
  void pusher.history('c').catch(() => {});
  assert.deepEqual(request(pusher), { channel: 'c', until: at(40) });
});

test('where the server did not say where it stands, the first page ends before the first live event', async () => {
  const pusher = subscribed({ pos: null });
  void pusher.history('c').catch(() => {});
  assert.deepEqual(request(pusher), { channel: 'c' });
  pusher.event('c', at(5));
  pusher.event('c', at(6));
  void pusher.history('c').catch(() => {});
  assert.deepEqual(request(pusher), { channel: 'c', before: at(5) });
});

test('data that is no JSON, or not a string, is given as it is', async () => {
  const pusher = subscribed();
  const page = pusher.history('c');
  answer(pusher, { events: [past(2, { data: 'plain' }), past(1, { data: { json: 1 }, user_id: 'u' })], more: false });
  const { events } = await page;
  assert.deepEqual(events.map((e) => [e.data, e.user_id]), [['plain', undefined], [{ json: 1 }, 'u']]);
});

test('a refusal rejects with its status', async () => {
  const pusher = subscribed();
  const page = pusher.history('c');
  answer(pusher, { error: 'position lost', status: 404 });
  await assert.rejects(page, { message: 'position lost', status: 404 });
});

test('it rejects where it cannot be answered', async () => {
  const pusher = subscribed();
  await assert.rejects(pusher.history('other'), /no history of other/, 'not subscribed');
  const late = pusher.history('c');
  mock.timers.tick(10_000);
  await assert.rejects(late, /no history of c/, 'lost');
  const lost = pusher.history('c');
  pusher.lose();
  await assert.rejects(pusher.history('c'), /no history of c/, 'no connection');
  pusher.names.clear();
  pusher.connect();
  pusher.names.add('c');
  await assert.rejects(lost, /no history of c/, 'the connection was lost');
  await assert.rejects(pusher.history('c'), /no history of c/, 'not asked for yet on this connection');
  pusher.ask('c');
  pusher.requests();
  await assert.rejects(pusher.history('c'), /no history of c/, 'not answered on this connection');
  pusher.success('c');
  await assert.rejects(pusher.history('c'), /no history of c/, 'answered by a server that does not speak this');
  assert.deepEqual(pusher.requests(), [], 'which hears of nothing');
});

const rewinding = { options: { rewind: (name) => (name === 'c' ? 3 : 0) } };

test('a rewound channel gets the past, then what came meanwhile', async () => {
  const pusher = subscribed(rewinding);
  assert.deepEqual(request(pusher), { channel: 'c', limit: 3, until: at(17) });
  pusher.event('c', at(18));
  pusher.event('c');
  assert.deepEqual(pusher.take(), []);
  answer(pusher, { events: [past(17), past(16, { user_id: 'u' }), past(15, { data: '', retracted: true })], more: true });
  await settled();
  assert.equal(pusher.told.find((m) => m.data === at(16)).user_id, 'u');
  assert.deepEqual(pusher.take(), [at(16), at(17), at(18), null]);
  pusher.event('c', at(19));
  pusher.lose();
  pusher.connect();
  pusher.requests();
  pusher.success('c', 'resumed', at(19), 1);
  pusher.event('c', at(20));
  assert.deepEqual(pusher.take(), [at(19), 'success', ['resumed', 1], at(20)], 'once');
  assert.deepEqual(pusher.requests(), []);
});

test('the first page of a rewound channel ends before what it was rewound to', async () => {
  const pusher = subscribed(rewinding);
  answer(pusher, { events: [past(17), past(16), past(15, { data: '', retracted: true })], more: true });
  await settled();
  void pusher.history('c').catch(() => {});
  assert.deepEqual(request(pusher), { channel: 'c', before: at(15) });
  pusher.lose();
  pusher.connect();
  pusher.success('c', 'resumed', at(17));
  void pusher.history('c').catch(() => {});
  assert.deepEqual(request(pusher), { channel: 'c', before: at(15) });
});

test('a channel whose past is refused, or does not come, says so and goes on without', async () => {
  for (const refuse of [
    (pusher) => answer(pusher, { error: 'forbidden', status: 403 }),
    (pusher) => answer(pusher, { error: 'too many', status: 429 }),
    () => mock.timers.tick(10_000),
  ]) {
    const pusher = subscribed(rewinding);
    pusher.event('c', at(18));
    refuse(pusher);
    await settled();
    assert.deepEqual(pusher.take(), [['gap', 0], at(18)]);
  }
});

test('one that is lost before it was rewound starts anew', async () => {
  const pusher = subscribed(rewinding);
  pusher.event('c', at(18));
  pusher.lose();
  pusher.connect();
  await settled();
  assert.deepEqual(pusher.sent.at(-1)[1].resume, { v: 1, sockets: ['1.1'] });
  pusher.success('c', 'fresh', at(18));
  answer(pusher, { events: [past(18)], more: false });
  await settled();
  assert.deepEqual(pusher.take(), ['success', at(18)]);
});

test('one that is left before it was rewound hears nothing', async () => {
  const pusher = subscribed(rewinding);
  pusher.event('c', at(18));
  pusher.unsubscribe('c');
  pusher.sent.pop();
  answer(pusher, { events: [past(17)], more: false });
  await settled();
  assert.deepEqual(pusher.take(), []);
});

test('channels that nobody rewinds, and those that keep nothing, are not', () => {
  const pusher = subscribed({ ...rewinding, pos: null });
  pusher.requests();
  pusher.subscribe('other');
  pusher.success('other', 'fresh', at(1));
  assert.deepEqual(pusher.requests().map(([event]) => event), ['pusher:subscribe']);
});
