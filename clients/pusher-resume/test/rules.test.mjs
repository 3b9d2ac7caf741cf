// Every rule of the wire, frame by frame.

import { afterEach, beforeEach, mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { resume } from '../dist/esm/index.js';
import { Stub } from './lib/stub.mjs';

beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => mock.timers.reset());

const epoch = '0000000000000000000001';
const later = '0000000000000000000002';
const at = (n, e = epoch) => `${e}:${n}`;

/** subscribed is a client that was answered. */
function subscribed(status = 'fresh', pos = at(17), options) {
  const pusher = resume(new Stub(), options);
  pusher.connect();
  pusher.subscribe('c');
  pusher.success('c', status, pos ?? undefined);
  pusher.take();
  pusher.requests();
  return pusher;
}

const asked = (pusher) => pusher.requests().map(([event, data]) => [event, data.resume]);
const ask = (after, ...sockets) => [['pusher:subscribe', { v: 1, ...(after && { after }), sockets }]];

test('a first subscribe asks for positions and says nothing else', () => {
  const pusher = resume(new Stub());
  pusher.connect();
  pusher.subscribe('c');
  assert.deepEqual(pusher.requests(), [
    ['pusher:subscribe', { auth: 'key:signature', channel: 'c', resume: { v: 1, sockets: [] } }],
  ]);
  pusher.success('c', 'fresh', at(17));
  assert.deepEqual(pusher.take(), ['success'], 'the first one is silent');
});

test('what was missed comes once, after it was told', () => {
  const pusher = subscribed();
  pusher.event('c', at(18));
  pusher.lose();
  pusher.connect();
  assert.deepEqual(asked(pusher), ask(at(18), '1.1'));
  pusher.success('c', 'resumed', at(18), 2);
  pusher.event('c', at(19));
  pusher.event('c', at(20));
  pusher.event('c', at(21));
  assert.deepEqual(pusher.take(), [at(18), 'success', ['resumed', 2], at(19), at(20), at(21)]);
});

for (const [name, status, told] of [
  ['a gap', 'gap', ['gap', 0]],
  ['a fresh start of a channel that was there before', 'fresh', ['gap', 0]],
  ['no answer any more', undefined, ['gap', 0]],
]) {
  test(`${name} is told`, () => {
    const pusher = subscribed();
    pusher.lose();
    pusher.connect();
    pusher.success('c', status, status && at(40));
    pusher.event('c', status && at(41));
    assert.deepEqual(pusher.take(), ['success', told, status ? at(41) : null]);
    pusher.lose();
    pusher.connect();
    assert.deepEqual(asked(pusher).at(-1)[1].after, status && at(41), 'it goes on from there');
  });
}

test('a channel that keeps nothing is a gap each time, and what has no position passes', () => {
  const pusher = subscribed('fresh', null);
  pusher.event('c');
  pusher.lose();
  pusher.connect();
  assert.deepEqual(asked(pusher), ask(undefined, '1.1'));
  pusher.success('c', 'fresh');
  pusher.event('c');
  assert.deepEqual(pusher.take(), [null, 'success', ['gap', 0], null]);
});

for (const [name, last, frame, want] of [
  ['the next offset', at(17), { pos: at(18) }, 'next'],
  ['past 2^53', at('9007199254740993'), { pos: at('9007199254740994') }, 'next'],
  ['a hole past 2^53', at('9007199254740992'), { pos: at('9007199254740994') }, 'hole'],
  ['more digits', at(99), { pos: at(100) }, 'next'],
  ['the largest offset', at('18446744073709551614'), { pos: at('18446744073709551615') }, 'next'],
  ['the first of all', at(0), { pos: at(1) }, 'next'],
  ['a hole in a store that has them, named', at(17), { pos: at(20), prev: at(17) }, 'next'],
  ['a named one that is missing', at(17), { pos: at(20), prev: at(18) }, 'hole'],
  ['a new epoch, named', at(17), { pos: at(1, later), prev: at(17) }, 'next'],
  ['the first of an epoch that was known before', at(0, later), { pos: at(1, later), prev: at(17) }, 'next'],
  ['not the first of the epoch', at(0, later), { pos: at(7, later), prev: at(5, later) }, 'hole'],
  ['a new epoch, another one missing', at(16), { pos: at(1, later), prev: at(17) }, 'hole'],
  ['a new epoch, unnamed', at(17), { pos: at(18, later) }, 'hole'],
  ['one missing', at(17), { pos: at(19) }, 'hole'],
  ['the same again', at(17), { pos: at(17) }, 'duplicate'],
  ['an earlier one', at(17), { pos: at(9) }, 'duplicate'],
  ['an earlier one with fewer digits', at(100), { pos: at(99) }, 'duplicate'],
  ['one of an epoch before', at(0, later), { pos: at(30) }, 'duplicate'],
  ['any, where nobody knows the place', null, { pos: at(30) }, 'next'],
]) {
  test(`order: ${name}`, () => {
    const pusher = subscribed('fresh', last);
    pusher.event('c', frame.pos, frame);
    assert.deepEqual(pusher.take(), want === 'next' ? [frame.pos] : []);
    assert.deepEqual(asked(pusher), want === 'hole' ? ask(last) : []);
  });
}

