// The oldest and the newest pusher-js, and Laravel Echo, as they are.

import { createRequire } from 'node:module';
import { test } from 'node:test';
import assert from 'node:assert/strict';
import Echo from 'laravel-echo';
import nacl from 'tweetnacl';
import { resume } from '../dist/esm/index.js';
import { Server } from './lib/server.mjs';

const require = createRequire(import.meta.url);
const { resume: ofCommonJS } = require('../dist/cjs/index.js');
const versions = {
  '4.4': require('pusher-js-4'),
  8.6: require('pusher-js'),
};
// What pusher-js 4.4 looks at before it makes an encrypted channel, and Node 20 does not have.
globalThis.navigator ??= {};

const key = nacl.randomBytes(32);

/** client is a Pusher that is resumed, and ends with the test. */
function client(t, Pusher, server, options) {
  const authorization = { auth: 'key:signature', channel_data: '{"user_id":"ann"}', shared_secret: Buffer.from(key).toString('base64') };
  const pusher = new Pusher('app-key', {
    cluster: '',
    wsHost: '127.0.0.1',
    wsPort: server.port,
    forceTLS: false,
    disableStats: true,
    enabledTransports: ['ws'],
    // Of each two lives that a connection has, which ends early, pusher-js lets it have all.
    activityTimeout: 50,
    activity_timeout: 50,
    authorizer: () => ({ authorize: (_, done) => done(null, { ...authorization }) }),
    userAuthentication: { customHandler: (_, done) => done(null, { auth: 'key:signature', user_data: '{"id":"ann"}' }) },
  });
  t.after(() => pusher.disconnect());
  return resume(pusher, options);
}

