import test from 'node:test';
import assert from 'node:assert/strict';
import { World, subscribe, heard, own } from '../lib/world.mjs';

const ann = { id: 'ann', user_info: { name: 'Ann' } };
const bob = { id: 'bob' };

for (const name of ['private-room', 'presence-room', 'private-cache-room', 'presence-cache-room']) {
  test(`a client event on ${name} reaches the others and not its sender`, async (t) => {
    const world = await World.start(t);
    const sender = await subscribe(await world.connected({ user: ann }), name);
    const others = [
      await subscribe(await world.connected({ user: bob }), name),
      await subscribe(await world.connected({ user: ann }), name),
    ];
    assert.equal(sender.trigger('client-typing', { on: true }), true);
    for (const other of others) assert.deepEqual(await heard(other, 'client-typing'), { on: true });
    await world.backend().trigger(name, 'end', {});
    await heard(sender, 'end');
    assert.deepEqual(own(sender), ['end']);
  });
}

test('a client event on a presence channel says who sent it', async (t) => {
  const world = await World.start(t);
  const sender = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const receiver = await subscribe(await world.connected({ user: bob }), 'presence-room');
  const metadata = new Promise((resolve) => receiver.bind('client-typing', (_, m) => resolve(m)));
  sender.trigger('client-typing', { user_id: 'forged' });
  assert.deepEqual(await metadata, { user_id: 'ann' });
});

test('a client event on a private channel says nothing of its sender', async (t) => {
  const world = await World.start(t);
  const sender = await subscribe(await world.connected(), 'private-room');
  const client = await world.connected();
  await subscribe(client, 'private-room');
  sender.trigger('client-typing', {});
  const message = await client.messages.next((m) => m.event === 'client-typing');
  assert.equal(message.user_id, undefined);
});

test('a sender cannot forge the user ID or further fields', async (t) => {
  const world = await World.start(t);
  const receiver = await world.connected({ user: bob });
  await subscribe(receiver, 'presence-room');
  const client = await world.connected({ user: ann });
  await subscribe(client, 'presence-room');
  client.connection.send(
    JSON.stringify({ event: 'client-x', channel: 'presence-room', data: {}, user_id: 'admin', more: 1 }),
  );
  const message = await receiver.messages.next((m) => m.event === 'client-x');
  assert.equal(message.user_id, 'ann');
});

for (const data of ['text', { a: [1, 2] }, [1, 2], 7, true, null, '{"looks":"like JSON"}']) {
  test(`data ${JSON.stringify(data)} is relayed in the shape it came in`, async (t) => {
    const world = await World.start(t);
    const socket = world.raw();
    const { socket_id } = await socket.established();
    const { auth } = world.backend().authorizeChannel(socket_id, 'private-room');
    socket.send({ event: 'pusher:subscribe', data: { channel: 'private-room', auth } });
    await socket.event('pusher_internal:subscription_succeeded');
    const sender = await subscribe(await world.connected(), 'private-room');
    sender.trigger('client-x', data);
    const frame = await socket.event('client-x');
    assert.deepEqual(frame, { event: 'client-x', channel: 'private-room', data });
  });
}

/** rejected sends an event and expects an error with the code, and no event on the channel. */
async function rejected(t, { flags, on = 'private-room', event = 'client-x', data = {}, join = true, code = null, message }) {
  const world = await World.start(t, flags);
  const watcher = await subscribe(await world.connected({ user: bob }), on);
  const client = await world.connected({ user: ann });
  if (join) await subscribe(client, on);
  client.send_event(event, data, on);
  const error = await client.errors.next();
  assert.equal(error.data.code, code);
  assert.match(error.data.message, message);
  await world.backend().trigger(on, 'end', {});
  await heard(watcher, 'end');
  assert.deepEqual(own(watcher), ['end']);
  await subscribe(client, 'goes-on');
}

test('a client event on a public channel is refused', (t) => rejected(t, { on: 'news', message: /./ }));

test('a client event of who is not subscribed is refused', (t) => rejected(t, { join: false, message: /subscribed/ }));

