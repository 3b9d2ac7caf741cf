// Connections that die under requests: Chromium sends a POST again when a connection
// that it has used before dies before the head of the answer has come.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Server } from '../lib/server.mjs';
import { sign } from './backend.mjs';
import { Cutter, Site, connect, launch, openPage, transport, until } from './lib.mjs';

const events = 25;

let browser, site, server;
before(async () => {
  browser = await launch();
  site = await Site.start();
  server = await Server.start();
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.stop();
});

/** join opens a page that is subscribed to a private channel. */
async function join(port, { name, script, polls }) {
  const page = await openPage(browser, site);
  if (script) {
    // The transport of SockJS is not pusher-js's to choose.
    const choose = `(function (SockJS) {
      window.SockJS = function (url, reserved, options) {
        return new SockJS(url, reserved, Object.assign({}, options, { transports: ['xhr-polling'], protocols_whitelist: ['iframe-xhr-polling'] }));
      };
    })(window.SockJS);`;
    const body = readFileSync(new URL(`node_modules/${script}`, import.meta.url), 'utf8') + (polls ? `\n;${choose}` : '');
    await page.context().route('http://js.pusher.com/**/sockjs.js', (route) => route.fulfill({ body, contentType: 'text/javascript' }));
  }
  await page.exposeFunction('sign', sign);
  await connect(page, { wsHost: '127.0.0.1', wsPort: port, httpHost: '127.0.0.1', httpPort: port, enabledTransports: [name] });
  await page.evaluate(() => {
    window.pusher.config.channelAuthorizer = async ({ socketId, channelName }, done) =>
      done(null, { auth: await window.sign(`${socketId}:${channelName}`) });
    window.channel = window.pusher.subscribe('private-room');
    window.channel.bind('client-count', (n) => window.got.push(n));
  });
  await until(page, () => window.channel.subscribed && window.room.subscribed);
  assert.equal(await transport(page), name);
  await page.evaluate(() => {
    window.got.length = 0;
    window.states.length = 0;
  });
  return page;
}

/** count triggers numbered client events, no faster than a connection may. */
const count = (page) =>
  page.evaluate(async (events) => {
    for (let n = 0; n < events; n++) {
      window.channel.trigger('client-count', n);
      await new Promise((resolve) => setTimeout(resolve, 110));
    }
  }, events);

for (const [label, client] of Object.entries({
  'xhr_streaming': { name: 'xhr_streaming' },
  'xhr_polling': { name: 'xhr_polling', polls: true },
  'sockjs of pusher-js, streaming': { name: 'sockjs', script: 'pusher-js/dist/web/sockjs.js' },
  'sockjs of pusher-js, polling': { name: 'sockjs', script: 'pusher-js/dist/web/sockjs.js', polls: true },
  'the newest sockjs, streaming': { name: 'sockjs', script: 'sockjs-client/dist/sockjs.js' },
  'the newest sockjs, polling': { name: 'sockjs', script: 'sockjs-client/dist/sockjs.js', polls: true },
})) {
  for (const reset of [false, true]) {
    test(`${label}: nothing is lost or comes twice when connections are cut by ${reset ? 'reset' : 'FIN'}`, { timeout: 60_000 }, async () => {
      const cutter = await Cutter.start(server.port, { reset });
      const [page, other] = [await join(cutter.port, client), await join(server.port, { name: 'ws' })];
      try {
        await Promise.all([count(page), count(other)]);
        const numbers = [...Array(events).keys()];
        for (const [receiver, why] of [[page, 'events'], [other, 'what was sent']]) {
          await receiver.waitForFunction((events) => window.got.length >= events, events);
          const got = await receiver.evaluate(() => window.got);
          // pusher-js sends without waiting, over several connections.
          assert.deepEqual(receiver === page ? got : got.toSorted((a, b) => a - b), numbers, why);
        }
        assert.deepEqual(await page.evaluate(() => window.states), [], 'the page hears of nothing');
        const { cuts } = cutter;
        assert.ok(cuts.xhr_send > 0, JSON.stringify(cuts));
        if (client.polls) assert.ok(cuts.xhr > 0, JSON.stringify(cuts));
      } finally {
        await page.context().close();
        await other.context().close();
        cutter.stop();
      }
    });
  }
}

test('a stream whose start was cut starts again', { timeout: 60_000 }, async () => {
  for (const reset of [false, true]) {
    const cutter = await Cutter.start(server.port, { reset, every: 1, requests: /^POST \S*\/xhr_streaming/ });
    const page = await join(cutter.port, { name: 'xhr_streaming' });
    assert.ok(cutter.cuts.xhr_streaming > 0);
    await page.context().close();
    cutter.stop();
  }
});
