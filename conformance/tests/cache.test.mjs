import test from 'node:test';
import assert from 'node:assert/strict';
import { World, subscribe, heard, own, body } from '../lib/world.mjs';

const user = { id: 'u1' };
const encryptionMasterKeyBase64 = Buffer.alloc(32, 9).toString('base64');

for (const name of ['cache-x', 'private-cache-x', 'private-encrypted-cache-x', 'presence-cache-x']) {
  test(`${name} gives its last event to a new subscriber, right after its success`, async (t) => {
    const world = await World.start(t);
    const backend = world.backend({ encryptionMasterKeyBase64 });
    await backend.trigger(name, 'first', { n: 1 });
    await backend.trigger(name, 'last', { n: 2 });
    const client = await world.connected({ user, backend });
    const channel = await subscribe(client, name);
    await backend.trigger(name, 'live', { n: 3 });
    assert.deepEqual(await heard(channel, 'last'), { n: 2 });
    assert.deepEqual(await heard(channel, 'live'), { n: 3 });
    assert.deepEqual(
      channel.seen.all.map((e) => e.event),
      ['pusher:subscription_succeeded', 'last', 'live'],
    );
  });

  test(`${name} without an event is a cache miss`, async (t) => {
    const world = await World.start(t);
    const backend = world.backend({ encryptionMasterKeyBase64 });
    const channel = await subscribe(await world.connected({ user, backend }), name);
    await heard(channel, 'pusher:cache_miss');
    await backend.trigger(name, 'live', {});
    await heard(channel, 'live');
    assert.deepEqual(
      channel.seen.all.map((e) => e.event),
      ['pusher:subscription_succeeded', 'pusher:cache_miss', 'live'],
    );
  });
}

test('client events are not kept in cache channels', async (t) => {
  const world = await World.start(t);
  const [a, b] = [await world.connected(), await world.connected()];
  const sender = await subscribe(a, 'private-cache-x');
  const receiver = await subscribe(b, 'private-cache-x');
  sender.trigger('client-typing', {});
  await heard(receiver, 'client-typing');
  const late = await subscribe(await world.connected(), 'private-cache-x');
  await heard(late, 'pusher:cache_miss');
  assert.deepEqual(own(late), []);
});

test('other channels keep no event', async (t) => {
  const world = await World.start(t);
  await world.backend().trigger('xcache-x', 'old', {});
  const channel = await subscribe(await world.connected(), 'xcache-x');
  await world.backend().trigger('xcache-x', 'live', {});
  await heard(channel, 'live');
  assert.deepEqual(
    channel.seen.all.map((e) => e.event),
    ['pusher:subscription_succeeded', 'live'],
  );
});

test('a backend can look into the cache', async (t) => {
  const world = await World.start(t);
  const get = () => body(world.backend().get({ path: '/channels/cache-x', params: { info: 'cache' } }));
  assert.deepEqual(await get(), { occupied: false });
  await world.backend().trigger('cache-x', 'last', { n: 1 });
  const { occupied, cache } = await get();
  assert.equal(occupied, false);
  assert.equal(cache.data, '{"n":1}');
  assert.ok(cache.ttl > 0 && cache.ttl <= 1800, `ttl ${cache.ttl}`);
});
