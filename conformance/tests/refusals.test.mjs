// Connections that are refused, and frames that make no sense.

import test from 'node:test';
import assert from 'node:assert/strict';
import { World, state, subscribe, refused, heard } from '../lib/world.mjs';

/** turnedAway connects with pusher-js, and expects the code and that it stays away. */
async function turnedAway(world, options, code, text) {
  const client = world.client(options);
  await state(client, 'disconnected');
  const { error } = client.errors.all[0];
  assert.equal(error.data.code, code);
  assert.match(error.data.message, text);
  assert.deepEqual(client.states.all, ['disconnected']);
}

/** closed connects without pusher-js, and expects an error frame and then the close code. */
async function closed(socket, code, text) {
  const { code: got, reason } = await socket.end();
  assert.deepEqual(
    socket.frames.all.map((f) => [f.event, f.data.code]),
    [['pusher:error', code]],
  );
  assert.match(socket.frames.all[0].data.message, text);
  assert.equal(got, code);
  assert.match(reason, text);
}

test('an unknown key is 4001, and the client does not come back', async (t) => {
  const world = await World.start(t);
  await turnedAway(world, { key: 'other' }, 4001, /other/);
  await closed(world.raw('/app/other?protocol=7'), 4001, /other/);
});

test('a disabled app is 4003, and the client does not come back', async (t) => {
  const world = await World.start(t, ['-enabled=false']);
  await turnedAway(world, {}, 4003, /disabled/);
  await closed(world.raw(), 4003, /disabled/);
});

test('a connection over the quota is 4004, and a place that is left can be taken', async (t) => {
  const world = await World.start(t, ['-max-connections', '2']);
  const first = world.raw();
  await first.established();
  await world.connected();
  await turnedAway(world, {}, 4004, /quota/);
  await closed(world.raw(), 4004, /quota/);
  first.disconnect();
  await first.end();
  // The server may take a moment more to see the end of the first connection.
  for (let i = 0; ; i++) {
    const socket = world.raw();
    const frame = await socket.frames.next();
    if (frame.event === 'pusher:connection_established') break;
    assert.ok(i < 100, 'the place is not free again');
    await socket.end();
  }
});

for (const [query, code, text] of [
  ['', 4008, /protocol version/],
  ['?protocol=', 4008, /protocol version/],
  ['?client=js&version=8.6.0', 4008, /protocol version/],
  ['?protocol=seven', 4006, /seven/],
  ['?protocol=7.5', 4006, /7\.5/],
  ['?protocol=4', 4007, /4/],
  ['?protocol=8', 4007, /8/],
  ['?protocol=-7', 4007, /-7/],
]) {
  test(`protocol ${JSON.stringify(query)} is ${code}`, async (t) => {
    const world = await World.start(t);
    await closed(world.raw(`/app/app-key${query}`), code, text);
  });
}

for (const path of ['/', '/app', '/app/', '/ap/app-key', '/app/app-key/more']) {
  test(`path ${path} is 4005`, async (t) => {
    const world = await World.start(t);
    await closed(world.raw(`${path}?protocol=7`), 4005, /path/);
  });
}

test('a wrong path is 4005 for pusher-js too', async (t) => {
  const world = await World.start(t);
  await turnedAway(world, { key: 'app-key/more' }, 4005, /path/);
});

test('a page of a foreign origin is turned away, one that is listed is not', async (t) => {
  const world = await World.start(t, ['-origins', 'https://*.example.com,http://localhost:*']);
  const path = '/app/app-key?protocol=7';
  for (const origin of ['https://www.example.com', 'http://localhost:3000']) {
    await world.raw(path, { headers: { Origin: origin } }).established();
  }
  for (const origin of ['https://evil.org', 'https://example.com.evil.org', 'http://www.example.com', 'null']) {
    await closed(world.raw(path, { headers: { Origin: origin } }), 4009, /origin/);
  }
});

test('by default pages of this machine may connect, and others may not', async (t) => {
  const world = await World.start(t);
  const path = '/app/app-key?protocol=7';
  await world.raw(path, { headers: { Origin: 'http://localhost:5173' } }).established();
  await closed(world.raw(path, { headers: { Origin: 'https://evil.org' } }), 4009, /evil\.org/);
});

test('too many connections of one address are 4100, which clients wait after', async (t) => {
  const world = await World.start(t, ['-connections-per-ip', '1']);
  await world.raw().established();
  await world.raw().established();
  await closed(world.raw(), 4100, /capacity/);
});

test('a request that is no upgrade is answered over HTTP', async (t) => {
  const world = await World.start(t);
  assert.equal((await fetch(`${world.server.url.origin}/app/app-key?protocol=7`)).status, 426);
  assert.equal((await fetch(`${world.server.url.origin}/nothing`)).status, 404);
});

