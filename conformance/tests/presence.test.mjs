import test from 'node:test';
import assert from 'node:assert/strict';
import { World, subscribe, refused, heard, own, body } from '../lib/world.mjs';
import { eventually } from '../lib/wait.mjs';

const ann = { id: 'ann', user_info: { name: 'Ann' } };
const bob = { id: 'bob', user_info: { name: 'Bob' } };

const ids = (channel) => Object.keys(channel.members.members).sort();

test('a member sees itself and who was there before', async (t) => {
  const world = await World.start(t);
  const first = await subscribe(await world.connected({ user: ann }), 'presence-room');
  assert.equal(first.members.count, 1);
  assert.deepEqual(first.members.me, { id: 'ann', info: { name: 'Ann' } });
  assert.equal(first.members.myID, 'ann');

  const second = await subscribe(await world.connected({ user: bob }), 'presence-room');
  assert.equal(second.members.count, 2);
  assert.deepEqual(ids(second), ['ann', 'bob']);
  assert.deepEqual(second.members.get('ann'), { id: 'ann', info: { name: 'Ann' } });
  assert.deepEqual(second.members.me, { id: 'bob', info: { name: 'Bob' } });
});

test('others hear of a member who comes and goes, the member itself does not', async (t) => {
  const world = await World.start(t);
  const first = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const client = await world.connected({ user: bob });
  const second = await subscribe(client, 'presence-room');
  assert.deepEqual(await heard(first, 'pusher:member_added'), { id: 'bob', info: { name: 'Bob' } });
  assert.equal(first.members.count, 2);

  client.unsubscribe('presence-room');
  assert.deepEqual(await heard(first, 'pusher:member_removed'), { id: 'bob', info: { name: 'Bob' } });
  assert.equal(first.members.count, 1);
  assert.deepEqual(ids(first), ['ann']);
  assert.deepEqual(
    second.seen.all.map((e) => e.event),
    ['pusher:subscription_succeeded'],
  );
});

test('a member with two connections is one member', async (t) => {
  const world = await World.start(t);
  const watcher = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const tabs = [await world.connected({ user: bob }), await world.connected({ user: bob })];
  const [one, two] = [await subscribe(tabs[0], 'presence-room'), await subscribe(tabs[1], 'presence-room')];
  assert.equal(one.members.count, 2);
  assert.equal(two.members.count, 2);
  const info = { path: '/channels/presence-room', params: { info: 'user_count,subscription_count' } };
  assert.deepEqual(await body(world.backend().get(info)), { occupied: true, user_count: 2, subscription_count: 3 });

  tabs[0].disconnect();
  await eventually(
    () => body(world.backend().get(info)),
    (b) => b.subscription_count === 2,
  );
  tabs[1].disconnect();
  await heard(watcher, 'pusher:member_removed');
  assert.deepEqual(
    watcher.seen.all.map((e) => e.event),
    ['pusher:subscription_succeeded', 'pusher:member_added', 'pusher:member_removed'],
  );
  assert.equal(watcher.members.count, 1);
});

test('a member may be there without information', async (t) => {
  const world = await World.start(t);
  const first = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const second = await subscribe(await world.connected({ user: { id: 'plain' } }), 'presence-room');
  const added = await heard(first, 'pusher:member_added');
  assert.equal(added.id, 'plain');
  assert.equal(added.info ?? null, null);
  assert.equal(second.members.me.id, 'plain');
});

test('numbers are taken as user IDs', async (t) => {
  const world = await World.start(t);
  const first = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const second = await subscribe(await world.connected({ user: { id: 42, user_info: {} } }), 'presence-room');
  assert.equal((await heard(first, 'pusher:member_added')).id, '42');
  assert.equal(second.members.me.id, 42);
  const { users } = await body(world.backend().get({ path: '/channels/presence-room/users' }));
  assert.deepEqual(users.map((u) => u.id).sort(), ['42', 'ann']);
});

test('user IDs that are no plain words survive', async (t) => {
  const world = await World.start(t);
  const id = 'Zoë "Z" <z@example.org> \\ 🎶';
  const channel = await subscribe(await world.connected({ user: { id } }), 'presence-room');
  assert.equal(channel.members.me.id, id);
  assert.deepEqual(await body(world.backend().get({ path: '/channels/presence-room/users' })), { users: [{ id }] });
});

