// The official server SDK, where all is well.

import test from 'node:test';
import assert from 'node:assert/strict';
import Backend from 'pusher';
import { World, credentials, subscribe, heard, own, body } from '../lib/world.mjs';
import { request } from '../lib/http.mjs';

const ann = { id: 'ann' };

test('an event is answered with 200 and an empty object', async (t) => {
  const world = await World.start(t);
  const response = await world.backend().trigger('news', 'created', {});
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^application\/json/);
  assert.equal(await response.text(), '{}');
});

test('an event goes to many channels', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({ user: ann });
  const names = ['news', 'private-room', 'presence-room', ...Array.from({ length: 97 }, (_, i) => `channel-${i}`)];
  const channels = await Promise.all(names.map((name) => subscribe(client, name)));
  await world.backend().trigger(names, 'all', { n: 1 });
  for (const channel of channels) assert.deepEqual(await heard(channel, 'all'), { n: 1 });
});

test('an event goes to one channel given by name', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected(), 'news');
  const answer = await body(
    world.backend().post({ path: '/events', body: { name: 'created', channel: 'news', data: '{"n":1}' } }),
  );
  assert.deepEqual(answer, {});
  assert.deepEqual(await heard(channel, 'created'), { n: 1 });
});

test('a batch of ten events is published in order', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected(), 'news');
  const names = Array.from({ length: 10 }, (_, i) => `event-${i}`);
  const answer = await body(world.backend().triggerBatch(names.map((name) => ({ channel: 'news', name, data: { name } }))));
  assert.deepEqual(answer, {});
  assert.deepEqual(await heard(channel, 'event-9'), { name: 'event-9' });
  assert.deepEqual(own(channel), names);
});

test('the connection that a backend names does not get the event', async (t) => {
  const world = await World.start(t);
  const sender = await world.connected();
  const [a, b] = [await subscribe(sender, 'news'), await subscribe(await world.connected(), 'news')];
  const { socket_id } = sender.connection;
  await world.backend().trigger('news', 'others', {}, { socket_id });
  await world.backend().triggerBatch([{ channel: 'news', name: 'others-too', data: {}, socket_id }]);
  await world.backend().trigger('news', 'nobody-excluded', {}, { socket_id: '1.2' });
  await heard(a, 'nobody-excluded');
  await heard(b, 'nobody-excluded');
  assert.deepEqual(own(a), ['nobody-excluded']);
  assert.deepEqual(own(b), ['others', 'others-too', 'nobody-excluded']);
});

test('an event tells how many will have it', async (t) => {
  const world = await World.start(t);
  for (const user of [ann, ann, { id: 'bob' }]) {
    const client = await world.connected({ user });
    await subscribe(client, 'presence-room');
    await subscribe(client, 'news');
  }
  const answer = await body(
    world.backend().trigger(['presence-room', 'news', 'presence-empty', 'empty'], 'x', {}, { info: 'user_count,subscription_count' }),
  );
  assert.deepEqual(answer, {
    channels: {
      'presence-room': { user_count: 2, subscription_count: 3 },
      news: { subscription_count: 3 },
      'presence-empty': { user_count: 0, subscription_count: 0 },
      empty: { subscription_count: 0 },
    },
  });
});

test('a batch tells for those events that ask', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({ user: ann });
  await subscribe(client, 'presence-room');
  const answer = await body(
    world.backend().triggerBatch([
      { channel: 'presence-room', name: 'x', data: {}, info: 'user_count,subscription_count' },
      { channel: 'news', name: 'x', data: {} },
      { channel: 'news', name: 'x', data: {}, info: 'subscription_count' },
    ]),
  );
  assert.deepEqual(answer, { batch: [{ user_count: 1, subscription_count: 1 }, {}, { subscription_count: 0 }] });
});

test('the occupied channels are listed', async (t) => {
  const world = await World.start(t);
  const get = (params) => body(world.backend().get({ path: '/channels', params }));
  assert.deepEqual(await get(), { channels: {} });
  const [one, two] = [await world.connected({ user: ann }), await world.connected({ user: ann })];
  await subscribe(one, 'presence-a');
  await subscribe(two, 'presence-a');
  await subscribe(one, 'presence-b');
  await subscribe(one, 'news');
  await subscribe(one, 'private-x');
  assert.deepEqual(await get(), { channels: { 'presence-a': {}, 'presence-b': {}, news: {}, 'private-x': {} } });
  assert.deepEqual(await get({ filter_by_prefix: 'presence-' }), { channels: { 'presence-a': {}, 'presence-b': {} } });
  assert.deepEqual(await get({ filter_by_prefix: 'nothing' }), { channels: {} });
  assert.deepEqual(await get({ filter_by_prefix: 'presence-', info: 'user_count' }), {
    channels: { 'presence-a': { user_count: 1 }, 'presence-b': { user_count: 1 } },
  });
  assert.deepEqual(await get({ filter_by_prefix: 'presence-a', info: 'user_count,subscription_count' }), {
    channels: { 'presence-a': { user_count: 1, subscription_count: 2 } },
  });
});

