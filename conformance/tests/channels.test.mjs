import test from 'node:test';
import assert from 'node:assert/strict';
import { World, subscribe, heard, own, body } from '../lib/world.mjs';

const user = { id: 'u1', user_info: { name: 'Ann' } };
const masterKey = Buffer.alloc(32, 7).toString('base64');

for (const name of ['news', 'private-room', 'presence-room', 'privateroom', 'x-private-y', 'presenceroom', 'a_-=@,.;Z9']) {
  test(`an event on ${name} arrives once, as it was sent`, async (t) => {
    const world = await World.start(t);
    const channel = await subscribe(await world.connected({ user }), name);
    const data = { text: 'grüße 🎶 "quoted" \\ \u0001 </script>', list: [1, null, true], nested: { a: 1.5 } };
    await world.backend().trigger(name, 'created', data);
    await world.backend().trigger(name, 'end', 'plain text');
    assert.deepEqual(await heard(channel, 'created'), data);
    assert.equal(await heard(channel, 'end'), 'plain text');
    assert.deepEqual(own(channel), ['created', 'end']);
  });
}

test('the events of one backend arrive in order at every subscriber', async (t) => {
  const world = await World.start(t);
  const channels = await Promise.all(
    [1, 2, 3].map(async () => subscribe(await world.connected(), 'news')),
  );
  const names = Array.from({ length: 100 }, (_, i) => `event-${i}`);
  for (const name of names) await world.backend().trigger('news', name, {});
  for (const channel of channels) {
    await heard(channel, 'event-99');
    assert.deepEqual(own(channel), names);
  }
});

test('events reach subscribers of their channel only', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const [a, b] = await Promise.all([subscribe(client, 'a'), subscribe(client, 'b')]);
  await world.backend().trigger('a', 'for-a', {});
  await world.backend().trigger('b', 'for-b', {});
  await heard(a, 'for-a');
  await heard(b, 'for-b');
  assert.deepEqual(own(a), ['for-a']);
  assert.deepEqual(own(b), ['for-b']);
});

test('events of 10 KB and empty ones arrive', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected(), 'news');
  const large = 'x'.repeat(10 * 1024);
  await world.backend().trigger('news', 'large', large);
  await world.backend().trigger('news', 'empty', '');
  assert.equal(await heard(channel, 'large'), large);
  assert.equal(await heard(channel, 'empty'), '');
});

test('who has unsubscribed hears nothing, and can subscribe again', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const barrier = await subscribe(client, 'barrier');
  const first = await subscribe(client, 'news');
  client.unsubscribe('news');
  client.send_event('pusher:unsubscribe', { channel: 'news' });
  client.send_event('pusher:unsubscribe', { channel: 'never-joined' });
  // The answer to the second subscription says that the server has seen all of it.
  await subscribe(client, 'after');
  await world.backend().trigger('news', 'missed', {});
  await world.backend().trigger('barrier', 'passed', {});
  await heard(barrier, 'passed');
  assert.deepEqual(own(first), []);
  assert.deepEqual(client.errors.all, []);

  const second = await subscribe(client, 'news');
  await world.backend().trigger('news', 'back', {});
  await heard(second, 'back');
});

test('a second subscription is an error that harms nothing', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const channel = await subscribe(client, 'news');
  client.send_event('pusher:subscribe', { channel: 'news' });
  const error = await client.errors.next();
  assert.equal(error.type, 'PusherError');
  assert.equal(error.data.code, null);
  assert.match(error.data.message, /^Existing subscription to channel news/);
  await world.backend().trigger('news', 'still', {});
  await heard(channel, 'still');
  assert.deepEqual(own(channel), ['still']);
});

test('data of a subscription may be a string', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  await socket.established();
  socket.send({ event: 'pusher:subscribe', data: JSON.stringify({ channel: 'news' }) });
  const success = await socket.event('pusher_internal:subscription_succeeded');
  assert.deepEqual(success, { event: 'pusher_internal:subscription_succeeded', channel: 'news', data: '{}' });
});

