import test from 'node:test';
import assert from 'node:assert/strict';
import { World, state, subscribe, heard, body, record } from '../lib/world.mjs';
import { Balancer } from '../lib/balancer.mjs';
import { eventually } from '../lib/wait.mjs';

const ann = { id: 'ann', user_info: { name: 'Ann' } };

/** back waits until the channel is subscribed again. */
const back = (channel) => channel.seen.next((e) => e.event === 'pusher:subscription_succeeded', `${channel.name} to be back`);

/** settled is a client with subscriptions of all kinds that is signed in. */
async function settled(world, options) {
  const client = await world.connected({ user: ann, ...options });
  const channels = [];
  for (const name of ['news', 'private-room', 'presence-room']) {
    const channel = client.subscribe(name);
    channel.seen = record(channel);
    await back(channel);
    channels.push(channel);
  }
  client.user.seen = record(client.user);
  client.signin();
  await client.messages.next((m) => m.event === 'pusher_internal:subscription_succeeded' && m.channel?.startsWith('#'));
  return { client, channels };
}

/** whole checks that a client that has come back has lost nothing of what it was. */
async function whole(world, { client, channels }) {
  await state(client, 'connected');
  await Promise.all(channels.map(back));
  await client.messages.next((m) => m.event === 'pusher_internal:subscription_succeeded' && m.channel?.startsWith('#'));
  for (const channel of channels) {
    await world.backend().trigger(channel.name, 'after', { n: 1 });
    assert.deepEqual(await heard(channel, 'after'), { n: 1 });
  }
  assert.deepEqual(channels[2].members.me, { id: 'ann', info: { name: 'Ann' } });
  await world.backend().sendToUser('ann', 'letter', {});
  await client.user.seen.next((e) => e.event === 'letter');
}

test('a server that shuts down sends its clients to the next one at once', async (t) => {
  const world = await World.start(t);
  const balancer = await Balancer.start(t, world.server.port);
  const before = await settled(world, { port: balancer.port });
  const id = before.client.connection.socket_id;
  const raw = world.raw();
  await raw.established();

  const old = await world.replace();
  balancer.to = world.server.port;
  const left = Date.now();
  await old.stop();
  assert.equal((await raw.end()).code, 4200);
  await whole(world, before);
  assert.ok(Date.now() - left < 5000, 'no back-off');
  assert.notEqual(before.client.connection.socket_id, id);
  assert.equal(before.client.states.all.includes('disconnected'), false);
});

test('clients of a server that is started anew on its port come back by themselves', async (t) => {
  const world = await World.start(t);
  const before = await settled(world);
  await world.server.stop();
  await world.restart();
  // pusher-js tries at once, and after a failure again when 15 s are over.
  await state(before.client, 'connected', 40_000);
  await whole(world, before);
});

test('clients of a server that is killed come back by themselves', async (t) => {
  const world = await World.start(t);
  const before = await settled(world);
  await world.server.kill();
  await world.restart();
  await whole(world, before);
});

test('many clients move to the next server, and none is lost', async (t) => {
  const world = await World.start(t);
  const balancer = await Balancer.start(t, world.server.port);
  const clients = await Promise.all(Array.from({ length: 50 }, () => world.connected({ port: balancer.port })));
  const channels = await Promise.all(clients.map((client) => subscribe(client, 'news')));
  const old = await world.replace();
  balancer.to = world.server.port;
  await old.stop();
  await eventually(
    () => body(world.backend().get({ path: '/channels/news', params: { info: 'subscription_count' } })),
    (b) => b.subscription_count === 50,
  );
  await world.backend().trigger('news', 'after', {});
  await Promise.all(channels.map((channel) => heard(channel, 'after')));
});

test('members who go with a killed server are not there on the next', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({ user: ann });
  await subscribe(client, 'presence-room');
  await world.server.kill();
  client.disconnect();
  await world.restart();
  assert.deepEqual(await body(world.backend().get({ path: '/channels/presence-room/users' })), { users: [] });
});