test('one channel is described', async (t) => {
  const world = await World.start(t);
  const get = (name, info) => body(world.backend().get({ path: `/channels/${name}`, params: info && { info } }));
  assert.deepEqual(await get('news'), { occupied: false });
  assert.deepEqual(await get('news', 'subscription_count'), { occupied: false, subscription_count: 0 });
  assert.deepEqual(await get('presence-room', 'user_count'), { occupied: false, user_count: 0 });
  const client = await world.connected({ user: ann });
  await subscribe(client, 'news');
  await subscribe(client, 'presence-room');
  assert.deepEqual(await get('news'), { occupied: true });
  assert.deepEqual(await get('news', 'subscription_count'), { occupied: true, subscription_count: 1 });
  assert.deepEqual(await get('presence-room', 'user_count,subscription_count'), {
    occupied: true,
    user_count: 1,
    subscription_count: 1,
  });
});

test('the users of a presence channel are listed once each', async (t) => {
  const world = await World.start(t);
  const get = () => body(world.backend().get({ path: '/channels/presence-room/users' }));
  assert.deepEqual(await get(), { users: [] });
  for (const user of [ann, ann, { id: 'bob' }]) await subscribe(await world.connected({ user }), 'presence-room');
  const { users } = await get();
  assert.deepEqual(users.map((u) => u.id).sort(), ['ann', 'bob']);
  for (const user of users) assert.deepEqual(Object.keys(user), ['id']);
});

test('channel names with every character that is allowed can be asked for', async (t) => {
  const world = await World.start(t);
  const name = 'presence-a_=@,.;Z9';
  await subscribe(await world.connected({ user: ann }), name);
  const backend = world.backend();
  assert.deepEqual(await body(backend.get({ path: `/channels/${name}` })), { occupied: true });
  assert.deepEqual(await body(backend.get({ path: `/channels/${encodeURIComponent(name)}` })), { occupied: true });
  assert.deepEqual(await body(backend.get({ path: `/channels/${name}/users` })), { users: [{ id: 'ann' }] });
  assert.deepEqual(await body(backend.get({ path: '/channels', params: { filter_by_prefix: 'presence-a_=@,' } })), {
    channels: { [name]: {} },
  });
});

test('a channel name of 164 characters is served', async (t) => {
  const world = await World.start(t);
  const name = 'n'.repeat(164);
  const channel = await subscribe(await world.connected(), name);
  await world.backend().trigger(name, 'x', {});
  await heard(channel, 'x');
});

test('an SDK that was made from a URL works', async (t) => {
  const world = await World.start(t);
  const { key, secret, appId } = credentials;
  const backend = Backend.forURL(`http://${key}:${secret}@127.0.0.1:${world.server.port}/apps/${appId}`);
  assert.deepEqual(await body(backend.trigger('news', 'x', {})), {});
});

test('parameters are signed with their keys in lower case and their values not encoded', async (t) => {
  const world = await World.start(t);
  const response = await request(world, { path: '/apps/1/channels', params: { Filter_By_Prefix: 'a b&c=d,e+%' } });
  assert.deepEqual([response.status, await response.json()], [200, { channels: {} }]);
});

test('a retried event with the same idempotency key is published once', async (t) => {
  const world = await World.start(t, ['-history', 'news=10']);
  const channel = await subscribe(await world.connected(), 'news');
  const { createSignedQueryString } = world.backend();
  const sent = JSON.stringify({ name: 'once', channel: 'news', data: '{}' });
  for (let i = 0; i < 3; i++) {
    const query = createSignedQueryString.call(world.backend(), { method: 'POST', path: '/apps/1/events', body: sent });
    const response = await fetch(`${world.server.url.origin}/apps/1/events?${query}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', 'Idempotency-Key': 'k1' },
      body: sent,
    });
    assert.equal(response.status, 200);
  }
  await world.backend().trigger('news', 'end', {});
  await heard(channel, 'end');
  assert.deepEqual(own(channel), ['once', 'end']);
});

test('the server says that it is up', async (t) => {
  const world = await World.start(t);
  const response = await fetch(`${world.server.url.origin}/up`);
  assert.deepEqual([response.status, await response.text()], [200, 'ok\n']);
});
