// What a backend is told when it is wrong: a status, and a text that says why.

import test from 'node:test';
import assert from 'node:assert/strict';
import { World, subscribe, heard, own, failure, body } from '../lib/world.mjs';
import { request } from '../lib/http.mjs';

const post = (world, path, json) => failure(world.backend().post({ path, body: json }));
const get = (world, path, params) => failure(world.backend().get({ path, params }));

function told(error, status, text) {
  assert.equal(error.status, status, error.body);
  assert.match(error.body, text);
}

test('a wrong secret is 401', async (t) => {
  const world = await World.start(t);
  told(await failure(world.backend({ secret: 'wrong' }).trigger('news', 'x', {})), 401, /auth_signature/);
  told(await failure(world.backend({ secret: 'wrong' }).get({ path: '/channels' })), 401, /auth_signature/);
});

test('a wrong key is 401', async (t) => {
  const world = await World.start(t);
  told(await failure(world.backend({ key: 'other' }).trigger('news', 'x', {})), 401, /auth_key "other"/);
});

test('an unknown app is 404', async (t) => {
  const world = await World.start(t);
  told(await failure(world.backend({ appId: '99' }).trigger('news', 'x', {})), 404, /app "99" does not exist/);
});

test('an unknown path is 404, and a wrong method is 405', async (t) => {
  const world = await World.start(t);
  told(await get(world, '/channels/news/members/x'), 400, /channel/);
  told(await get(world, '/users/ann'), 404, /users\/ann/);
  told(await get(world, '/events'), 405, /POST/);
  told(await post(world, '/channels', {}), 405, /GET/);
});

for (const [what, params, text] of [
  ['a timestamp that is too old', { auth_timestamp: Math.floor(Date.now() / 1000) - 700 }, /auth_timestamp.*600/],
  ['a timestamp of the future', { auth_timestamp: Math.floor(Date.now() / 1000) + 700 }, /auth_timestamp.*600/],
  ['a timestamp that is no number', { auth_timestamp: 'now' }, /auth_timestamp "now"/],
  ['no timestamp', { auth_timestamp: undefined }, /auth_timestamp is missing/],
  ['no key', { auth_key: undefined }, /auth_key is missing/],
  ['no version', { auth_version: undefined }, /auth_version is missing/],
  ['another version', { auth_version: '2.0' }, /auth_version "2.0"/],
  ['a signature that is none', { auth_signature: 'zz' }, /auth_signature/],
  ['an MD5 of another body', { body_md5: 'd41d8cd98f00b204e9800998ecf8427e' }, /body_md5/],
  ['no MD5 of a body', { body_md5: undefined }, /body_md5 is missing/],
]) {
  test(`${what} is 401`, async (t) => {
    const world = await World.start(t);
    const event = JSON.stringify({ name: 'x', channel: 'news', data: '{}' });
    const response = await request(world, { method: 'POST', path: '/apps/1/events', body: event, params });
    assert.equal(response.status, 401);
    assert.match(await response.text(), text);
  });
}

test('a signature of another path or method is 401', async (t) => {
  const world = await World.start(t);
  const other = await request(world, { path: '/apps/1/channels', signedPath: '/apps/1/channels/news' });
  assert.equal(other.status, 401);
});

test('a timestamp within ten minutes is good', async (t) => {
  const world = await World.start(t);
  for (const offset of [-590, 590]) {
    const params = { auth_timestamp: Math.floor(Date.now() / 1000) + offset };
    assert.equal((await request(world, { path: '/apps/1/channels', params })).status, 200);
  }
});

const event = { name: 'x', channel: 'news', data: '{}' };

for (const [what, json, status, text] of [
  ['no name', { channel: 'news', data: '{}' }, 400, /name is missing/],
  ['no data', { name: 'x', channel: 'news' }, 400, /data is missing/],
  ['no channel', { name: 'x', data: '{}' }, 400, /channel/],
  ['an empty list of channels', { name: 'x', data: '{}', channels: [] }, 400, /channels/],
  ['101 channels', { name: 'x', data: '{}', channels: Array.from({ length: 101 }, (_, i) => `c${i}`) }, 400, /channels.*101.*100/],
  ['a channel name with a space', { ...event, channel: 'a b' }, 400, /channel.*"a b"/],
  ['a channel name with a slash', { ...event, channel: 'a/b' }, 400, /channel/],
  ['a channel name of 165 characters', { ...event, channel: 'n'.repeat(165) }, 400, /channel.*165.*164/],
  ['a bad channel among good ones', { name: 'x', data: '{}', channels: ['good', 'b√d'] }, 400, /channel.*b√d/],
  ['an event name of 201 characters', { ...event, name: 'n'.repeat(201) }, 400, /(name|event).*201.*200/],
  ['an event of the protocol', { ...event, name: 'pusher:error' }, 400, /pusher:error/],
  ['an internal event of the protocol', { ...event, name: 'pusher_internal:x' }, 400, /pusher_internal:x/],
  ['data that is no string', { ...event, data: { a: 1 } }, 400, /data/],
  ['a channel that is no string', { ...event, channel: 7 }, 400, /channel/],
  ['a bad socket ID', { ...event, socket_id: 'abc' }, 400, /socket_id "abc"/],
  ['a bad attribute', { ...event, info: 'colour' }, 400, /info.*colour/],
  ['data over 10 KB', { ...event, data: 'x'.repeat(10 * 1024 + 1) }, 413, /data.*10241.*10240/],
]) {
  test(`an event with ${what} is ${status}`, async (t) => {
    const world = await World.start(t);
    told(await post(world, '/events', json), status, text);
  });

  if (!json.channels) {
    test(`a batch with an event with ${what} is ${status}`, async (t) => {
      const world = await World.start(t);
      const channel = await subscribe(await world.connected(), 'news');
      const error = await post(world, '/batch_events', { batch: [event, json] });
      told(error, status, text);
      assert.match(error.body, /batch\[1\]/);
      await world.backend().trigger('news', 'end', {});
      await heard(channel, 'end');
      assert.deepEqual(own(channel), ['end'], 'a batch is published as a whole or not at all');
    });
  }
}

