// nginx, Caddy and HAProxy before the server, as docs/operations.md says.

import test from 'node:test';
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { World, credentials } from '../lib/world.mjs';
import { Proxy, host, replaced, second, shown } from '../lib/proxy.mjs';
import { freePort } from '../lib/port.mjs';
import { RawSocket } from '../lib/raw.mjs';
import { eventually, within } from '../lib/wait.mjs';

const behind = ['-trusted-proxies', '127.0.0.1', '-origins', ''];
const ws = `/app/${credentials.key}?protocol=7&client=raw&version=1`;

/** connect opens a WebSocket through a proxy. */
function connect(t, proxy, { from, headers = {} } = {}) {
  const socket = new RawSocket(`wss://${host}:${proxy.port}${ws}`, { headers, tls: proxy.to(from) });
  t.after(() => socket.disconnect());
  return socket;
}

/** listening is a WebSocket that has subscribed to news. */
async function listening(t, proxy) {
  const socket = connect(t, proxy);
  await socket.established();
  socket.send({ event: 'pusher:subscribe', data: { channel: 'news' } });
  await socket.event('pusher_internal:subscription_succeeded');
  return socket;
}

/** arrives waits until a response that does not end has brought some text. */
const arrives = (response, text) => eventually(() => response.text, (all) => all.includes(text), text);

/** streams opens a feed and a connection over xhr_streaming, subscribed to news. */
async function streams(t, proxy) {
  const feed = await proxy.open(`/sse/app/${credentials.key}?channels=news`);
  t.after(() => feed.end());
  assert.equal(feed.statusCode, 200);
  const session = `/pusher/app/${credentials.key}/1/${Math.random().toString(36).slice(2, 10).padEnd(8, 'a')}`;
  const xhr = await proxy.open(`${session}/xhr_streaming?protocol=7&client=js&version=8&t=1&n=1`, { method: 'POST' });
  t.after(() => xhr.end());
  await arrives(xhr, 'connection_established');
  const sent = await post(proxy, `${session}/xhr_send?t=2&n=2`,
    JSON.stringify([JSON.stringify({ event: 'pusher:subscribe', data: { channel: 'news' } })]));
  assert.equal(sent, 204);
  await arrives(xhr, 'subscription_succeeded');
  return [feed, xhr];
}

async function post(proxy, path, body) {
  const response = await proxy.open(path, { method: 'POST', body });
  await within(response.ended, `the end of ${path}`);
  return response.statusCode;
}

for (const kind of ['nginx', 'caddy', 'haproxy']) {
  test(`${kind}: every transport, as it comes`, async (t) => {
    const world = await World.start(t, behind);
    const proxy = await Proxy.start(t, kind, world.server.port);
    const socket = await listening(t, proxy);
    const open = await streams(t, proxy);
    await world.backend().trigger('news', 'headline', 'through');
    await socket.event('headline');
    // The responses have not ended: what has arrived was not held back.
    for (const response of open) {
      await arrives(response, 'through');
      assert.equal(response.complete, false);
    }
  });

  test(`${kind}: the address of the client, and nothing that it claims`, async (t) => {
    const world = await World.start(t, [...behind, '-connections-per-ip', '0.001']);
    const proxy = await Proxy.start(t, kind, world.server.port);
    const origin = `https://${host}:${proxy.port}`;
    for (const from of ['127.0.0.2', '127.0.0.3']) {
      await connect(t, proxy, { from, headers: { Origin: origin } }).established();
      const again = connect(t, proxy, { from, headers: { 'X-Forwarded-For': '192.0.2.1', Forwarded: 'for=192.0.2.1' } });
      assert.notEqual((await again.end()).code, 1000, `${from} may connect once`);
    }
    const claims = { 'X-Forwarded-Host': 'evil.example', 'X-Forwarded-Port': '443', Forwarded: 'host=evil.example' };
    const evil = connect(t, proxy, { from: '127.0.0.4', headers: { Origin: 'https://evil.example', ...claims } });
    await within(Promise.race([evil.end(), evil.frames.next((f) => f.event === 'pusher:error')]), 'a foreign page to be refused');
    assert.deepEqual(evil.frames.all.filter((f) => f.event === 'pusher:connection_established'), []);
  });

  test(`${kind}: a reload`, async (t) => {
    const world = await World.start(t, behind);
    const proxy = await Proxy.start(t, kind, world.server.port);
    const socket = await listening(t, proxy);
    const [feed] = await streams(t, proxy);
    await proxy.reload();
    if (kind === 'caddy') {
      await socket.end(); // as the page says
      await listening(t, proxy);
      return;
    }
    await listening(t, proxy);
    await world.backend().trigger('news', 'headline', 'after the reload');
    await socket.event('headline');
    await arrives(feed, 'after the reload');
  });
}

/** established waits for the greeting of the server, and tells what the proxy has logged if there is none. */
async function established(socket, proxy) {
  try {
    return await socket.established();
  } catch (error) {
    throw new Error(`${error.message}; the proxy logged ${proxy.log.slice(-4000)}`, { cause: error });
  }
}

/** resumed subscribes to news where a client left off, and returns how that went. */
async function resumed(socket, after) {
  socket.send({ event: 'pusher:subscribe', data: { channel: 'news', resume: { v: 1, after } } });
  return socket.event('pusher_internal:subscription_succeeded');
}

for (const kind of ['nginx', 'caddy', 'haproxy']) {
  test(`${kind}: a rolling deploy`, async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-deploy-'));
    const flags = [...behind, '-history', 'news=100', '-storage', `sqlite:${join(folder, 'carillon.db')}`];
    const world = await World.start(t, flags);
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const port = await freePort();
    const proxy = await Proxy.start(t, kind, world.server.port, (text) => replaced(text, second[kind](world.server.port, port)));
    const before = connect(t, proxy);
    await established(before, proxy);
    const { pos } = await resumed(before);

    world.options = { port };
    const old = await world.replace();
    const left = before.end();
    await old.stop();
    assert.equal((await left).code, 4200);
    await world.backend().trigger('news', 'headline', 'missed');
    for (let i = 0; i < 4; i++) {
      const after = connect(t, proxy);
      await established(after, proxy);
      assert.equal((await resumed(after, pos)).resume.status, 'resumed');
      assert.equal((await after.event('headline')).data, 'missed');
    }
  });
}

/** shorter makes the time-outs of a configuration a fortieth of what they are. */
const shorter = (text) => text.replace(/(timeout\s+(?:\w+\s+)?)120s/g, '$13s');

// What shows that nothing is cut for its silence is that something else is: behind the
// same proxy, before a server that would ping only after the time-out.
for (const kind of ['nginx', 'haproxy']) {
  test(`${kind}: silence is shorter than its time-outs`, async (t) => {
    const [pings, silent] = [await World.start(t, [...behind, '-activity-timeout', '1s']), await World.start(t, behind)];
    const proxy = await Proxy.start(t, kind, pings.server.port, shorter);
    const other = await Proxy.start(t, kind, silent.server.port, shorter);
    const socket = await listening(t, proxy);
    await (await listening(t, other)).end(20_000);
    await pings.backend().trigger('news', 'headline', 'still here');
    await socket.event('headline');
  });
}

test('time-outs are longer than the silence before a ping and an answer to it', () => {
  const given = ['nginx site', 'haproxy'].flatMap((words) => [...shown(words).matchAll(/(?:read|send)_timeout (\d+)s|timeout (?:client|server|tunnel) (\d+)s/g)]);
  assert.equal(given.length, 5);
  for (const [text, nginx, haproxy] of given) assert.ok(Number(nginx ?? haproxy) > 45 + 30, text);
});
