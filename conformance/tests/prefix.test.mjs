// The server under a path. The SDK for Node knows no prefix: what its users do
// is to put it into the host, and then it is not signed, or into the path, and
// then it is.

import { describe, test } from 'node:test';
import assert from 'node:assert/strict';
import { World } from '../lib/world.mjs';
import { basics } from '../lib/basics.mjs';
import { request } from '../lib/http.mjs';

for (const prefix of ['/realtime', '/deep/er/apps/app']) {
  describe(`under ${prefix}, which is not signed`, () => {
    basics({
      flags: ['-prefix', prefix],
      backend: (world, options) =>
        world.backend({ host: `127.0.0.1:${world.server.port}${prefix}`, port: undefined, ...options }),
    });
  });

  describe(`under ${prefix}, which is signed`, () => {
    basics({
      flags: ['-prefix', prefix],
      backend: (world, options) => {
        const backend = world.backend(options);
        backend.config.prefixPath = (path) => `${prefix}/apps/1${path}`;
        return backend;
      },
    });
  });
}

test('a prefix may be given with slashes or without', async (t) => {
  for (const prefix of ['realtime', '/realtime/', 'realtime/']) {
    const world = await World.start(t, ['-prefix', prefix]);
    assert.equal(world.server.prefix, '/realtime');
    await world.connected();
  }
});

test('nothing is served outside of the prefix but the state of the server', async (t) => {
  const world = await World.start(t, ['-prefix', '/realtime']);
  assert.equal((await request(world, { path: '/apps/1/channels' })).status, 404);
  assert.equal((await request(world, { path: '/realtime/apps/1/channels' })).status, 200);
  assert.equal((await fetch(`${world.server.url.origin}/up`)).status, 200);
});

test('a signature for another prefix is refused', async (t) => {
  const world = await World.start(t, ['-prefix', '/realtime']);
  const response = await request(world, { path: '/realtime/apps/1/channels', signedPath: '/other/apps/1/channels' });
  assert.equal(response.status, 401);
});