for (const [what, sent, text] of [
  ['nothing', '', /body/],
  ['no JSON', '{"name":', /body/],
  ['a list', '[]', /body/],
]) {
  test(`a body that is ${what} is 400`, async (t) => {
    const world = await World.start(t);
    for (const path of ['/apps/1/events', '/apps/1/batch_events']) {
      const response = await request(world, { method: 'POST', path, body: sent });
      assert.equal(response.status, 400);
      assert.match(await response.text(), text);
    }
  });
}

test('a batch of none or of 11 events is 400', async (t) => {
  const world = await World.start(t);
  told(await post(world, '/batch_events', { batch: [] }), 400, /batch/);
  told(await post(world, '/batch_events', {}), 400, /batch/);
  told(await post(world, '/batch_events', { batch: Array(11).fill(event) }), 400, /batch.*11.*10/);
});

test('a body over the limit is 413', async (t) => {
  const world = await World.start(t);
  told(await post(world, '/events', { ...event, junk: 'x'.repeat(1 << 20) }), 413, /body.*1048576/);
});

test('the size of events can be set', async (t) => {
  const world = await World.start(t, ['-event-bytes', '20000']);
  const channel = await subscribe(await world.connected(), 'news');
  await world.backend().trigger('news', 'large', 'x'.repeat(20_000));
  assert.equal((await heard(channel, 'large')).length, 20_000);
  told(await failure(world.backend().trigger('news', 'large', 'x'.repeat(20_001))), 413, /20001.*20000/);
});

test('questions that make no sense are 400', async (t) => {
  const world = await World.start(t);
  told(await get(world, '/channels', { info: 'user_count' }), 400, /user_count.*filter_by_prefix/);
  told(await get(world, '/channels', { info: 'user_count', filter_by_prefix: 'news' }), 400, /presence-/);
  told(await get(world, '/channels', { info: 'colour' }), 400, /info.*colour/);
  told(await get(world, '/channels/news', { info: 'user_count' }), 400, /user_count.*news/);
  told(await get(world, '/channels/news', { info: 'cache' }), 400, /cache/);
  told(await get(world, '/channels/news/users'), 400, /"news".*presence/);
  told(await get(world, '/channels/a%20b'), 400, /a b/);
});

test('too many events a second are 429 with Retry-After', async (t) => {
  const world = await World.start(t, ['-publishes-per-second', '1']);
  const channel = await subscribe(await world.connected(), 'news');
  const send = () => request(world, { method: 'POST', path: '/apps/1/events', body: JSON.stringify(event) });
  assert.equal((await send()).status, 200);
  assert.equal((await send()).status, 200);
  const limited = await send();
  assert.equal(limited.status, 429);
  const wait = Number(limited.headers.get('retry-after'));
  assert.ok(Number.isInteger(wait) && wait >= 1 && wait <= 2, `Retry-After: ${wait}`);
  assert.match(await limited.text(), /limit/);
  await heard(channel, 'x');
  await heard(channel, 'x');
  assert.deepEqual(await body(world.backend().get({ path: '/channels' })), { channels: { news: {} } });
});

test('a disabled app is 403', async (t) => {
  const world = await World.start(t, ['-enabled=false']);
  told(await failure(world.backend().trigger('news', 'x', {})), 403, /disabled/);
  told(await get(world, '/channels'), 403, /disabled/);
});

test('terminating a user with a bad ID is 400', async (t) => {
  const world = await World.start(t);
  told(await post(world, `/users/${'x'.repeat(129)}/terminate_connections`, {}), 400, /user.*129.*128/);
});

test('errors do not tell the secret', async (t) => {
  const world = await World.start(t);
  const error = await failure(world.backend({ secret: 'wrong' }).trigger('news', 'x', {}));
  assert.doesNotMatch(error.body, /app-secret/);
});
