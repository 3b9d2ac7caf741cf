// pusher-js over WebSocket in every browser: in a page and in a Web Worker, plain
// and with permessage-deflate.

import { after, before, describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { Balancer } from '../lib/balancer.mjs';
import { Server } from '../lib/server.mjs';
import { eventually } from '../lib/wait.mjs';
import { publish, sign } from './backend.mjs';
import { browsers } from './browsers.mjs';

const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8');
const served = {
  '/page': ['text/html', '<!doctype html><title>page</title><script src="/pusher.js"></script><script src="/page.js"></script>'],
  '/worker': ['text/html', read('worker.html')],
  '/pusher.js': ['text/javascript', read('node_modules/pusher-js/dist/web/pusher.js')],
  '/page.js': ['text/javascript', read('page.js')],
  '/worker.js': ['text/javascript', `${read('node_modules/pusher-js/dist/worker/pusher.worker.js')}\n${read('page.js')}`],
};

/** startSite serves the pages, and authorizes whoever asks, as the user that the query names. */
async function startSite() {
  const site = createServer(async (request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://site');
    if (pathname === '/auth') {
      let text = '';
      for await (const chunk of request) text += chunk;
      const form = new URLSearchParams(text);
      const channel_data = JSON.stringify({ user_id: searchParams.get('user') });
      const presence = form.get('channel_name').startsWith('presence-') ? { channel_data } : {};
      const signed = [form.get('socket_id'), form.get('channel_name'), ...Object.values(presence)].join(':');
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify({ auth: sign(signed), ...presence }));
    } else if (served[pathname]) {
      response.setHeader('Content-Type', served[pathname][0]).end(served[pathname][1]);
    } else {
      response.writeHead(404).end();
    }
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  return site;
}

/** Tab is a page, or a worker of a page, with pusher-js in it. */
class Tab {
  static async open(browser, site, place, wsPort, user) {
    const tab = new Tab();
    tab.context = await browser.newContext();
    tab.page = await tab.context.newPage();
    tab.origin = `http://127.0.0.1:${site.address().port}`;
    await tab.page.goto(`${tab.origin}/${place}`);
    await tab.call('start', {
      wsHost: '127.0.0.1',
      wsPort,
      channelAuthorization: { endpoint: `${tab.origin}/auth?user=${user}`, transport: 'ajax' },
    });
    await tab.until('connected', 'state');
    return tab;
  }

  call(...args) {
    return this.page.evaluate((args) => self.call(...args), args);
  }

  /** until waits until a call gives a value. */
  until(wanted, ...args) {
    return eventually(() => this.call(...args), (value) => value === wanted, `${args.join(' ')} to be ${wanted}`);
  }

  async join(name) {
    await this.call('join', name);
    await this.until(true, 'subscribed', name);
  }

  /** heard waits for an event, and gives its data. */
  async heard(event) {
    await this.until(true, 'heard', event);
    return this.call('dataOf', event);
  }

  close() {
    return this.context.close();
  }
}

/** noise is text that hardly deflates, the same each time. */
function noise(length) {
  let text = '';
  for (let x = 1; text.length < length; x = (x * 48271) % 2147483647) text += String.fromCharCode(40 + (x % 50));
  return text;
}

// What deflates well, what hardly does, and what is not ASCII.
const texts = {
  repeated: 'all work and no play '.repeat(450),
  random: noise(6000),
  foreign: 'grüße 🎶 王 '.repeat(300),
  short: 'x',
};

for (const { name, launch } of browsers) {
  describe(name, () => {
    let browser, site;
    before(async () => {
      browser = await launch();
      site = await startSite();
    });
    after(async () => {
      await browser?.close();
      site?.closeAllConnections();
      site?.close();
    });

    for (const place of ['page', 'worker']) {
      for (const [how, flags, extension] of [['plain', [], /^$/], ['compressed', ['-compress', '64'], /^permessage-deflate/]]) {
        describe(`in a ${place}, ${how}`, () => {
          let server, balancer, endBalancer, ann, bob;
          before(async () => {
            server = await Server.start(flags);
            balancer = await Balancer.start({ after: (end) => (endBalancer = end) }, server.port);
            ann = await Tab.open(browser, site, place, balancer.port, 'ann');
            bob = await Tab.open(browser, site, place, balancer.port, 'bob');
          });
          after(async () => {
            endBalancer?.();
            await ann?.close();
            await bob?.close();
            await server?.stop();
          });

          test('connects', async () => {
            assert.equal(await ann.call('isWorker'), place === 'worker');
            assert.equal(await ann.call('connectedBy'), 'ws');
            assert.match(await ann.call('extensions'), extension);
          });

          test('is authorized, and sees who is there', async () => {
            for (const tab of [ann, bob]) {
              await tab.join('room');
              await tab.join('presence-room');
              await tab.join('private-room');
            }
            assert.deepEqual(await bob.call('members', 'presence-room'), ['ann', 'bob']);
          });

          test('events of the backend arrive as they were', async () => {
            for (const [event, text] of Object.entries(texts)) {
              await publish(server, event, JSON.stringify({ text }));
              for (const tab of [ann, bob]) assert.deepEqual(await tab.heard(event), { text });
            }
          });

          test('events of clients arrive as they were', async () => {
            for (const [event, text] of Object.entries(texts)) {
              assert.equal(await ann.call('trigger', 'private-room', `client-${event}`, { text }), true);
              assert.deepEqual(await bob.heard(`client-${event}`), { text });
            }
          });

          test('goes on when another process takes over', async () => {
            const old = server;
            server = await Server.start(flags);
            balancer.to = server.port;
            await old.stop();
            // Who has come back is answered in order: first the room, then the others.
            for (const [tab, event] of [[ann, 'for-ann'], [bob, 'for-bob']]) {
              await eventually(
                async () => {
                  await publish(server, event, '{}');
                  return tab.call('heard', event);
                },
                Boolean, `${event} to arrive`,
              );
              await tab.until(true, 'subscribed', 'private-room');
              assert.match(await tab.call('extensions'), extension);
            }
            await eventually(() => ann.call('members', 'presence-room'), (ids) => ids.join() === 'ann,bob', 'ann to see both');
          });
        });
      }
    }
  });
}
