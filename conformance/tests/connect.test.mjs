import test from 'node:test';
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { World, state, subscribe, heard } from '../lib/world.mjs';
import { within } from '../lib/wait.mjs';

test('a client connects and gets a socket ID', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  assert.match(client.connection.socket_id, /^\d+\.\d+$/);
});

test('the first frame has a socket ID and the activity timeout, as a string of JSON', async (t) => {
  const world = await World.start(t, ['-activity-timeout', '90s']);
  const socket = world.raw();
  const data = await socket.established();
  assert.match(data.socket_id, /^\d+\.\d+$/);
  assert.equal(data.activity_timeout, 90);
  assert.equal(socket.frames.all[0].event, 'pusher:connection_established');
});

test('the activity timeout is 45 s by default', async (t) => {
  const world = await World.start(t);
  assert.equal((await world.raw().established()).activity_timeout, 45);
});

test('every connection has a socket ID of its own', async (t) => {
  const world = await World.start(t);
  const clients = await Promise.all(Array.from({ length: 20 }, () => world.connected()));
  assert.equal(new Set(clients.map((c) => c.connection.socket_id)).size, 20);
});

for (const version of [5, 6, 7]) {
  test(`protocol version ${version} is spoken`, async (t) => {
    const world = await World.start(t);
    await world.raw(`/app/app-key?protocol=${version}`).established();
  });
}

test('unknown query parameters are ignored', async (t) => {
  const world = await World.start(t);
  await world.raw('/app/app-key?protocol=7&client=any&version=x&flash=false&more=1').established();
});

test('a ping is answered', async (t) => {
  const world = await World.start(t);
  const socket = world.raw();
  await socket.established();
  socket.send({ event: 'pusher:ping', data: {} });
  await socket.event('pusher:pong');
});

test('a silent connection is pinged, and goes on after its pong', async (t) => {
  const world = await World.start(t, ['-activity-timeout', '1s']);
  const socket = world.raw();
  await socket.established();
  await socket.event('pusher:ping');
  socket.send({ event: 'pusher:pong', data: {} });
  socket.send({ event: 'pusher:subscribe', data: { channel: 'news' } });
  await socket.event('pusher_internal:subscription_succeeded');
});

test('pusher-js stays connected through its own pings', async (t) => {
  const world = await World.start(t);
  const client = await world.connected({ activityTimeout: 200 });
  for (let i = 0; i < 3; i++) await client.messages.next((m) => m.event === 'pusher:pong');
  assert.deepEqual(client.states.all, ['connected']);
});

test('who answers neither way of pinging within 30 s is closed with 4201', async (t) => {
  const world = await World.start(t, ['-activity-timeout', '1s']);
  // Every WebSocket answers pings by itself: this is none.
  const socket = connect(world.server.port, '127.0.0.1');
  t.after(() => socket.destroy());
  socket.write(
    'GET /app/app-key?protocol=7 HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
      'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
  );
  const chunks = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  await within(new Promise((resolve) => socket.on('end', resolve)), 'the end of the connection', 40_000);
  const all = Buffer.concat(chunks);
  assert.ok(all.includes(Buffer.from([0x89, 0])), 'a ping of WebSocket');
  assert.ok(all.includes('pusher:ping'));
  const close = all.subarray(all.lastIndexOf(0x88));
  assert.equal(close.readUInt16BE(2), 4201);
});

test('a client disconnects cleanly and connects again', async (t) => {
  const world = await World.start(t);
  const client = await world.connected();
  const first = client.connection.socket_id;
  client.disconnect();
  await state(client, 'disconnected');
  client.connect();
  await state(client, 'connected');
  assert.notEqual(client.connection.socket_id, first);
});