test('from a hole on everything is withheld, asked for again, and comes in order', () => {
  const pusher = subscribed();
  pusher.event('c', at(19));
  pusher.event('c', at(20));
  pusher.event('c');
  assert.deepEqual(pusher.requests(), [
    ['pusher:subscribe', { auth: 'key:signature', channel: 'c', resume: { v: 1, after: at(17), sockets: [] } }],
  ], 'once, with the same authorization');
  assert.deepEqual(pusher.take(), [null], 'what is not kept does not come again');
  pusher.success('c', 'resumed', at(17), 3);
  for (const n of [18, 19, 20, 21]) pusher.event('c', at(n));
  assert.deepEqual(pusher.take(), ['success', ['resumed', 3], at(18), at(19), at(20), at(21)]);
});

test('a server that leaves the same hole again and again is told as a gap', () => {
  const pusher = subscribed();
  for (let n = 0; n < 9; n++) {
    pusher.event('c', at(19));
    pusher.success('c', 'resumed', at(17));
  }
  pusher.take();
  assert.equal(pusher.requests().length, 9);
  pusher.event('c', at(19));
  pusher.event('c', at(20));
  assert.deepEqual(pusher.take(), [['gap', 0], at(19), at(20)]);
  assert.deepEqual(pusher.requests(), []);
});

test('positions of events that others get are noted, and seen by nobody', () => {
  const pusher = subscribed();
  const position = (pos, prev) => pusher.get({ event: 'pusher_internal:position', channel: 'c', data: '{}', pos, prev });
  position(at(18));
  pusher.event('c', at(19));
  position(at(23), at(19));
  pusher.event('c', at(24));
  assert.deepEqual(pusher.take(), [at(19), at(24)]);
  assert.deepEqual(pusher.requests(), []);
});

for (const [name, pos, next] of [
  ['that says where it goes on', at(30), at(31)],
  ['that does not', undefined, at(77)],
]) {
  test(`a gap in between ${name}`, () => {
    const pusher = subscribed();
    pusher.get({ event: 'pusher_internal:gap', channel: 'c', data: '{}', pos });
    pusher.event('c', next);
    assert.deepEqual(pusher.take(), [['gap', 0], next]);
    assert.deepEqual(pusher.requests(), []);
  });
}

test('a later name of the same place is taken', () => {
  const pusher = subscribed();
  pusher.lose();
  pusher.connect();
  pusher.success('c', 'resumed', at(0, later));
  pusher.event('c', at(1, later), { prev: at(17) });
  pusher.event('c', at(2, later));
  assert.deepEqual(pusher.take(), ['success', ['resumed', 0], at(1, later), at(2, later)]);
});

test('an earlier socket is named, the newest first and five of them', () => {
  const pusher = subscribed();
  for (let n = 0; n < 7; n++) {
    pusher.lose();
    pusher.connect();
  }
  assert.deepEqual(asked(pusher).at(-1)[1].sockets, ['1.7', '1.6', '1.5', '1.4', '1.3']);
});

test('a request that is lost is sent again until it is answered', () => {
  const pusher = subscribed();
  pusher.event('c', at(19));
  assert.equal(pusher.requests().length, 1);
  mock.timers.tick(10_000);
  assert.deepEqual(asked(pusher), ask(at(17)));
  mock.timers.tick(9_999);
  assert.deepEqual(pusher.requests(), []);
  mock.timers.tick(1);
  assert.equal(pusher.requests().length, 1);
  // Both are answered after all.
  pusher.success('c', 'resumed', at(17), 2);
  pusher.event('c', at(18));
  pusher.event('c', at(19));
  pusher.success('c', 'resumed', at(17), 2);
  for (const n of [18, 19, 20]) pusher.event('c', at(n));
  assert.deepEqual(pusher.take(), ['success', ['resumed', 2], at(18), at(19), 'success', ['resumed', 2], at(20)]);
  mock.timers.tick(1e6);
  assert.deepEqual(pusher.requests(), []);
  // One that is lost with its connection belongs to no other.
  pusher.event('c', at(22));
  pusher.lose();
  pusher.requests();
  pusher.names.clear();
  pusher.connect();
  mock.timers.tick(1e6);
  assert.deepEqual(pusher.requests(), []);
});

for (const [status, again] of [[429, 1], [403, 0]]) {
  test(`a subscription that is refused with ${status} is ${again ? '' : 'not '}asked for again`, () => {
    const pusher = subscribed();
    pusher.lose();
    pusher.connect();
    pusher.requests();
    pusher.get({ event: 'pusher:subscription_error', channel: 'c', data: JSON.stringify({ type: 'LimitReached', error: 'no', status }) });
    assert.deepEqual(pusher.take(), ['subscription_error']);
    mock.timers.tick(10_000);
    assert.equal(pusher.requests().length, again);
  });
}

