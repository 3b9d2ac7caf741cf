// The add-on for pusher-js over reloads of a page.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { Server } from '../lib/server.mjs';
import { publish } from './backend.mjs';
import { launch, until } from './lib.mjs';

const read = (path) => readFileSync(new URL(path, import.meta.url));
const files = {
  '/pusher.js': ['text/javascript', read('node_modules/pusher-js/dist/web/pusher.js')],
  '/resume.js': ['text/javascript', read('../../clients/pusher-resume/dist/esm/index.js')],
};

let browser, site, server;
before(async () => {
  server = await Server.start(['-history', '*=100']);
  const page = `<!doctype html><title>page</title><script src="/pusher.js"></script><script type="module">
    import { resume } from '/resume.js';
    const options = { cluster: '', forceTLS: false, disableStats: true, enabledTransports: ['ws'], wsHost: '127.0.0.1', wsPort: ${server.port} };
    window.got = [];
    window.pusher = resume(new Pusher('app-key', options), { storage: sessionStorage });
    window.pusher.subscribe('room').bind_global((event, data) => window.got.push(event.startsWith('pusher:') ? event : data));
  </script>`;
  site = createServer((request, response) => {
    const [type, body] = files[request.url] ?? ['text/html', page];
    response.setHeader('Content-Type', type).end(body);
  }).listen(0, '127.0.0.1');
  await once(site, 'listening');
  browser = await launch();
});
after(async () => {
  await browser?.close();
  site?.closeAllConnections();
  site?.close();
  await server?.stop();
});

test('a page goes on where it was, and a duplicate of its tab starts anew', async () => {
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.goto(`http://127.0.0.1:${site.address().port}/`);
  await until(page, () => window.got?.includes('pusher:subscription_succeeded'));
  await publish(server, 'n', '1');
  await until(page, () => window.got.includes(1));

  await page.goto('about:blank');
  await publish(server, 'n', '2');
  await page.goBack();
  await until(page, () => window.got?.includes(2));
  const succeeded = await page.evaluate(() => window.got.lastIndexOf('pusher:subscription_succeeded'));
  assert.deepEqual((await page.evaluate(() => window.got)).slice(succeeded), ['pusher:subscription_succeeded', 'pusher:resumed', 2]);

  await page.reload();
  await until(page, () => window.got?.includes('pusher:resumed'));
  assert.deepEqual(await page.evaluate(() => window.got), ['pusher:subscription_succeeded', 'pusher:resumed']);

  // A window that a page opens has a copy of its session storage.
  const [copy] = await Promise.all([context.waitForEvent('page'), page.evaluate(() => void window.open(location.href))]);
  await until(copy, () => window.got?.includes('pusher:subscription_succeeded'));
  await publish(server, 'n', '3');
  await until(copy, () => window.got.includes(3));
  assert.deepEqual(await copy.evaluate(() => window.got), ['pusher:subscription_succeeded', 3]);
  await context.close();
});
