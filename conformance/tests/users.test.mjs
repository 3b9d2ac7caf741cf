import test from 'node:test';
import assert from 'node:assert/strict';
import { World, state, subscribe, record, body } from '../lib/world.mjs';
import { within } from '../lib/wait.mjs';

/** signedIn is a client that has signed in; it keeps what its user and watchlist emit. */
async function signedIn(world, user) {
  const client = await world.connected({ user });
  client.user.seen = record(client.user);
  client.user.watchlist.seen = record(client.user.watchlist);
  client.signin();
  await within(client.user.signinDonePromise, 'the sign-in');
  assert.equal(client.user.user_data?.id, user.id);
  await client.messages.next(
    (m) => m.event === 'pusher_internal:subscription_succeeded' && m.channel === `#server-to-user-${user.id}`,
  );
  return client;
}

const sent = (client, event) => client.user.seen.next((e) => e.event === event, `event ${event} of the user`);
const watched = (client, event) => client.user.watchlist.seen.next((e) => e.event === event, `event ${event} of the watchlist`);

test('a user signs in and gets back what the backend has signed', async (t) => {
  const world = await World.start(t);
  const user = { id: 'ann', user_info: { name: 'Änn "A"' }, watchlist: ['bob'] };
  const client = await signedIn(world, user);
  assert.deepEqual(client.user.user_data, user);
});

test('an event for a user reaches all connections of the user and nobody else', async (t) => {
  const world = await World.start(t);
  const [one, two] = [await signedIn(world, { id: 'ann' }), await signedIn(world, { id: 'ann' })];
  const other = await signedIn(world, { id: 'bob' });
  await world.backend().sendToUser('ann', 'letter', { n: 1 });
  await world.backend().sendToUser('bob', 'end', {});
  assert.deepEqual((await sent(one, 'letter')).data, { n: 1 });
  assert.deepEqual((await sent(two, 'letter')).data, { n: 1 });
  await sent(other, 'end');
  assert.deepEqual(
    other.user.seen.all.map((e) => e.event),
    ['end'],
  );
});

test('signing in again with the same user is confirmed', async (t) => {
  const world = await World.start(t);
  const client = await signedIn(world, { id: 'ann' });
  const { auth, user_data } = world.backend().authenticateUser(client.connection.socket_id, { id: 'ann' });
  client.send_event('pusher:signin', { auth, user_data });
  await client.messages.next((m) => m.event === 'pusher:signin_success');
  await client.messages.next((m) => m.event === 'pusher:signin_success');
});

test('signing in as somebody else ends the connection with 4009', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  const { socket_id } = await socket.established();
  socket.send({ event: 'pusher:signin', data: world.backend().authenticateUser(socket_id, { id: 'ann' }) });
  await socket.event('pusher:signin_success');
  socket.send({ event: 'pusher:signin', data: world.backend().authenticateUser(socket_id, { id: 'bob' }) });
  assert.equal((await socket.event('pusher:error')).data.code, 4009);
  assert.equal((await socket.end()).code, 4009);
});

for (const [what, answer] of [
  ['the wrong secret', (world, id) => world.backend({ secret: 'wrong' }).authenticateUser(id, { id: 'ann' })],
  ['the wrong key', (world, id) => world.backend({ key: 'other' }).authenticateUser(id, { id: 'ann' })],
  ['another connection', (world) => world.backend().authenticateUser('1.2', { id: 'ann' })],
  [
    'other user data',
    (world, id) => ({ ...world.backend().authenticateUser(id, { id: 'ann' }), user_data: '{"id":"admin"}' }),
  ],
  ['no signature', () => ({ auth: '', user_data: '{"id":"ann"}' })],
  [
    'an empty ID',
    (world, id) => {
      const user_data = '{"id":""}';
      return { auth: `app-key:${world.backend().config.token.sign(`${id}::user::${user_data}`)}`, user_data };
    },
  ],
]) {
  test(`a sign-in with ${what} ends with 4009, and pusher-js does not come back`, async (t) => {
    const world = await World.start(t);
    const client = await world.connected({
      userAuthentication: { customHandler: ({ socketId }, done) => done(null, answer(world, socketId)) },
    });
    client.signin();
    await state(client, 'disconnected');
    assert.ok(client.errors.all.some((e) => (e.data ?? e.error?.data)?.code === 4009), JSON.stringify(client.errors.all));
    assert.deepEqual(client.states.all, ['connected', 'disconnected']);
  });
}

for (const [what, user] of [
  ['nobody', undefined],
  ['another user', { id: 'bob' }],
]) {
  test(`a connection signed in as ${what} cannot listen to a user's events`, async (t) => {
    const world = await World.start(t);
    const client = user ? await signedIn(world, user) : await world.connected();
    const victim = await signedIn(world, { id: 'ann' });
    client.send_event('pusher:subscribe', { channel: '#server-to-user-ann' });
    const error = await client.messages.next((m) => m.event === 'pusher:subscription_error');
    assert.equal(error.channel, '#server-to-user-ann');
    assert.equal(error.data.type, 'AuthError');
    assert.equal(error.data.status, 401);
    await world.backend().sendToUser('ann', 'letter', {});
    await sent(victim, 'letter');
    await subscribe(client, 'barrier');
    assert.equal(client.messages.all.some((m) => m.event === 'letter'), false);
  });
}

