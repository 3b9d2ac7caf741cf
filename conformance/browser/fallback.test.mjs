// pusher-js in Chromium over the transports it falls back to.

import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Server } from '../lib/server.mjs';
import { publish } from './backend.mjs';
import { Proxy, Site, connect, launch, openPage, transport, until } from './lib.mjs';

const at = (port, more = {}) => ({ wsHost: '127.0.0.1', wsPort: port, httpHost: '127.0.0.1', httpPort: port, ...more });

let browser, site;
before(async () => {
  browser = await launch();
  site = await Site.start();
});
after(async () => {
  await browser?.close();
  site?.stop();
});

/** exchange checks that events go both ways. */
async function exchange(page, server, label) {
  await until(page, () => window.room.subscribed);
  await publish(server, 'message', JSON.stringify({ label }));
  await page.waitForFunction((label) => window.got.some(([event, data]) => event === 'message' && data.label === label), label);
}

for (const name of ['xhr_streaming', 'xhr_polling']) {
  describe(name, () => {
    let server, page;
    before(async () => {
      server = await Server.start(['-history', 'room=50']);
    });
    after(async () => {
      await page?.context().close();
      await server?.stop();
    });

    test('connects across origins, subscribes and receives', async () => {
      page = await openPage(browser, site);
      await connect(page, at(server.port, { enabledTransports: [name] }));
      await until(page, () => window.pusher.connection.state === 'connected');
      assert.equal(await transport(page), name);
      await exchange(page, server, 'first');
    });

    test('keeps the order of many events', async () => {
      await page.evaluate(() => (window.got.length = 0));
      for (let i = 0; i < 100; i++) await publish(server, 'count', String(i));
      await until(page, () => window.got.length === 100);
      assert.deepEqual(await page.evaluate(() => window.got.map(([, data]) => Number(data))), [...Array(100).keys()]);
    });

    test('survives responses that grow long', async () => {
      await page.evaluate(() => (window.got.length = 0));
      const text = 'ü'.repeat(4000);
      for (let i = 0; i < 150; i++) await publish(server, 'long', JSON.stringify({ i, text }));
      await until(page, () => window.got.length === 150);
      assert.deepEqual(await page.evaluate(() => window.got.map(([, data]) => data.i)), [...Array(150).keys()]);
      assert.equal(await page.evaluate(() => window.pusher.connection.state), 'connected');
    });

    test('sends, and is excluded by its socket ID', async () => {
      await page.evaluate(() => (window.got.length = 0));
      const socketID = await page.evaluate(() => window.pusher.connection.socket_id);
      await publish(server, 'others', '1', { socket_id: socketID });
      await publish(server, 'all', '2');
      await until(page, () => window.got.length > 0);
      assert.deepEqual(await page.evaluate(() => window.got), [['all', 2]]);
      await page.evaluate(() => window.pusher.send_event('client-nothing', {}, 'room'));
      await until(page, () => window.states.some((state) => state.startsWith('error')));
    });

    // The client may try while nobody listens, and then takes its time.
    const back = () =>
      page.waitForFunction(() => window.states.at(-1) === 'connected' && window.room.subscribed, null, { timeout: 60_000 });

    test('comes back after the server was restarted', async () => {
      await page.evaluate(() => (window.states.length = 0));
      const { port } = server;
      await server.stop();
      server = await Server.start([], { port });
      await back();
      await exchange(page, server, 'after the restart');
    });

    test('comes back after the session was lost', async () => {
      await page.evaluate(() => (window.states.length = 0));
      const { port } = server;
      await server.kill();
      server = await Server.start([], { port });
      await back();
      await exchange(page, server, 'after the crash');
    });

    test('is told why it may not connect', async () => {
      const other = await openPage(browser, site);
      await other.evaluate(
        ([options]) => {
          window.errors = [];
          const pusher = new Pusher('wrong-key', { cluster: '', forceTLS: false, disableStats: true, ...options });
          pusher.connection.bind('error', (error) => window.errors.push(error?.data?.code ?? error?.error?.data?.code));
        },
        [at(server.port, { enabledTransports: [name] })],
      );
      await until(other, () => window.errors.includes(4001));
      await other.context().close();
    });
  });
}

test('falls back by itself where WebSocket is blocked', async () => {
  const server = await Server.start();
  const page = await openPage(browser, site, { webSocket: false });
  try {
    await connect(page, at(server.port));
    await until(page, () => window.pusher.connection.state === 'connected');
    assert.match(await transport(page), /^xhr_/);
    await exchange(page, server, 'blocked');
  } finally {
    await page.context().close();
    await server.stop();
  }
});

test('falls back by itself behind a proxy that buffers and knows no WebSocket', async () => {
  const server = await Server.start(['-trusted-proxies', '127.0.0.0/8']);
  const proxy = await Proxy.start(server.port);
  const page = await openPage(browser, site);
  try {
    await connect(page, at(proxy.port));
    await until(page, () => window.pusher.connection.state === 'connected');
    assert.match(await transport(page), /^xhr_/);
    await exchange(page, server, 'proxied');
    for (const name of ['xhr_streaming', 'xhr_polling']) {
      await page.evaluate(() => window.pusher.disconnect());
      await connect(page, at(proxy.port, { enabledTransports: [name] }));
      await until(page, () => window.pusher.connection.state === 'connected');
      assert.equal(await transport(page), name);
      await exchange(page, server, name);
    }
  } finally {
    await page.context().close();
    await proxy.stop();
    await server.stop();
  }
});

test('polls behind a proxy that buffers whatever it is asked', async () => {
  const server = await Server.start(['-trusted-proxies', '127.0.0.0/8']);
  const proxy = await Proxy.start(server.port, { deaf: true });
  const page = await openPage(browser, site);
  try {
    await connect(page, at(proxy.port));
    await page.waitForFunction(() => window.pusher.connection.state === 'connected', null, { timeout: 60_000 });
    assert.equal(await transport(page), 'xhr_polling');
    await exchange(page, server, 'buffered');
  } finally {
    await page.context().close();
    await proxy.stop();
    await server.stop();
  }
});
