// Subscribing and unsubscribing in every order while the answer is pending. What
// pusher-js thinks at the end and what the server thinks have to be the same.

import test from 'node:test';
import assert from 'node:assert/strict';
import { setImmediate as turn } from 'node:timers/promises';
import { World, body, state, subscribe } from '../lib/world.mjs';
import { eventually } from '../lib/wait.mjs';

const encryptionMasterKeyBase64 = Buffer.alloc(32, 3).toString('base64');
const user = { id: 'ann', user_info: { name: 'Ann' } };
const kinds = ['', 'private-', 'presence-', 'private-encrypted-', 'cache-', 'private-cache-', 'presence-cache-', 'private-encrypted-cache-'];

/** orders are all sequences of subscribing (s) and unsubscribing (u) of up to so many acts. */
function orders(acts) {
  let all = ['s'], last = all;
  while (last[0].length < acts) {
    last = last.flatMap((order) => [`${order}s`, `${order}u`]);
    all = all.concat(last);
  }
  return all;
}

/** perform does what an order says, with something between its acts. */
async function perform(client, channel, order, between) {
  for (const act of order) {
    if (act === 's') client.subscribe(channel);
    else client.unsubscribe(channel);
    await between?.();
  }
}

/** settled waits until nothing is pending: a cancelled subscription ends once it is answered. */
const settled = (client, channels) =>
  eventually(
    () => channels.filter((name) => client.channel(name)?.subscriptionPending),
    (pending) => pending.length === 0,
    'every subscription to be answered',
  );

/** check compares what a client has with what its last acts ask for, and with what the server has. */
async function check(world, client, sdk, orderOf) {
  const channels = [...orderOf.keys()];
  const wanted = channels.filter((name) => orderOf.get(name).endsWith('s')).sort();
  await settled(client, channels);
  assert.deepEqual(channels.filter((name) => client.channel(name)?.subscribed).sort(), wanted);
  assert.deepEqual(client.allChannels().map((c) => c.name).filter((name) => orderOf.has(name)).sort(), wanted,
    'pusher-js forgets what is unsubscribed');

  // The connection keeps order: what it says on the barrier comes after all before it.
  const barrier = await subscribe(client, 'barrier');
  const { channels: occupied } = await body(sdk.get({ path: '/channels', params: {} }));
  assert.deepEqual(Object.keys(occupied).filter((name) => orderOf.has(name)).sort(), wanted);

  for (let i = 0; i < channels.length; i += 10) {
    await sdk.triggerBatch(channels.slice(i, i + 10).map((channel) => ({ channel, name: 'probe', data: { channel } })));
  }
  await sdk.trigger('barrier', 'end', {});
  await barrier.seen.next((e) => e.event === 'end');
  const got = client.messages.all.filter((m) => m.event === 'probe').map((m) => m.channel).sort();
  assert.deepEqual(got, wanted, 'one probe for each subscription');
}

for (const [when, options, between] of [
  ['before it has connected', { connecting: true }],
  ['at once', {}],
  ['a turn apart', {}, turn],
  ['as the server answers', { answered: true }],
]) {
  test(`every order of subscribing and unsubscribing, ${when}`, async (t) => {
    const world = await World.start(t);
    const sdk = world.backend({ encryptionMasterKeyBase64 });
    const client = world.client({ user, backend: sdk });
    if (!options.connecting) await state(client, 'connected');
    const orderOf = new Map();
    for (const kind of kinds) for (const order of orders(4)) orderOf.set(`${kind}${order}`, order);
    await Promise.all([...orderOf].map(([channel, order]) => {
      // An act that waits for the answer to the one before, if it had one.
      const answer = () => settled(client, [channel]);
      return perform(client, channel, order, options.answered ? answer : between);
    }));
    await state(client, 'connected');
    await check(world, client, sdk, orderOf);
  });
}

test('a second life: every order again on the same names, after a reconnect', async (t) => {
  const world = await World.start(t);
  const sdk = world.backend({ encryptionMasterKeyBase64 });
  const client = await world.connected({ user, backend: sdk });
  const orderOf = new Map();
  for (const kind of kinds) for (const order of orders(3)) orderOf.set(`${kind}${order}`, order);
  for (const [channel, order] of orderOf) await perform(client, channel, order);
  // While answers are pending the connection goes and comes back.
  client.disconnect();
  for (const [channel, order] of orderOf) await perform(client, channel, order);
  client.connect();
  await state(client, 'connected');
  await check(world, client, sdk, orderOf);
});

test('members are counted once, whatever the order', async (t) => {
  const world = await World.start(t);
  const [ann, bob] = [await world.connected({ user }), await world.connected({ user: { id: 'bob' } })];
  for (const order of orders(4)) {
    const channel = `presence-${order}`;
    const watched = await subscribe(bob, channel);
    await perform(ann, channel, order, order.length % 2 ? turn : undefined);
    await settled(ann, [channel]);
    const members = order.endsWith('s') ? ['ann', 'bob'] : ['bob'];
    await eventually(() => Object.keys(watched.members.members).sort(), (ids) => ids.join() === members.join(), `${channel} to have ${members}`);
    const { users } = await body(world.backend().get({ path: `/channels/${channel}/users` }));
    assert.deepEqual(users.map((u) => u.id).sort(), members, order);
  }
});

test('who cancels while the answer is pending hears of no success', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({ user, backend: world.backend({ encryptionMasterKeyBase64 }) });
  for (const kind of kinds) {
    const heard = [];
    const channel = client.subscribe(`${kind}x`);
    channel.bind_global((event) => heard.push(event));
    client.unsubscribe(`${kind}x`);
    await settled(client, [`${kind}x`]);
    assert.deepEqual(heard.filter((event) => !event.startsWith('pusher:cache_miss')), [], kind);
  }
});
