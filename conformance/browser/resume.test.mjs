// The add-on for pusher-js in Chromium: nothing is missed, comes twice or comes back,
// however connections end.

import test from 'node:test';
import { readFileSync } from 'node:fs';
import Backend from 'pusher';
import { Server } from '../lib/server.mjs';
import { Site, cuts, encryptionMasterKeyBase64, judge, seed } from '../lib/resume/judge.mjs';
import { launch } from './lib.mjs';

const setups = [
  { transport: 'ws', version: 'newest', throws: true },
  { transport: 'ws', version: '4.4', echo: 'client', slow: true },
  { transport: 'xhr_streaming', version: '4.4', throws: true, slow: true },
  { transport: 'xhr_streaming', version: 'newest', echo: 'connector' },
  { transport: 'xhr_polling', version: 'newest', slow: true },
  { transport: 'xhr_polling', version: '4.4', echo: 'client', throws: true },
  { transport: 'sockjs', version: 'newest', throws: true },
  { transport: 'sockjs', version: '4.4', echo: 'connector', slow: true },
].map((setup) => ({ ...setup, label: ['chromium', setup.transport, setup.version, ...(setup.echo ? ['echo'] : [])].join('-') }));

const read = (path) => readFileSync(new URL(path, import.meta.url));
const script = (path) => ['text/javascript', read(path)];
const page = (version) => ['text/html', `<!doctype html><title>page</title><script src="/pusher-${version}.js"></script>
<script type="module">
  import Echo from '/echo.js';
  import { resume } from '/resume.js';
  import { start } from '/client.js';
  const post = async (path, body) => (await fetch(path, { method: 'POST', body: JSON.stringify(body) })).json();
  window.start = (setup) => { window.pusher = start({ Pusher, resume, Echo, setup, post, report: window.report }); };
</script>`];
const files = {
  '/4.4': page('4.4'),
  '/newest': page('newest'),
  '/pusher-4.4.js': script('node_modules/pusher-js-4/dist/web/pusher.js'),
  '/pusher-newest.js': script('node_modules/pusher-js/dist/web/pusher-with-encryption.js'),
  '/echo.js': script('node_modules/laravel-echo/dist/echo.js'),
  '/resume.js': script('../../clients/pusher-resume/dist/esm/index.js'),
  '/client.js': script('../lib/resume/client.js'),
};
const sockjs = { '4.4': read('node_modules/pusher-js-4/dist/web/sockjs.js'), newest: read('node_modules/pusher-js/dist/web/sockjs.js') };

test(`${cuts} cuts each, SEED=${seed}`, { timeout: (60 + 12 * cuts) * 1000 }, async (t) => {
  const server = await Server.start(['-history', '*=5000', '-hosts', '127.0.0.1:*'], {
    env: { PUSHER_ENCRYPTION_MASTER_KEY_BASE64: encryptionMasterKeyBase64 },
  });
  const site = await Site.start(new Backend({ appId: '1', key: 'app-key', secret: 'app-secret', encryptionMasterKeyBase64 }), files);
  const browser = await launch();
  const pages = new Map();
  const judged = await judge(setups, {
    Backend,
    server,
    site,
    launch: async (setup, report) => {
      const page = await (await browser.newContext()).newPage();
      pages.set(setup.label, page);
      await page.context().route('http://js.pusher.com/**', (route) => route.fulfill({ body: sockjs[setup.version], contentType: 'text/javascript' }));
      await page.exposeFunction('report', report);
      await page.goto(`${site.url}/${setup.version}`);
      await page.waitForFunction(() => window.start);
      await page.evaluate((setup) => window.start(setup), setup);
    },
    again: (label) =>
      pages.get(label).evaluate(() => {
        window.pusher.disconnect();
        window.pusher.connect();
      }),
  });
  try {
    // One that fails does not keep the others from their verdict.
    const runs = judged.map((j) => j.run().catch((error) => error));
    for (const [i, j] of judged.entries()) {
      await t.test(j.setup.label, async () => {
        const error = await runs[i];
        t.diagnostic(j.summary);
        j.verdict(error);
      });
    }
  } finally {
    await browser.close();
    for (const j of judged) j.faults.stop();
    site.stop();
    await server.stop();
  }
});
