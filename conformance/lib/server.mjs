// The server under test: cmd/carillon, one process for each test.

import { spawn, execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { once } from 'node:events';
import assert from 'node:assert/strict';
import { within } from './wait.mjs';

export const credentials = { appId: '1', key: 'app-key', secret: 'app-secret' };

const repository = resolve(fileURLToPath(import.meta.url), '../../..');

/** build compiles the server into a new folder and returns both paths. */
export function build() {
  const folder = mkdtempSync(join(tmpdir(), 'carillon-conformance-'));
  const path = join(folder, 'carillon');
  try {
    execFileSync('go', ['build', '-o', path, './cmd/carillon'], { cwd: repository, stdio: 'inherit' });
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    throw error;
  }
  return { path, folder };
}

let built;

/** binary is the path of the server: CARILLON_BIN, or one that is built for this process. */
function binary() {
  if (process.env.CARILLON_BIN) return process.env.CARILLON_BIN;
  if (!built) {
    built = build();
    process.on('exit', () => rmSync(built.folder, { recursive: true, force: true }));
  }
  return built.path;
}

export class Server {
  /** start runs the server with flags, on a free port unless one is given. */
  static async start(flags = [], { port = 0, env = {} } = {}) {
    const server = new Server();
    server.process = spawn(binary(), flags, {
      stdio: ['ignore', 'ignore', 'pipe'],
      env: {
        ...process.env,
        ADDR: `127.0.0.1:${port}`,
        PUSHER_APP_ID: credentials.appId,
        PUSHER_APP_KEY: credentials.key,
        PUSHER_APP_SECRET: credentials.secret,
        ...env,
      },
    });
    server.pid = server.process.pid;
    server.exited = once(server.process, 'exit');
    server.log = '';
    const url = await within(
      new Promise((found, failed) => {
        server.process.stderr.setEncoding('utf8').on('data', (text) => {
          server.log += text;
          const serving = server.log.match(/msg=serving url=(\S+)/);
          if (serving) found(serving[1]);
        });
        server.exited.then(([code]) => failed(new Error(`server ended with ${code}: ${server.log}`)), failed);
      }),
      () => `the server to start: ${server.log}`,
    );
    server.url = new URL(url);
    server.port = Number(server.url.port);
    server.prefix = server.url.pathname.replace(/\/$/, '');
    server.tls = server.url.protocol === 'https:';
    return server;
  }

  /** handOver has another process take over, and returns when the one before has ended. */
  async handOver() {
    const ended = this.#count(/msg=ended/g);
    process.kill(this.pid, 'SIGUSR2');
    await this.#logged(/msg=ended/g, ended + 1);
    this.pid = Number([...this.log.matchAll(/msg=serving .*pid=(\d+)/g)].at(-1)[1]);
  }

  #count(text) {
    return [...this.log.matchAll(text)].length;
  }

  /** #logged waits until the log has a text so often. */
  async #logged(text, times) {
    await within(
      new Promise((resolve) => {
        const look = () => this.#count(text) >= times && resolve();
        this.process.stderr.on('data', look);
        look();
      }),
      () => `${text} in ${this.log}`,
      30_000,
    );
  }

  /** stop ends the server as an orchestrator does, and checks that it went well. */
  async stop() {
    if (this.pid !== this.process.pid) {
      // A process of a process: it says that it has ended, and nothing else does.
      const ended = this.#count(/msg=ended/g);
      process.kill(this.pid, 'SIGTERM');
      await this.#logged(/msg=ended/g, ended + 1);
      assert.doesNotMatch(this.log, /level=ERROR|panic|DATA RACE/);
      return;
    }
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGTERM');
    const [code, signal] = await within(this.exited, () => `the server to end: ${this.log}`);
    assert.equal(code, 0, `server ended with ${code ?? signal}: ${this.log}`);
    assert.doesNotMatch(this.log, /level=ERROR|panic|DATA RACE/);
  }

  /** kill ends the server as a crash does. */
  async kill() {
    this.process.kill('SIGKILL');
    await within(this.exited, 'the server to be gone');
  }
}