test('a channel that is refused at first is not asked for again', () => {
  const pusher = subscribed();
  pusher.subscribe('d');
  pusher.requests();
  pusher.get({ event: 'pusher:subscription_error', channel: 'd', data: JSON.stringify({ type: 'AuthError', error: 'no', status: 403 }) });
  mock.timers.tick(1e6);
  assert.deepEqual([pusher.take(), pusher.requests()], [['subscription_error'], []]);
});

test('against a server that does not speak this, nothing but the field is sent', () => {
  const pusher = resume(new Stub());
  pusher.connect();
  pusher.subscribe('c');
  pusher.success('c');
  // Others may use the name for something else.
  pusher.event('c', 'nonsense');
  pusher.event('c', 'nonsense');
  pusher.lose();
  pusher.connect();
  pusher.success('c');
  pusher.event('c');
  mock.timers.tick(1e6);
  assert.deepEqual(pusher.take(), ['success', 'nonsense', 'nonsense', 'success', null]);
  assert.deepEqual(pusher.requests().map(([, data]) => data.resume), [{ v: 1, sockets: [] }, { v: 1, sockets: ['1.1'] }]);
});

test('what is noted stays noted when a callback throws, and the rest still comes', () => {
  const pusher = subscribed();
  pusher.onMessage = ({ event }) => {
    if (event === 'x') throw new Error('of the application');
  };
  pusher.event('c', at(18));
  pusher.event('c', at(19));
  assert.deepEqual(pusher.take(), [at(18), at(19)]);
  assert.throws(() => mock.timers.tick(1), /of the application/, 'it is reported as ever');
  pusher.lose();
  pusher.connect();
  assert.deepEqual(asked(pusher), ask(at(19), '1.1'));
});

test('unsubscribing forgets, disconnecting does not', () => {
  const pusher = subscribed();
  pusher.unsubscribe('c');
  pusher.subscribe('c');
  assert.deepEqual(asked(pusher).at(-1)[1], { v: 1, sockets: [] });
  pusher.event('c', at(18));
  assert.deepEqual(pusher.take(), [at(18)], 'what was on its way passes as ever');
  pusher.success('c', 'fresh', at(18));
  assert.deepEqual(pusher.take(), ['success']);
  pusher.lose();
  pusher.unsubscribe('c');
  pusher.connect();
  pusher.subscribe('c');
  assert.deepEqual(asked(pusher).at(-1)[1], { v: 1, sockets: ['1.1'] });
});

test('who unsubscribes while a hole is being repaired asks no more', () => {
  const pusher = subscribed();
  pusher.event('c', at(19));
  pusher.unsubscribe('c');
  pusher.requests();
  mock.timers.tick(1e6);
  assert.deepEqual(pusher.requests(), []);
});

test('a subscription that is cancelled and wanted again before its answer resumes', () => {
  const pusher = subscribed();
  pusher.lose();
  pusher.connect();
  pusher.pending = true;
  pusher.unsubscribe('c');
  pusher.pending = false;
  pusher.success('c', 'resumed', at(17), 1);
  pusher.event('c', at(18));
  assert.deepEqual(pusher.take(), ['success', ['resumed', 1], at(18)]);
});

test('nothing is told of a channel that is left in its own callback', () => {
  const pusher = subscribed();
  pusher.lose();
  pusher.connect();
  pusher.onMessage = ({ event }) => {
    if (event === 'pusher_internal:subscription_succeeded') pusher.unsubscribe('c');
  };
  pusher.success('c', 'gap', at(40));
  assert.deepEqual(pusher.take(), ['success']);
});

test('a server-to-user channel is told of at the user', () => {
  const pusher = resume(new Stub());
  const name = '#server-to-user-ann';
  pusher.connect();
  pusher.ask(name);
  pusher.success(name, 'fresh', at(1));
  pusher.lose();
  pusher.connect();
  pusher.ask(name);
  pusher.success(name, 'resumed', at(1), 3);
  assert.deepEqual(pusher.user.told, [['pusher:resumed', { missed: 3 }]]);
});

test('messages that came over no connection pass', () => {
  const pusher = subscribed();
  pusher.event('c', at(18));
  pusher.connection.emit('message', { event: 'x', channel: 'c', data: 'made up' });
  assert.deepEqual(pusher.take(), [at(18), 'made up']);
});

test('wrapping twice is harmless, and so is wrapping what is connected', () => {
  const bare = new Stub();
  bare.connect();
  const pusher = resume(bare);
  assert.equal(resume(pusher, { rewind: () => 5 }), pusher);
  pusher.subscribe('c');
  assert.deepEqual(asked(pusher), ask());
  pusher.success('c', 'fresh', at(17));
  pusher.event('c', at(18));
  assert.deepEqual(pusher.take(), ['success', at(18)]);
});
