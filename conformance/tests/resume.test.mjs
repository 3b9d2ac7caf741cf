// The add-on for pusher-js in Node: nothing is missed, comes twice or comes back,
// however connections end.

import test from 'node:test';
import { fork } from 'node:child_process';
import Backend from 'pusher';
import { Server } from '../lib/server.mjs';
import { Site, cuts, encryptionMasterKeyBase64, judge, seed } from '../lib/resume/judge.mjs';

const setups = [
  { transport: 'ws', version: '4.4', throws: true },
  { transport: 'ws', version: 'newest', echo: 'client', slow: true },
  { transport: 'xhr_streaming', version: 'newest', throws: true, slow: true },
  { transport: 'xhr_streaming', version: '4.4', echo: 'connector' },
  { transport: 'xhr_polling', version: '4.4', slow: true },
  { transport: 'xhr_polling', version: 'newest', echo: 'client', throws: true },
].map((setup) => ({ ...setup, label: ['node', setup.transport, setup.version, ...(setup.echo ? ['echo'] : [])].join('-') }));

test(`${cuts} cuts each, SEED=${seed}`, { timeout: (60 + 12 * cuts) * 1000 }, async (t) => {
  const server = await Server.start(['-history', '*=5000'], { env: { PUSHER_ENCRYPTION_MASTER_KEY_BASE64: encryptionMasterKeyBase64 } });
  const site = await Site.start(new Backend({ appId: '1', key: 'app-key', secret: 'app-secret', encryptionMasterKeyBase64 }));
  const child = fork(new URL('../lib/resume/node.mjs', import.meta.url));
  const reports = new Map();
  child.on('message', ({ label, entry }) => reports.get(label)(entry));
  const judged = await judge(setups, {
    Backend,
    server,
    site,
    launch: (setup, report) => {
      reports.set(setup.label, report);
      child.send({ setup });
    },
    again: (label) => child.send({ again: label }),
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
    child.disconnect();
    for (const j of judged) j.faults.stop();
    site.stop();
    await server.stop();
  }
});
