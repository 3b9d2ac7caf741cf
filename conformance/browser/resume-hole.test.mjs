// A response whose head was cut by a FIN reads as one without a body: nothing tells
// pusher-js that events were lost.

import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { Faults } from '../lib/resume/faults.mjs';
import { Server } from '../lib/server.mjs';
import { publish } from './backend.mjs';
import { Site, connect, launch, openPage, until } from './lib.mjs';

const addon = readFileSync(new URL('../../clients/pusher-resume/dist/esm/index.js', import.meta.url), 'utf8');

let browser, site, server;
before(async () => {
  browser = await launch();
  site = await Site.start();
  server = await Server.start(['-history', '*=100']);
});
after(async () => {
  await browser?.close();
  site?.stop();
  await server?.stop();
});

for (const resumes of [false, true]) {
  test(`a poll that was lost is ${resumes ? 'noticed and repaired on the same connection' : 'lost without the add-on'}`, async () => {
    const faults = await Faults.start(server.port);
    const page = await openPage(browser, site);
    await page.evaluate(async (url) => (window.resume = (await import(url)).resume), `data:text/javascript,${encodeURIComponent(addon)}`);
    await page.evaluate((resumes) => {
      const { Pusher } = window;
      if (resumes) window.Pusher = function (...args) { return window.resume(new Pusher(...args)); };
    }, resumes);
    await connect(page, { httpHost: '127.0.0.1', httpPort: faults.port, enabledTransports: ['xhr_polling'] });
    await until(page, () => window.room.subscribed);
    await publish(server, 'n', '1');
    await until(page, () => window.got.some(([event, data]) => event === 'n' && data === 1));
    await page.evaluate(() => (window.got.length = window.states.length = 0));
    const socket = await page.evaluate(() => window.pusher.connection.socket_id);

    const struck = faults.struck();
    faults.fault('head');
    await publish(server, 'n', '2');
    await struck;
    await publish(server, 'n', '3');
    await until(page, () => window.got.some(([event, data]) => event === 'n' && data === 3));
    const got = await page.evaluate(() => window.got.map(([event, data]) => (event === 'n' ? data : event)));
    assert.deepEqual(got, resumes ? ['pusher:subscription_succeeded', 'pusher:resumed', 2, 3] : [3]);
    assert.deepEqual(await page.evaluate(() => [window.pusher.connection.socket_id, ...window.states]), [socket], 'the page hears of nothing');
    await page.context().close();
    faults.stop();
  });
}
