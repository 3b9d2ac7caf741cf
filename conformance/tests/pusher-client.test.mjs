// pusher-client 1.1.0 for Node, unmodified: it answers the pings of WebSocket and does
// not know pusher:ping, and it pings by WebSocket itself. What it hears restarts its
// own clock, so that on a busy channel it says nothing.

import test from 'node:test';
import assert from 'node:assert/strict';
import PusherClient from 'pusher-client';
import { World, credentials } from '../lib/world.mjs';
import { Recorder } from '../lib/wait.mjs';

async function connected(t, world) {
  const client = new PusherClient(credentials.key, { host: '127.0.0.1', wsPort: world.server.port });
  t.after(() => client.disconnect());
  client.states = new Recorder();
  client.errors = new Recorder();
  client.connection.on('state_change', ({ current }) => client.states.push(current));
  client.connection.on('error', (error) => client.errors.push(error));
  await client.states.next((s) => s === 'connected');
  return client;
}

async function subscribed(client, name) {
  const channel = client.subscribe(name);
  channel.heard = new Recorder();
  channel.bind('news', (data) => channel.heard.push(data));
  await new Promise((resolve) => channel.bind('pusher:subscription_succeeded', resolve));
  return channel;
}

test('pusher-client hears of events', async (t) => {
  const world = await World.start(t);
  const channel = await subscribed(await connected(t, world), 'news');
  await world.backend().trigger('news', 'news', { n: 1 });
  assert.deepEqual(await channel.heard.next(), { n: 1 });
});

test('pusher-client stays connected on a busy channel', async (t) => {
  const world = await World.start(t, ['-activity-timeout', '1s']);
  const client = await connected(t, world);
  const channel = await subscribed(client, 'news');
  const backend = world.backend();
  // Longer than the activity time-out and the 30 s that an answer may take.
  for (let n = 0; n < 70; n++) {
    await backend.trigger('news', 'news', { n });
    assert.deepEqual(await channel.heard.next(), { n });
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
  assert.deepEqual(client.errors.all, []);
  assert.deepEqual(client.states.all, ['connected']);
});
