// The add-on for pusher-js, on a server that is not cut: pages of the past, what a
// channel starts with, and what it is told where nothing is left.

import test from 'node:test';
import assert from 'node:assert/strict';
import { World, heard, own, record, state, subscribe } from '../lib/world.mjs';
import { resume } from '../../clients/pusher-resume/dist/esm/index.js';

const keeping = ['-history', '*=500'];
const encryptionMasterKeyBase64 = Buffer.alloc(32, 3).toString('base64');
const ann = { id: 'ann' };

/** resuming is a client that has connected, and resumes. */
async function resuming(world, options, setup) {
  const client = resume(world.client({ user: ann, ...options }), setup);
  await state(client, 'connected');
  return client;
}

for (const name of ['news', 'private-room', 'presence-room', 'private-encrypted-room']) {
  test(`${name}: pages and live events are all there are, once`, async (t) => {
    const world = await World.start(t, keeping);
    const backend = world.backend({ encryptionMasterKeyBase64 });
    let posted = 0;
    const post = () => backend.trigger(name, 'n', { n: ++posted });
    while (posted < 20) await post();
    let posting = true;
    const posts = (async () => {
      while (posting) await post();
    })();
    const client = await resuming(world, { backend });
    const channel = await subscribe(client, name);
    const past = [];
    for (let before, more = true; more; ) {
      const page = await client.history(name, { before, limit: 7 });
      past.push(...page.events);
      ({ more } = page);
      before = past.at(-1)?.pos;
    }
    assert.ok(past.length >= 20);
    posting = false;
    await posts;
    await channel.seen.next(({ data }) => data?.n === posted, 'the last event');
    const live = channel.seen.all.filter(({ event }) => event === 'n').map(({ data }) => data.n);
    assert.ok(live.length > 0);
    assert.deepEqual([...past.map(({ data }) => data.n).reverse(), ...live], Array.from({ length: posted }, (_, i) => i + 1));
    assert.match(past[0].time, /^\d{4}-\d\d-\d\dT/);
  });
}

test('a channel starts with as much of its past as the page wants, and the rule gives', async (t) => {
  const world = await World.start(t, [...keeping, '-rewind', '2']);
  for (const n of [1, 2, 3, 4, 5, 6]) await world.backend().trigger('news', 'n', n);
  const client = await resuming(world, {}, { rewind: () => 3 });
  const channel = client.subscribe('news');
  channel.seen = record(channel);
  await channel.seen.next(({ data }) => data === 6, 'the last event');
  await world.backend().trigger('news', 'n', 7);
  await channel.seen.next(({ data }) => data === 7, 'a live event');
  assert.deepEqual(channel.seen.all.filter(({ event }) => event === 'n').map(({ data }) => data), [2, 3, 4, 5, 6, 7]);
});

test('what cannot be resumed is a gap, and goes on', async (t) => {
  const world = await World.start(t, keeping);
  const client = await resuming(world);
  const channel = await subscribe(client, 'news');
  await world.backend().trigger('news', 'before', 1);
  await heard(channel, 'before');
  await world.server.kill();
  await world.restart();
  await channel.seen.next(({ event }) => event === 'pusher:gap', 'the gap');
  await world.backend().trigger('news', 'after', 2);
  assert.equal(await heard(channel, 'after'), 2);
});

test('a channel that keeps nothing is a gap each time, and has no pages', async (t) => {
  const world = await World.start(t);
  const client = await resuming(world);
  const channel = await subscribe(client, 'news');
  assert.deepEqual(await client.history('news'), { events: [], more: false });
  for (let n = 0; n < 2; n++) {
    client.disconnect();
    client.connect();
    await channel.seen.next(({ event }) => event === 'pusher:gap', 'the gap');
    await world.backend().trigger('news', 'n', n);
    assert.equal(await heard(channel, 'n'), n);
  }
  assert.deepEqual(own(channel), ['n', 'n']);
});

test('the wire of who does not resume is as ever, beside one who does', async (t) => {
  const world = await World.start(t, keeping);
  const client = await resuming(world);
  await subscribe(client, 'news');
  const raw = world.raw();
  await raw.established();
  raw.send({ event: 'pusher:subscribe', data: { channel: 'news', auth: '' } });
  await raw.event('pusher_internal:subscription_succeeded');
  await world.backend().trigger('news', 'n', {});
  await raw.event('n');
  assert.deepEqual(raw.frames.all.slice(1), [
    { event: 'pusher_internal:subscription_succeeded', channel: 'news', data: '{}' },
    { event: 'n', channel: 'news', data: '{}' },
  ]);
});
