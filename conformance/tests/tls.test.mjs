// The server with a certificate of its own. Node reads NODE_EXTRA_CA_CERTS when
// it starts, so that this file runs itself once more with it.

import { spawn, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'node:test';
import assert from 'node:assert/strict';
import { World } from '../lib/world.mjs';
import { basics } from '../lib/basics.mjs';

const cert = process.env.CONFORMANCE_TLS_CERT;

if (cert) {
  const flags = ['-tls-cert', cert, '-tls-key', process.env.CONFORMANCE_TLS_KEY];
  basics({ flags });

  test('the URL says that it is TLS', async (t) => {
    const world = await World.start(t, flags);
    assert.equal(world.server.url.protocol, 'https:');
    const response = await fetch(`${world.server.url.origin}/up`);
    assert.equal(response.status, 200);
  });
} else {
  test('all of it over TLS', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'carillon-conformance-tls-'));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const [certFile, keyFile] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync('openssl', [
      'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1',
      '-out', certFile, '-keyout', keyFile,
    ], { stdio: 'ignore' });

    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const child = spawn(process.execPath, ['--test-reporter=spec', fileURLToPath(import.meta.url)], {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...env, NODE_EXTRA_CA_CERTS: certFile, CONFORMANCE_TLS_CERT: certFile, CONFORMANCE_TLS_KEY: keyFile },
    });
    let report = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (report += text));
    const [code] = await once(child, 'exit');
    assert.equal(code, 0, report);
    assert.match(report, /pass 7\b/, report);
  });
}