test('a signature does not open the channel of a user', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const channel = '#server-to-user-ann';
  const auth = `app-key:${world.backend().config.token.sign(`${client.connection.socket_id}:${channel}`)}`;
  client.send_event('pusher:subscribe', { channel, auth });
  const error = await client.messages.next((m) => m.event === 'pusher:subscription_error');
  assert.equal(error.data.status, 401);
});

test('a watchlist tells who is online, who comes and who goes', async (t) => {
  const world = await World.start(t);
  await signedIn(world, { id: 'bob' });
  const ann = await signedIn(world, { id: 'ann', watchlist: ['bob', 'eve', 'zoe'] });
  assert.deepEqual((await watched(ann, 'online')).data.user_ids, ['bob']);
  assert.deepEqual((await watched(ann, 'offline')).data.user_ids.sort(), ['eve', 'zoe']);

  const eve = await signedIn(world, { id: 'eve' });
  assert.deepEqual((await watched(ann, 'online')).data.user_ids, ['eve']);
  eve.disconnect();
  assert.deepEqual((await watched(ann, 'offline')).data.user_ids, ['eve']);
});

test('a user is online until the last connection is gone', async (t) => {
  const world = await World.start(t);
  const ann = await signedIn(world, { id: 'ann', watchlist: ['bob', 'eve'] });
  await watched(ann, 'offline');
  const tabs = [await signedIn(world, { id: 'bob' }), await signedIn(world, { id: 'bob' })];
  tabs[0].disconnect();
  // Eve is seen after the first tab of Bob has gone and been seen to go.
  await state(tabs[0], 'disconnected');
  await signedIn(world, { id: 'eve' });
  assert.deepEqual((await watched(ann, 'online')).data.user_ids, ['bob']);
  assert.deepEqual((await watched(ann, 'online')).data.user_ids, ['eve']);
  tabs[1].disconnect();
  assert.deepEqual((await watched(ann, 'offline')).data.user_ids, ['bob']);
  assert.equal(ann.user.watchlist.seen.all.length, 4);
});

test('a watchlist over the limit is an error 4302, and the sign-in succeeds', async (t) => {
  const world = await World.start(t);
  const client = await signedIn(world, { id: 'ann', watchlist: Array.from({ length: 101 }, (_, i) => `user-${i}`) });
  const error = await client.errors.next();
  assert.equal(error.data.code, 4302);
  assert.match(error.data.message, /101.*100/);
  assert.equal(client.connection.state, 'connected');
});

test('terminating a user closes all of its connections with 4009, for good', async (t) => {
  const world = await World.start(t);
  const [one, two] = [await signedIn(world, { id: 'ann' }), await signedIn(world, { id: 'ann' })];
  const other = await signedIn(world, { id: 'bob' });
  const member = await world.connected({ user: { id: 'ann' } });
  await subscribe(member, 'presence-room');
  const raw = world.raw();
  const { socket_id } = await raw.established();
  raw.send({ event: 'pusher:signin', data: world.backend().authenticateUser(socket_id, { id: 'ann' }) });
  await raw.event('pusher:signin_success');

  assert.deepEqual(await body(world.backend().terminateUserConnections('ann')), {});
  await state(one, 'disconnected');
  await state(two, 'disconnected');
  assert.equal((await raw.end()).code, 4009);
  await world.backend().sendToUser('bob', 'end', {});
  await sent(other, 'end');
  assert.equal(other.connection.state, 'connected');
  // A member of a presence channel that has not signed in is not the user.
  await subscribe(member, 'news');
});

test('terminating a user who is not there is no error', async (t) => {
  const world = await World.start(t);
  assert.deepEqual(await body(world.backend().terminateUserConnections('nobody')), {});
});

test('user IDs that need escaping can be sent to and terminated', async (t) => {
  const world = await World.start(t);
  const id = 'ann@example.org';
  const client = await signedIn(world, { id });
  await world.backend().sendToUser(id, 'letter', {});
  await sent(client, 'letter');
  await world.backend().terminateUserConnections(encodeURIComponent(id));
  await state(client, 'disconnected');
});

test('a user ID that an SDK does not escape is understood', async (t) => {
  const world = await World.start(t);
  const id = 'ann smith';
  const client = await signedIn(world, { id });
  await world.backend().terminateUserConnections(id);
  await state(client, 'disconnected');
});

test('a connection that authorizes nothing in time is closed with 4009', async (t) => {
  const world = await World.start(t, ['-authorization-timeout', '1s']);
  const idle = await world.connected();
  await subscribe(idle, 'news');
  const raw = world.raw();
  await raw.established();
  const user = await signedIn(world, { id: 'ann' });
  const member = await world.connected({ user: { id: 'bob' } });
  await subscribe(member, 'presence-room');
  const private_ = await world.connected();
  await subscribe(private_, 'private-room');
  await state(idle, 'disconnected');
  assert.equal((await raw.event('pusher:error')).data.code, 4009);
  assert.equal((await raw.end()).code, 4009);
  const later = world.raw();
  await later.established();
  await later.end();
  for (const client of [user, member, private_]) assert.equal(client.connection.state, 'connected');
});