test('a member who is gone within the leave grace and comes back has never left', async (t) => {
  const world = await World.start(t, ['-leave-grace', '10s', '-history', 'presence-*=1']);
  const watcher = await subscribe(await world.connected({ user: ann }), 'presence-room');
  const first = await world.connected({ user: bob });
  await subscribe(first, 'presence-room');
  await heard(watcher, 'pusher:member_added');
  first.disconnect();
  await eventually(
    () => body(world.backend().get({ path: '/channels/presence-room', params: { info: 'subscription_count' } })),
    (b) => b.subscription_count === 1,
  );
  await subscribe(await world.connected({ user: bob }), 'presence-room');
  await world.backend().trigger('presence-room', 'end', {});
  await heard(watcher, 'end');
  assert.deepEqual(
    watcher.seen.all.map((e) => e.event),
    ['pusher:subscription_succeeded', 'pusher:member_added', 'end'],
  );
});

test('a channel takes its number of members and no more', async (t) => {
  const world = await World.start(t, ['-presence-members', '2']);
  await subscribe(await world.connected({ user: ann }), 'presence-room');
  await subscribe(await world.connected({ user: bob }), 'presence-room');
  const error = await refused(await world.connected({ user: { id: 'eve' } }), 'presence-room');
  assert.equal(error.type, 'LimitReached');
  assert.equal(error.status, 403);
  await subscribe(await world.connected({ user: bob }), 'presence-room');
});

test('a member is what the signature says, not what the client says', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const signed = world.backend().authorizeChannel(socketId, channelName, { user_id: 'ann' });
        done(null, { ...signed, channel_data: JSON.stringify({ user_id: 'admin' }) });
      },
    },
  });
  const error = await refused(client, 'presence-room');
  assert.equal(error.type, 'AuthError');
  assert.equal(error.status, 401);
});

for (const [what, data, field] of [
  ['without a user ID', { user_info: {} }, /user_id/],
  ['with an empty user ID', { user_id: '' }, /user/],
  ['with a user ID over 128 characters', { user_id: 'x'.repeat(129) }, /128/],
  ['with information over 1 KB', { user_id: 'ann', user_info: 'x'.repeat(1025) }, /user_info.*1024/],
]) {
  test(`a member ${what} is refused`, async (t) => {
    const world = await World.start(t);
    const client = await world.connected({
      channelAuthorization: {
        customHandler: ({ socketId, channelName }, done) =>
          done(null, world.backend().authorizeChannel(socketId, channelName, data)),
      },
    });
    const error = await refused(client, 'presence-room');
    assert.equal(error.status, 400);
    assert.match(error.error, field);
    await subscribe(client, 'news');
  });
}

test('a member without channel_data is refused unless signed in', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  const { socket_id } = await socket.established();
  const { auth } = world.backend().authorizeChannel(socket_id, 'presence-room');
  socket.send({ event: 'pusher:subscribe', data: { channel: 'presence-room', auth } });
  const error = await socket.event('pusher:subscription_error');
  assert.equal(error.channel, 'presence-room');
  const { type, status, error: text } = JSON.parse(error.data);
  assert.deepEqual([typeof type, status], ['string', 400]);
  assert.match(text, /channel_data/);
});

test('a signed-in user is a member without channel_data', async (t) => {
  const world = await World.start(t);
  const watcher = await subscribe(await world.connected({ user: bob }), 'presence-room');
  const client = await world.connected({
    user: ann,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) =>
        done(null, world.backend().authorizeChannel(socketId, channelName)),
    },
  });
  client.signin();
  await client.messages.next((m) => m.event === 'pusher:signin_success');
  const channel = await subscribe(client, 'presence-room');
  assert.deepEqual(channel.members.me, { id: 'ann', info: { name: 'Ann' } });
  assert.deepEqual(await heard(watcher, 'pusher:member_added'), { id: 'ann', info: { name: 'Ann' } });
});

test('a success that has no members but oneself holds an object of members', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  const { socket_id } = await socket.established();
  const signed = world.backend().authorizeChannel(socket_id, 'presence-room', { user_id: 'ann' });
  socket.send({ event: 'pusher:subscribe', data: { channel: 'presence-room', ...signed } });
  const success = await socket.event('pusher_internal:subscription_succeeded');
  assert.deepEqual(JSON.parse(success.data), { presence: { count: 1, ids: ['ann'], hash: { ann: null } } });
});

test('events of the backend reach members', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected({ user: ann }), 'presence-room');
  await world.backend().trigger('presence-room', 'hello', { n: 1 });
  assert.deepEqual(await heard(channel, 'hello'), { n: 1 });
  assert.deepEqual(own(channel), ['hello']);
});