for (const name of ['private-encrypted-room', 'private-encrypted-cache-room']) {
  test(`events of ${name} are sealed on the way and opened by the client`, async (t) => {
    const world = await World.start(t);
    const backend = world.backend({ encryptionMasterKeyBase64: masterKey });
    const client = await world.connected({ backend });
    const channel = await subscribe(client, name);
    await backend.trigger(name, 'secret', { word: 'sesame' });
    assert.deepEqual(await heard(channel, 'secret'), { word: 'sesame' });

    const sealed = await client.messages.next((m) => m.event === 'secret');
    assert.deepEqual(Object.keys(sealed.data).sort(), ['ciphertext', 'nonce']);
  });
}

test('a batch seals what goes to an encrypted channel', async (t) => {
  const world = await World.start(t);
  const backend = world.backend({ encryptionMasterKeyBase64: masterKey });
  const client = await world.connected({ backend });
  const sealed = await subscribe(client, 'private-encrypted-room');
  const open = await subscribe(client, 'news');
  await backend.triggerBatch([
    { channel: 'private-encrypted-room', name: 'secret', data: { n: 1 } },
    { channel: 'news', name: 'open', data: { n: 2 } },
  ]);
  assert.deepEqual(await heard(sealed, 'secret'), { n: 1 });
  assert.deepEqual(await heard(open, 'open'), { n: 2 });
});

test('subscription counts reach subscribers where the app has them', async (t) => {
  const world = await World.start(t, ['-subscription-counts']);
  const first = await subscribe(await world.connected(), 'news');
  assert.deepEqual(await heard(first, 'pusher:subscription_count'), { subscription_count: 1 });
  const other = await world.connected();
  const second = await subscribe(other, 'news');
  assert.deepEqual(await heard(first, 'pusher:subscription_count'), { subscription_count: 2 });
  assert.deepEqual(await heard(second, 'pusher:subscription_count'), { subscription_count: 2 });
  assert.equal(first.subscriptionCount, 2);
  other.disconnect();
  assert.deepEqual(await heard(first, 'pusher:subscription_count'), { subscription_count: 1 });
});

test('presence channels have no subscription counts', async (t) => {
  const world = await World.start(t, ['-subscription-counts']);
  const client = await world.connected({ user });
  const channel = await subscribe(client, 'presence-room');
  await world.backend().trigger('presence-room', 'end', {});
  await heard(channel, 'end');
  assert.equal(channel.seen.all.some((e) => e.event === 'pusher:subscription_count'), false);
});

test('no subscription counts without the app having them', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected(), 'news');
  await world.backend().trigger('news', 'end', {});
  await heard(channel, 'end');
  assert.deepEqual(channel.seen.all.map((e) => e.event), ['pusher:subscription_succeeded', 'end']);
});

test('a rewind gives new subscribers the last events, oldest first, before live ones', async (t) => {
  const world = await World.start(t, ['-history', 'news*=10', '-rewind', '3']);
  for (let i = 1; i <= 5; i++) await world.backend().trigger('news-1', `event-${i}`, { i });
  const channel = await subscribe(await world.connected(), 'news-1');
  await world.backend().trigger('news-1', 'live', {});
  await heard(channel, 'live');
  assert.deepEqual(
    channel.seen.all.map((e) => e.event),
    ['pusher:subscription_succeeded', 'event-3', 'event-4', 'event-5', 'live'],
  );

  const other = await subscribe(await world.connected(), 'other');
  await world.backend().trigger('other', 'live', {});
  await heard(other, 'live');
  assert.deepEqual(own(other), ['live']);
});

test('history without a rewind is not sent to new subscribers', async (t) => {
  const world = await World.start(t, ['-history', 'news=10']);
  await world.backend().trigger('news', 'old', {});
  const channel = await subscribe(await world.connected(), 'news');
  await world.backend().trigger('news', 'live', {});
  await heard(channel, 'live');
  assert.deepEqual(own(channel), ['live']);
});

test('channels are gone with their last subscriber', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  await subscribe(client, 'news');
  assert.deepEqual(await body(world.backend().get({ path: '/channels' })), { channels: { news: {} } });
  client.unsubscribe('news');
  await subscribe(client, 'other');
  assert.deepEqual(await body(world.backend().get({ path: '/channels' })), { channels: { other: {} } });
});
