// Restarts by SIGUSR2: a new process takes the sockets over, clients go on in it.

import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { resume } from '../../clients/pusher-resume/dist/esm/index.js';
import { World, subscribe } from '../lib/world.mjs';
import { eventually } from '../lib/wait.mjs';

const handovers = 3;
const publishers = 3;

test('three processes in a row: nothing is refused, and nothing missed', { timeout: 120_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-handover-'));
  const world = await World.start(t, ['-storage', `sqlite:${join(folder, 'carillon.db')}`, '-history', 'kept-*=10000']);
  t.after(() => rmSync(folder, { recursive: true, force: true }));

  const clients = [];
  for (let i = 0; i < 4; i++) {
    const client = world.client(i % 2 ? { enabledTransports: ['xhr_streaming'], httpHost: '127.0.0.1', httpPort: world.server.port } : {});
    const away = { since: 0, longest: 0 };
    client.connection.bind('state_change', ({ previous, current }) => {
      if (previous === 'connected') away.since = Date.now();
      if (current === 'connected' && away.since) away.longest = Math.max(away.longest, Date.now() - away.since);
    });
    const channel = await subscribe(resume(client), 'kept-a');
    const got = { seen: Array.from({ length: publishers }, () => []), gaps: 0, resumed: 0, away };
    channel.bind('number', ({ publisher, n }) => got.seen[publisher].push(n));
    channel.bind('pusher:gap', () => got.gaps++);
    channel.bind('pusher:resumed', () => got.resumed++);
    clients.push(got);
  }

  // Backends publish, with connections that are kept and with new ones, and somebody
  // knocks at the door, all the while.
  let publishing = true;
  const sent = Array(publishers).fill(0);
  const busy = sent.map(async (_, publisher) => {
    // One that is used again and again is told to end before its process does; a spare one
    // that is idle is closed, as by any server, and might be taken at that very moment.
    const backend = world.backend({ agent: new Agent({ keepAlive: publisher > 0, maxSockets: 1 }) });
    while (publishing) {
      await backend.trigger('kept-a', 'number', { publisher, n: sent[publisher] }).catch((error) => {
        throw new Error(`publish ${sent[publisher]}: ${error.message}, status ${error.status}, ${error.error}`);
      });
      sent[publisher]++;
    }
  });
  let knocks = 0;
  busy.push((async () => {
    while (publishing) {
      const answer = await fetch(`http://127.0.0.1:${world.server.port}/up`).catch((error) => {
        throw new Error(`knock ${knocks}: ${error}, ${error.cause}`);
      });
      assert.equal(await answer.text(), 'ok\n');
      knocks++;
    }
  })());
  let failed;
  const all = Promise.all(busy).catch((error) => (failed = error));

  for (let i = 1; i <= handovers; i++) {
    await world.server.handOver();
    await eventually(() => clients.map((c) => c.resumed), (resumed) => failed || resumed.every((n) => n >= i), `${i} resumptions of each client`);
    if (failed) throw failed;
  }
  publishing = false;
  await all;
  if (failed) throw failed;

  for (const client of clients) {
    await eventually(() => client.seen.map((s) => s.length), (lengths) => lengths.every((n, i) => n >= sent[i]), `all of ${sent}`);
    for (const [i, seen] of client.seen.entries()) {
      assert.deepEqual(seen, Array.from({ length: sent[i] }, (_, n) => n), 'each once, in order');
    }
    assert.equal(client.gaps, 0);
  }
  t.diagnostic(`${sent.join('+')} events, ${knocks} knocks; longest time away: ${clients.map((c) => c.away.longest).join(', ')} ms`);
});
