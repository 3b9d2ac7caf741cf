import test from 'node:test';
import assert from 'node:assert/strict';
import Echo from 'laravel-echo';
import { World, state, body } from '../lib/world.mjs';
import { Recorder, eventually, within } from '../lib/wait.mjs';

const ann = { id: 1, user_info: { id: 1, name: 'Ann' } };
const bob = { id: 2, user_info: { id: 2, name: 'Bob' } };

/** echo is Laravel Echo over a pusher-js that has connected. */
async function echo(world, user, options) {
  const client = await world.connected({ user, ...options });
  return new Echo({ broadcaster: 'pusher', client, key: 'app-key', withoutInterceptors: true });
}

const ready = (channel) =>
  within(
    new Promise((resolve) => (channel.subscription.subscribed ? resolve() : channel.subscribed(resolve))),
    `${channel.name} to be subscribed`,
  );

const listening = (channel, ...events) => {
  const heard = new Recorder();
  for (const event of events) channel.listen(event, (data) => heard.push({ event, data }));
  return heard;
};

test('events of Laravel arrive on public and private channels', async (t) => {
  const world = await World.start(t);
  const one = await echo(world, ann);
  for (const channel of [one.channel('orders'), one.private('orders')]) {
    const heard = listening(channel, 'OrderShipped', '.order.shipped', '\\App\\Other');
    await ready(channel);
    await world.backend().trigger(channel.name, 'App\\Events\\OrderShipped', { id: 7 });
    await world.backend().trigger(channel.name, 'order.shipped', { id: 8 });
    await world.backend().trigger(channel.name, 'App\\Other', { id: 9 });
    assert.deepEqual((await heard.next((e) => e.event === 'OrderShipped')).data, { id: 7 });
    assert.deepEqual((await heard.next((e) => e.event === '.order.shipped')).data, { id: 8 });
    assert.deepEqual((await heard.next((e) => e.event === '\\App\\Other')).data, { id: 9 });
  }
});

test('events arrive on encrypted channels', async (t) => {
  const world = await World.start(t);
  const backend = world.backend({ encryptionMasterKeyBase64: Buffer.alloc(32, 5).toString('base64') });
  const channel = (await echo(world, ann, { backend })).encryptedPrivate('orders');
  const heard = listening(channel, 'OrderShipped');
  await ready(channel);
  await backend.trigger('private-encrypted-orders', 'App\\Events\\OrderShipped', { id: 7 });
  assert.deepEqual((await heard.next()).data, { id: 7 });
});

test('a listener that stops hears nothing more, and listenToAll hears all', async (t) => {
  const world = await World.start(t);
  const channel = (await echo(world)).channel('orders');
  const heard = listening(channel, 'One', 'Two');
  const all = new Recorder();
  channel.listenToAll((event, data) => all.push({ event, data }));
  await ready(channel);
  channel.stopListening('One');
  await world.backend().trigger('orders', 'App\\Events\\One', {});
  await world.backend().trigger('orders', 'App\\Events\\Two', {});
  await heard.next((e) => e.event === 'Two');
  assert.deepEqual(heard.all.map((e) => e.event), ['Two']);
  assert.deepEqual(all.all.map((e) => e.event), ['One', 'Two']);
});

test('who joins sees who is here, and the others see it joining and leaving', async (t) => {
  const world = await World.start(t);
  const seen = new Recorder();
  const one = (await echo(world, ann)).join('room');
  one
    .here((users) => seen.push(['here', users]))
    .joining((user) => seen.push(['joining', user]))
    .leaving((user) => seen.push(['leaving', user]));
  assert.deepEqual(await seen.next(), ['here', [{ id: 1, name: 'Ann' }]]);

  const two = await echo(world, bob);
  const here = await within(new Promise((resolve) => two.join('room').here(resolve)), 'here');
  assert.deepEqual(here.map((u) => u.name).sort(), ['Ann', 'Bob']);
  assert.deepEqual(await seen.next(), ['joining', { id: 2, name: 'Bob' }]);
  two.leave('room');
  assert.deepEqual(await seen.next(), ['leaving', { id: 2, name: 'Bob' }]);
});