const until = async (condition) => {
  for (const end = Date.now() + 20_000; !condition(); ) {
    assert.ok(Date.now() < end, `waited for ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};
const record = (emitter, got = []) => {
  emitter.bind_global((event, data) => got.push(data && event.startsWith('pusher:') ? `${event} ${data.missed}` : (data ?? event)));
  return got;
};
const away = async (pusher, server, meanwhile) => {
  const { socket_id } = pusher.connection;
  await new Promise((resolve) => setTimeout(resolve, 150)); // A life that lasted.
  server.cut();
  await until(() => pusher.connection.state !== 'connected' || !server.sockets.size);
  meanwhile(socket_id);
  await until(() => pusher.connection.state === 'connected' && pusher.connection.socket_id !== socket_id);
};

for (const [version, Pusher] of Object.entries(versions)) {
  const seal = (data) => {
    const nonce = nacl.randomBytes(24);
    const ciphertext = nacl.secretbox(Buffer.from(JSON.stringify(data)), nonce, key);
    return { nonce: Buffer.from(nonce).toString('base64'), ciphertext: Buffer.from(ciphertext).toString('base64') };
  };
  for (const name of ['c', 'private-c', 'presence-c', 'cache-c', 'private-encrypted-c']) {
    test(`pusher-js ${version}: ${name} misses nothing, and pages join what is live`, async (t) => {
      const encode = name.startsWith('private-encrypted-') ? seal : (data) => data;
      const server = await Server.start(t);
      for (const n of [1, 2, 3]) server.publish(name, 'x', encode({ n }));
      const pusher = client(t, Pusher, server);
      const channel = pusher.subscribe(name);
      const got = record(channel);
      await until(() => channel.subscribed);
      const { socket_id } = pusher.connection;
      server.publish(name, 'x', encode({ n: 4 }));
      server.publish(name, 'x', encode({ n: 5 }), { lost: true });
      server.publish(name, 'x', encode({ n: 6 }));
      await until(() => got.length >= 6);
      await away(pusher, server, (id) => {
        assert.equal(id, socket_id);
        server.publish(name, 'x', encode({ n: 7 }), { exclude: socket_id });
        server.publish(name, 'x', encode({ n: 8 }));
      });
      await until(() => got.at(-1)?.n === 8);
      server.publish(name, 'x', encode({ n: 9 }));
      await until(() => got.at(-1)?.n === 9);
      const numbers = got.filter((entry) => entry.n).map(({ n }) => n);
      assert.deepEqual(numbers, [4, 5, 6, 8, 9]);
      assert.deepEqual(got.filter((entry) => /missed|resumed|gap/.test(entry)), ['pusher:resumed 2', 'pusher:resumed 1']);

      const page = await pusher.history(name, { limit: 2 });
      const older = await pusher.history(name, { before: page.events.at(-1).pos });
      assert.deepEqual([...page.events, ...older.events].map((e) => e.data.n), [3, 2, 1]);
      assert.deepEqual([page.more, older.more], [true, false]);
    });
  }

  test(`pusher-js ${version}: a server that does not speak this gets nothing but the field`, async (t) => {
    const server = await Server.start(t, { speaks: false });
    const pusher = client(t, Pusher, server, { rewind: () => 5 });
    const got = record(pusher.subscribe('c'));
    await until(() => got.length);
    server.publish('c', 'x', { n: 1 });
    await away(pusher, server, () => server.publish('c', 'x', { n: 2 }));
    await until(() => got.length >= 3);
    await assert.rejects(pusher.history('c'));
    assert.deepEqual(got.filter((entry) => entry.n), [{ n: 1 }]);
    assert.deepEqual(server.received.filter(([event]) => event !== 'pusher:ping').map(([event, data]) => [event, data.resume]), [
      ['pusher:subscribe', { v: 1, sockets: [] }],
      ['pusher:subscribe', { v: 1, sockets: ['1.1'] }],
    ]);
  });
}

test('an encrypted page with another key stays sealed', async (t) => {
  const server = await Server.start(t);
  const sealed = { nonce: Buffer.alloc(24).toString('base64'), ciphertext: Buffer.alloc(32).toString('base64') };
  server.publish('private-encrypted-c', 'x', sealed);
  const pusher = client(t, versions['8.6'], server);
  const channel = pusher.subscribe('private-encrypted-c');
  await until(() => channel.subscribed);
  assert.deepEqual((await pusher.history('private-encrypted-c')).events[0].data, sealed);
});

test('a channel starts with its past, as if that were live', async (t) => {
  const server = await Server.start(t);
  for (const n of [1, 2, 3, 4]) server.publish('c', 'x', { n });
  const pusher = client(t, versions['8.6'], server, { rewind: () => 3 });
  const got = record(pusher.subscribe('c'));
  await until(() => got.length >= 4);
  assert.deepEqual(got.slice(1), [{ n: 2 }, { n: 3 }, { n: 4 }]);
});

test('a server-to-user channel is resumed though it is made anew', async (t) => {
  const server = await Server.start(t);
  const pusher = client(t, versions['8.6'], server);
  const got = record(pusher.user);
  pusher.signin();
  await until(() => server.received.some(([, { channel }]) => channel === '#server-to-user-ann'));
  await until(() => pusher.user.serverToUserChannel?.subscribed);
  await away(pusher, server, () => server.publish('#server-to-user-ann', 'x', { n: 1 }));
  await until(() => got.length >= 2);
  assert.deepEqual(got, ['pusher:resumed 1', { n: 1 }]);
});

test('what applications unbind takes nothing away', async (t) => {
  const server = await Server.start(t);
  const pusher = client(t, versions['8.6'], server);
  const channel = pusher.subscribe('c');
  await until(() => channel.subscribed);
  for (const emitter of [channel, pusher]) emitter.unbind_all();
  pusher.connection.unbind_global();
  const got = record(channel);
  await away(pusher, server, () => server.publish('c', 'x', { n: 1 }));
  await until(() => got.length >= 3);
  assert.deepEqual(got.slice(1), ['pusher:resumed 1', { n: 1 }]);
});

test('disconnect and connect resume', async (t) => {
  const server = await Server.start(t);
  const pusher = client(t, versions['8.6'], server);
  const channel = pusher.subscribe('c');
  const got = record(channel);
  await until(() => channel.subscribed);
  pusher.disconnect();
  await until(() => !server.sockets.size);
  server.publish('c', 'x', { n: 1 });
  pusher.connect();
  await until(() => got.at(-1)?.n === 1);
  assert.equal(got.at(-2), 'pusher:resumed 1');
});

for (const [way, wrapped] of [
  ['options.client', (pusher) => new Echo({ broadcaster: 'pusher', key: 'app-key', withoutInterceptors: true, client: pusher })],
  ['its connector', (pusher) => {
    const echo = new Echo({ broadcaster: 'pusher', key: 'app-key', withoutInterceptors: true, client: pusher });
    resume(echo.connector.pusher);
    return echo;
  }],
]) {
  test(`Laravel Echo works on top, wrapped by ${way}`, async (t) => {
    const server = await Server.start(t);
    const pusher = client(t, versions['8.6'], server);
    assert.equal(ofCommonJS(pusher), pusher, 'wrapping again by another copy is harmless');
    const got = [];
    const channel = wrapped(pusher).private('room');
    channel.listen('.x', (data) => got.push(data));
    channel.listen('.pusher:resumed', (data) => got.push(data));
    await until(() => channel.subscription.subscribed);
    await away(pusher, server, () => server.publish('private-room', 'x', { n: 1 }));
    await until(() => got.length >= 2);
    assert.deepEqual(got, [{ missed: 1 }, { n: 1 }]);
    assert.equal(server.received.filter(([event]) => event === 'pusher:subscribe').length, 2);
  });
}