test('a client event where the app has none is refused', (t) =>
  rejected(t, { flags: ['-client-events=false'], message: /client events are not enabled/ }));

test('an event of a client that does not start with client- is refused', (t) =>
  rejected(t, { event: 'typing', message: /client-/ }));

test('an event of the protocol cannot be sent by a client', (t) =>
  rejected(t, { event: 'pusher_internal:member_added', message: /pusher_internal:member_added/ }));

test('an event with no name after client- is refused', (t) => rejected(t, { event: 'client-', message: /name/ }));

test('an event name over 200 characters is refused', (t) =>
  rejected(t, { event: `client-${'x'.repeat(194)}`, message: /event.*201.*200/ }));

test('data over 10 KB is refused', (t) => rejected(t, { data: 'x'.repeat(10 * 1024 + 1), message: /data.*10240/ }));

test('a client event on an encrypted channel is refused', async (t) => {
  const world = await World.start(t);
  const backend = world.backend({ encryptionMasterKeyBase64: Buffer.alloc(32, 1).toString('base64') });
  const client = await world.connected({ backend });
  const channel = await subscribe(client, 'private-encrypted-room');
  assert.throws(() => channel.trigger('client-x', {}));
  client.send_event('client-x', {}, 'private-encrypted-room');
  assert.equal((await client.errors.next()).data.code, null);
});

test('a name of 200 characters is relayed', async (t) => {
  const world = await World.start(t);
  const receiver = await subscribe(await world.connected(), 'private-room');
  const sender = await subscribe(await world.connected(), 'private-room');
  const name = `client-${'x'.repeat(193)}`;
  sender.trigger(name, {});
  await heard(receiver, name);
});

test('the eleventh event in a second is refused with 4301, and the connection goes on', async (t) => {
  const world = await World.start(t);
  const receiver = await subscribe(await world.connected(), 'private-room');
  const client = await world.connected();
  const sender = await subscribe(client, 'private-room');
  for (let i = 0; i < 30; i++) sender.trigger(`client-${i}`, {});
  const error = await client.errors.next();
  assert.equal(error.type, 'PusherError');
  assert.equal(error.data.code, 4301);
  await world.backend().trigger('private-room', 'end', {});
  await heard(receiver, 'end');
  const relayed = own(receiver).length - 1;
  assert.ok(relayed >= 10 && relayed < 30, `${relayed} events were relayed`);
  assert.equal(client.connection.state, 'connected');
});

test('the rate of client events can be set', async (t) => {
  const world = await World.start(t, ['-client-events-per-second', '-1']);
  const receiver = await subscribe(await world.connected(), 'private-room');
  const sender = await subscribe(await world.connected(), 'private-room');
  const names = Array.from({ length: 100 }, (_, i) => `client-${i}`);
  for (const name of names) sender.trigger(name, {});
  await heard(receiver, 'client-99');
  assert.deepEqual(own(receiver), names);
});

test('events of two members keep their senders apart', async (t) => {
  const world = await World.start(t);
  const watcher = await world.connected({ user: { id: 'eve' } });
  await subscribe(watcher, 'presence-room');
  for (const user of [ann, bob]) {
    const channel = await subscribe(await world.connected({ user }), 'presence-room');
    channel.trigger(`client-${user.id}`, {});
    const message = await watcher.messages.next((m) => m.event === `client-${user.id}`);
    assert.equal(message.user_id, user.id);
  }
});

test('client events that are kept stay as they were, whatever comes after them', async (t) => {
  const world = await World.start(t, ['-history', 'private-*=100', '-rewind', '100', '-client-events-per-second', '-1']);
  const sender = await subscribe(await world.connected(), 'private-room');
  const receiver = await subscribe(await world.connected(), 'private-room');
  const sent = Array.from({ length: 50 }, (_, i) => ({ i, text: String.fromCharCode(97 + (i % 26)).repeat(i) }));
  for (const data of sent) sender.trigger('client-kept', data);
  for (const data of sent) assert.deepEqual(await heard(receiver, 'client-kept'), data);
  const late = await subscribe(await world.connected(), 'private-room');
  for (const data of sent) assert.deepEqual(await heard(late, 'client-kept'), data);
});