for (const kind of ['private', 'join']) {
  test(`whispers on ${kind} reach the others and not the one who whispers`, async (t) => {
    const world = await World.start(t);
    const [one, two] = [(await echo(world, ann))[kind]('room'), (await echo(world, bob))[kind]('room')];
    const [own, others] = [new Recorder(), new Recorder()];
    one.listenForWhisper('typing', (data) => own.push(data)).listen('.end', () => own.push('end'));
    two.listenForWhisper('typing', (data) => others.push(data));
    await Promise.all([ready(one), ready(two)]);
    one.whisper('typing', { name: 'Ann' });
    assert.deepEqual(await others.next(), { name: 'Ann' });
    await world.backend().trigger(one.name, 'end', {});
    await own.next();
    assert.deepEqual(own.all, ['end']);
  });
}

test('notifications arrive', async (t) => {
  const world = await World.start(t);
  const channel = (await echo(world, ann)).private('App.Models.User.1');
  const heard = new Recorder();
  channel.notification((notification) => heard.push(notification));
  await ready(channel);
  const notification = { id: 'n1', type: 'App\\Notifications\\InvoicePaid', amount: 5 };
  const event = 'Illuminate\\Notifications\\Events\\BroadcastNotificationCreated';
  await world.backend().trigger('private-App.Models.User.1', event, notification);
  assert.deepEqual(await heard.next(), notification);
});

test('toOthers leaves out the one whose socket ID it is', async (t) => {
  const world = await World.start(t);
  const [sender, receiver] = [await echo(world, ann), await echo(world, bob)];
  assert.match(sender.socketId(), /^\d+\.\d+$/);
  const [one, two] = [sender.private('orders'), receiver.private('orders')];
  const [own, others] = [listening(one, 'Placed', 'End'), listening(two, 'Placed', 'End')];
  await Promise.all([ready(one), ready(two)]);
  await world.backend().trigger('private-orders', 'App\\Events\\Placed', {}, { socket_id: sender.socketId() });
  await world.backend().trigger('private-orders', 'App\\Events\\End', {});
  await own.next();
  await others.next((e) => e.event === 'End');
  assert.deepEqual(own.all.map((e) => e.event), ['End']);
  assert.deepEqual(others.all.map((e) => e.event), ['Placed', 'End']);
});

test('a subscription that is refused is told', async (t) => {
  const world = await World.start(t);
  const one = await echo(world, ann, { backend: world.backend({ secret: 'wrong' }) });
  const error = await within(new Promise((resolve) => one.private('orders').error(resolve)), 'the error');
  assert.deepEqual([error.type, error.status], ['AuthError', 401]);
});

test('leaving a channel leaves its private and presence sisters', async (t) => {
  const world = await World.start(t);
  const one = await echo(world, ann);
  const channels = [one.channel('x'), one.private('x'), one.join('x'), one.channel('stays')];
  await Promise.all(channels.map(ready));
  one.leave('x');
  await eventually(
    () => body(world.backend().get({ path: '/channels' })),
    ({ channels }) => Object.keys(channels).join() === 'stays',
  );
  one.leaveAllChannels();
  await eventually(
    () => body(world.backend().get({ path: '/channels' })),
    ({ channels }) => Object.keys(channels).length === 0,
  );
});

test('Echo made by its own options connects, and disconnects', async (t) => {
  const world = await World.start(t);
  const client = world.client();
  const one = new Echo({ broadcaster: 'reverb', client, key: 'app-key', withoutInterceptors: true });
  await state(client, 'connected');
  assert.equal(one.connectionStatus(), 'connected');
  one.disconnect();
  await state(client, 'disconnected');
  assert.equal(one.connectionStatus(), 'disconnected');
});