for (const [what, frame] of [
  ['no JSON', '{"event":'],
  ['empty', ''],
  ['a list', '[]'],
  ['a number', '7'],
  ['no object but null', 'null'],
  ['without an event', '{"data":{}}'],
  ['with an event that is no string', '{"event":7}'],
  ['with an empty event', '{"event":""}'],
  ['with an event that is too long', JSON.stringify({ event: 'x'.repeat(201) })],
  ['of an unknown event', '{"event":"pusher:dance","data":{}}'],
  ['a subscription without data', '{"event":"pusher:subscribe"}'],
  ['a subscription with data that is a list', '{"event":"pusher:subscribe","data":[]}'],
  ['a subscription with a channel that is no string', '{"event":"pusher:subscribe","data":{"channel":7}}'],
  ['a subscription with text that is no JSON', '{"event":"pusher:subscribe","data":"{"}'],
  ['an unsubscription without data', '{"event":"pusher:unsubscribe"}'],
  ['a client event without a channel', '{"event":"client-x","data":{}}'],
  ['deeply nested', `{"event":"pusher:subscribe","data":${'['.repeat(2000)}${']'.repeat(2000)}}`],
  ['a client event on a channel that is no string', '{"event":"client-x","channel":{},"data":{}}'],
]) {
  test(`a frame that is ${what} is an error, and the connection goes on`, async (t) => {
    const world = await World.start(t);
    const socket = world.raw();
    await socket.established();
    socket.send(frame);
    const error = await socket.event('pusher:error');
    assert.equal(error.data.code, null);
    assert.equal(typeof error.data.message, 'string');
    assert.ok(error.data.message.length > 0);
    socket.send({ event: 'pusher:subscribe', data: { channel: 'news' } });
    await socket.event('pusher_internal:subscription_succeeded');
    assert.equal(socket.frames.all.length, 3);
  });
}

for (const data of ['{"event":"pusher:signin"}', '{"event":"pusher:signin","data":[]}', '{"event":"pusher:signin","data":{"auth":7}}']) {
  test(`the sign-in ${data} ends the connection with 4009`, async (t) => {
    const world = await World.start(t);
    const socket = world.raw();
    await socket.established();
    socket.send(data);
    assert.equal((await socket.event('pusher:error')).data.code, 4009);
    assert.equal((await socket.end()).code, 4009);
  });
}

for (const [channel, text] of [
  ['a b', /channel/],
  ['ü', /channel/],
  ['n'.repeat(165), /165.*164/],
  ['#other', /channel/],
]) {
  test(`a subscription to ${JSON.stringify(channel.slice(0, 12))} is refused, and the connection goes on`, async (t) => {
    const world = await World.start(t);
    const socket = world.raw();
    await socket.established();
    socket.send({ event: 'pusher:subscribe', data: { channel } });
    const frame = await socket.event('pusher:subscription_error');
    const { type, error, status } = JSON.parse(frame.data);
    assert.equal(typeof type, 'string');
    assert.match(error, text);
    assert.equal(status, 400);
    socket.send({ event: 'pusher:subscribe', data: { channel: 'news' } });
    await socket.event('pusher_internal:subscription_succeeded');
  });
}

for (const channel of ['', 'n'.repeat(2000)]) {
  test(`a subscription to a channel of ${channel.length} characters, which no error can name, is refused without`, async (t) => {
    const world = await World.start(t);
    const socket = world.raw();
    await socket.established();
    socket.send({ event: 'pusher:subscribe', data: { channel } });
    const { channel: named, data } = await socket.event('pusher:error');
    assert.equal(named, undefined);
    assert.equal(data.code, null);
    assert.match(data.message, /^subscription refused: channel/);
    socket.send({ event: 'pusher:subscribe', data: { channel: 'news' } });
    await socket.event('pusher_internal:subscription_succeeded');
  });
}

test('pusher-js hears of a channel name that is not allowed', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const error = await refused(client, 'a b');
  assert.equal(error.status, 400);
  assert.match(error.error, /channel.*"a b"/);
});

test('too many subscriptions a second are refused with 429', async (t) => {
  const world = await World.start(t, ['-subscribes-per-second', '1']);
  const client = await world.connected();
  await subscribe(client, 'one');
  await subscribe(client, 'two');
  const error = await refused(client, 'three');
  assert.deepEqual([error.type, error.status], ['LimitReached', 429]);
});

test('binary frames and frames over the limit do not harm other connections', async (t) => {
  const world = await World.start(t);
  const channel = await subscribe(await world.connected(), 'news');
  const huge = world.raw();
  await huge.established();
  huge.send(JSON.stringify({ event: 'client-x', channel: 'news', data: 'x'.repeat(4 << 20) }));
  assert.equal((await huge.end()).code, 1009);
  await world.backend().trigger('news', 'end', {});
  await heard(channel, 'end');
});
