// The sockjs transport of pusher-js, with the SockJS client that it brings along,
// which speaks out of a frame, and with the newest one, which asks across origins.

import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { Server } from '../lib/server.mjs';
import { sign } from './backend.mjs';
import { Proxy, Site, connect, launch, openPage, transport, until } from './lib.mjs';

let browser, site;
before(async () => {
  browser = await launch();
  site = await Site.start();
});
after(async () => {
  await browser?.close();
  site?.stop();
});

/** open opens a page that finds the script on the CDN of pusher-js. */
async function open(script) {
  const page = await openPage(browser, site);
  await page.context().route('http://js.pusher.com/**/sockjs.js', (route) =>
    route.fulfill({ path: new URL(`node_modules/${script}`, import.meta.url).pathname, contentType: 'text/javascript' }));
  await page.exposeFunction('sign', sign);
  return page;
}

const options = (port) => ({ httpHost: '127.0.0.1', httpPort: port, enabledTransports: ['sockjs'] });

/** join connects, and subscribes to a presence channel as the user. */
async function join(page, port, user) {
  await connect(page, options(port));
  await page.evaluate((user) => {
    // Set afterwards, since functions do not pass into the page.
    window.pusher.config.channelAuthorizer = async ({ socketId, channelName }, done) => {
      const channel_data = JSON.stringify({ user_id: user });
      done(null, { auth: await window.sign(`${socketId}:${channelName}:${channel_data}`), channel_data });
    };
    window.presence = window.pusher.subscribe('presence-room');
    window.presence.bind('client-hello', (data, { user_id }) => window.got.push(['client-hello', data, user_id]));
  }, user);
  await until(page, () => window.presence.subscribed && window.room.subscribed);
  assert.equal(await transport(page), 'sockjs');
}

for (const [name, script] of [
  ['the SockJS client of pusher-js', 'pusher-js/dist/web/sockjs.js'],
  ['the newest SockJS client', 'sockjs-client/dist/sockjs.js'],
]) {
  describe(name, () => {
    let server, ann, bob;
    before(async () => {
      server = await Server.start(['-origins', site.url.replace(/\/$/, ''), '-hosts', '127.0.0.1:*']);
      [ann, bob] = [await open(script), await open(script)];
    });
    after(async () => {
      await ann?.context().close();
      await bob?.context().close();
      await server?.stop();
    });

    test('connects across origins, and members see each other', async () => {
      await join(ann, server.port, 'ann');
      await join(bob, server.port, 'bob');
      await until(ann, () => window.presence.members.count === 2);
      assert.deepEqual(await bob.evaluate(() => Object.keys(window.presence.members.members).sort()), ['ann', 'bob']);
    });

    test('sends client events, in order and beyond the length of a response', async () => {
      const text = 'ü'.repeat(4000);
      for (let i = 0; i < 100; i++) {
        await ann.evaluate(([i, text]) => window.presence.trigger('client-hello', { i, text }), [i, text]);
        // No more than a connection may send.
        await new Promise((resolve) => setTimeout(resolve, 105));
      }
      await until(bob, () => window.got.filter(([event]) => event === 'client-hello').length === 100);
      const got = await bob.evaluate(() => window.got.filter(([event]) => event === 'client-hello').map(([, data, user]) => [data.i, user]));
      assert.deepEqual(got, [...Array(100).keys()].map((i) => [i, 'ann']));
      assert.equal(await bob.evaluate(() => window.pusher.connection.state), 'connected');
    });

    test('comes back after the server was restarted', async () => {
      await ann.evaluate(() => (window.states.length = 0));
      const { port } = server;
      await server.stop();
      server = await Server.start([], { port });
      await ann.waitForFunction(() => window.states.at(-1) === 'connected' && window.presence.subscribed, null, { timeout: 60_000 });
      assert.equal(await transport(ann), 'sockjs');
    });

    test('is told why it may not connect', async () => {
      const page = await open(script);
      await page.evaluate((options) => {
        window.errors = [];
        const pusher = new Pusher('wrong-key', { cluster: '', forceTLS: false, disableStats: true, ...options });
        pusher.connection.bind('error', (error) => window.errors.push(error?.data?.code ?? error?.error?.data?.code));
      }, options(server.port));
      await until(page, () => window.errors.includes(4001));
      await page.context().close();
    });

    test('may not connect from another origin', async () => {
      const closed = await Server.start(['-origins', 'https://other.example']);
      const page = await open(script);
      await connect(page, options(closed.port));
      await until(page, () => window.states.includes('error 4009'));
      await page.context().close();
      await closed.stop();
    });

    test('polls behind a proxy that buffers whatever it is asked', async () => {
      const proxy = await Proxy.start(server.port, { deaf: true });
      const page = await open(script);
      await connect(page, options(proxy.port));
      await page.waitForFunction(() => window.room.subscribed, null, { timeout: 60_000 });
      assert.equal(await transport(page), 'sockjs');
      await page.context().close();
      await proxy.stop();
    });
  });
}
