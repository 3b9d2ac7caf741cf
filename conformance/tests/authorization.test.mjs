import test from 'node:test';
import assert from 'node:assert/strict';
import { Recorder } from '../lib/wait.mjs';
import { World, subscribe, refused, heard, own } from '../lib/world.mjs';

const masterKey = { encryptionMasterKeyBase64: Buffer.alloc(32, 3).toString('base64') };

/** signing is a client whose channels are authorized by a function. */
const signing = (world, authorize) =>
  world.connected({
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => done(null, authorize(socketId, channelName)),
    },
  });

const member = { user_id: 'ann' };

const channels = ['private-x', 'private-cache-x', 'private-encrypted-x', 'presence-x', 'presence-cache-x'];

const data = (channel) => (channel.startsWith('presence-') ? member : undefined);

for (const channel of channels) {
  const wrong = {
    'the wrong secret': (world) => (id, name) =>
      world.backend({ ...masterKey, secret: 'wrong' }).authorizeChannel(id, name, data(name)),
    'the wrong key': (world) => (id, name) =>
      world.backend({ ...masterKey, key: 'other' }).authorizeChannel(id, name, data(name)),
    'another connection': (world) => (id, name) => world.backend(masterKey).authorizeChannel('1.2', name, data(name)),
    'another channel': (world) => (id, name) => world.backend(masterKey).authorizeChannel(id, `${name}y`, data(name)),
    'no signature': (world) => (id, name) => ({
      ...world.backend(masterKey).authorizeChannel(id, name, data(name)),
      auth: '',
    }),
    'a signature that is no signature': (world) => (id, name) => ({
      ...world.backend(masterKey).authorizeChannel(id, name, data(name)),
      auth: 'app-key:zz',
    }),
  };
  for (const [what, authorize] of Object.entries(wrong)) {
    test(`${channel} with ${what} is refused, and the connection goes on`, async (t) => {
      const world = await World.start(t);
      const client = await signing(world, authorize(world));
      const error = await refused(client, channel);
      assert.equal(error.type, 'AuthError');
      assert.equal(error.status, 401);
      assert.equal(typeof error.error, 'string');
      const barrier = await subscribe(client, 'news');
      if (!channel.startsWith('private-encrypted-')) await world.backend().trigger(channel, 'secret', {});
      await world.backend().trigger('news', 'end', {});
      await heard(barrier, 'end');
      assert.equal(client.messages.all.some((m) => m.event === 'secret'), false);
    });
  }
}

test('data of a private channel is signed with it', async (t) => {
  const world = await World.start(t);
  const client = await signing(world, (id, name) => world.backend().authorizeChannel(id, name, { any: 'thing' }));
  await subscribe(client, 'private-x');
  const forged = await signing(world, (id, name) => ({
    ...world.backend().authorizeChannel(id, name, { any: 'thing' }),
    channel_data: '{"any":"other"}',
  }));
  assert.equal((await refused(forged, 'private-x')).status, 401);
});

test('a signature of the channel alone does not do where data is sent', async (t) => {
  const world = await World.start(t);
  const client = await signing(world, (id, name) => ({
    ...world.backend().authorizeChannel(id, name),
    channel_data: JSON.stringify(member),
  }));
  assert.equal((await refused(client, 'presence-x')).status, 401);
});

test('data that is no string is refused on its channel', async (t) => {
  const world = await World.start(t);
  const client = await signing(world, (id, name) => ({
    ...world.backend().authorizeChannel(id, name),
    channel_data: { any: 'thing' },
  }));
  const error = await refused(client, 'private-x');
  assert.equal(error.status, 400);
  assert.match(error.error, /channel_data is not a string/);
  await subscribe(client, 'news');
});

test('what is refused by the page reaches no server', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({
    channelAuthorization: { customHandler: (_, done) => queueMicrotask(() => done(new Error('not you'), null)) },
  });
  const error = await refused(client, 'private-x');
  assert.equal(error.error, 'not you');
});

test('public channels need no signature and ignore one', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  await socket.established();
  socket.send({ event: 'pusher:subscribe', data: { channel: 'news', auth: 'nonsense', channel_data: '{}' } });
  await socket.event('pusher_internal:subscription_succeeded');
});

test('a signature is good for the connection it was made for only', async (t) => {
  const world = await World.start(t);
  const first = await world.connected();
  const stolen = world.backend().authorizeChannel(first.connection.socket_id, 'private-x');
  await subscribe(first, 'private-x');
  const thief = await signing(world, () => stolen);
  assert.equal((await refused(thief, 'private-x')).status, 401);
});

test('a refused subscription can be tried again', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const { auth } = world.backend().authorizeChannel(client.connection.socket_id, 'private-x');
  client.send_event('pusher:subscribe', { channel: 'private-x', auth: 'app-key:bad' });
  await client.messages.next((m) => m.event === 'pusher:subscription_error');
  client.send_event('pusher:subscribe', { channel: 'private-x', auth });
  await client.messages.next((m) => m.event === 'pusher_internal:subscription_succeeded');
});

test('an encrypted channel without the secret gives the client nothing to read', async (t) => {
  const world = await World.start(t);
  const backend = world.backend(masterKey);
  const other = { encryptionMasterKeyBase64: Buffer.alloc(32, 4).toString('base64') };
  const channel = await subscribe(await world.connected({ backend: world.backend(other) }), 'private-encrypted-x');
  const reader = await subscribe(await world.connected({ backend }), 'private-encrypted-x');
  await backend.trigger('private-encrypted-x', 'secret', {});
  await world.backend(other).trigger('private-encrypted-x', 'readable', {});
  await heard(reader, 'secret');
  await heard(channel, 'readable');
  assert.deepEqual(own(channel), ['readable']);
});

test('an authorization that ends is asked for again, with all others, and nothing else happens', async (t) => {
  const world = await World.start(t);
  const asked = new Recorder();
  const names = ['private-x', 'private-encrypted-x', 'presence-x'];
  const client = await signing(world, (id, name) => {
    const first = !asked.all.some((a) => a.name === name);
    asked.push({ id, name });
    const ends = Math.floor(Date.now() / 1000) + (first && name === 'private-x' ? 2 : 3600);
    return world.backend(masterKey).authorizeChannel(id, name, { ...member, auth_expires: ends });
  });
  const channels = await Promise.all(names.map((name) => subscribe(client, name)));
  const before = client.connection.socket_id;
  for (const name of names) await asked.next((a) => a.name === name && a.id !== before);
  for (const channel of [...channels, ...channels])
    await channel.seen.next((e) => e.event === 'pusher:subscription_succeeded');
  await world.backend(masterKey).trigger(['private-x', 'presence-x'], 'after', {});
  await heard(channels[0], 'after');
  await heard(channels[2], 'after');
  assert.equal(client.states.all.includes('unavailable') || client.states.all.includes('disconnected'), false);
  for (const channel of channels)
    assert.equal(channel.seen.all.some((e) => e.event === 'pusher:subscription_error'), false);
});
