// What has to work wherever the server is mounted and however it is reached.

import test from 'node:test';
import assert from 'node:assert/strict';
import Echo from 'laravel-echo';
import { World, state, subscribe, heard, own, body, failure } from './world.mjs';
import { within } from './wait.mjs';

const encryptionMasterKeyBase64 = Buffer.alloc(32, 2).toString('base64');

/** basics declares the tests. backend makes the server SDK for a world. */
export function basics({ flags = [], backend = (world, options) => world.backend(options) }) {
  const start = (t) => World.start(t, flags);

  test('channels of every kind', async (t) => {
    const world = await start(t);
    const sdk = backend(world, { encryptionMasterKeyBase64 });
    const client = await world.connected({ user: { id: 'ann' }, backend: sdk });
    for (const name of ['news', 'private-x', 'private-encrypted-x', 'presence-x', 'cache-x']) {
      const channel = await subscribe(client, name);
      assert.deepEqual(await body(sdk.trigger(name, 'created', { name })), {});
      assert.deepEqual(await heard(channel, 'created'), { name });
    }
  });

  test('batches, exclusion and questions', async (t) => {
    const world = await start(t);
    const sdk = backend(world);
    const [one, two] = [await world.connected({ user: { id: 'ann' } }), await world.connected({ user: { id: 'bob' } })];
    const channels = [await subscribe(one, 'presence-x'), await subscribe(two, 'presence-x')];
    const { socket_id } = one.connection;
    await sdk.triggerBatch([
      { channel: 'presence-x', name: 'others', data: {}, socket_id },
      { channel: 'presence-x', name: 'all', data: {} },
    ]);
    await heard(channels[0], 'all');
    await heard(channels[1], 'all');
    assert.deepEqual(own(channels[0]), ['all']);
    assert.deepEqual(own(channels[1]), ['others', 'all']);

    const params = { filter_by_prefix: 'presence-', info: 'user_count' };
    assert.deepEqual(await body(sdk.get({ path: '/channels', params })), { channels: { 'presence-x': { user_count: 2 } } });
    const { users } = await body(sdk.get({ path: '/channels/presence-x/users' }));
    assert.deepEqual(users.map((u) => u.id).sort(), ['ann', 'bob']);
    const info = { info: 'user_count,subscription_count' };
    assert.deepEqual(await body(sdk.get({ path: '/channels/presence-x', params: info })), {
      occupied: true,
      user_count: 2,
      subscription_count: 2,
    });
  });

  test('sign-in, events for a user, termination', async (t) => {
    const world = await start(t);
    const sdk = backend(world);
    const client = await world.connected({ user: { id: 'ann smith' } });
    client.signin();
    await client.messages.next((m) => m.event === 'pusher_internal:subscription_succeeded');
    await sdk.sendToUser('ann smith', 'letter', { n: 1 });
    assert.deepEqual((await client.messages.next((m) => m.event === 'letter')).data, { n: 1 });
    await sdk.terminateUserConnections('ann smith');
    await state(client, 'disconnected');
  });

  test('client events', async (t) => {
    const world = await start(t);
    const sender = await subscribe(await world.connected(), 'private-x');
    const receiver = await subscribe(await world.connected(), 'private-x');
    sender.trigger('client-typing', { on: true });
    assert.deepEqual(await heard(receiver, 'client-typing'), { on: true });
  });

  test('errors', async (t) => {
    const world = await start(t);
    assert.equal((await failure(backend(world, { secret: 'wrong' }).trigger('news', 'x', {}))).status, 401);
    assert.equal((await failure(backend(world).post({ path: '/events', body: {} }))).status, 400);
    const client = world.client({ key: 'other' });
    await state(client, 'disconnected');
    assert.equal(client.errors.all[0].error.data.code, 4001);
    const socket = world.raw(`${world.server.prefix}/nothing/here?protocol=7`);
    assert.equal((await socket.end()).code, 4005);
  });

  test('Laravel Echo', async (t) => {
    const world = await start(t);
    const client = await world.connected({ user: { id: 'ann', user_info: { name: 'Ann' } } });
    const echo = new Echo({ broadcaster: 'pusher', client, key: 'app-key', withoutInterceptors: true });
    const users = await within(new Promise((resolve) => echo.join('room').here(resolve)), 'who is here');
    assert.deepEqual(users, [{ name: 'Ann' }]);
  });
}
