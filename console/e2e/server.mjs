// The demo's server: a real broker with people, hostile names and traffic.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));

/** Builds the demo; remove takes it away. */
export async function build() {
  const folder = await mkdtemp(join(tmpdir(), 'carillon-console-'));
  const path = join(folder, 'demo');
  const go = spawn('go', ['build', '-o', path, './internal/demo'], { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code] = await once(go, 'exit');
  if (code !== 0) throw new Error('the demo does not build');
  return { path, remove: () => rm(folder, { recursive: true }) };
}

export class Server {
  static async start(path, ...flags) {
    const server = new Server();
    server.process = spawn(path, ['-until-eof', ...flags], { stdio: ['pipe', 'pipe', 'inherit'] });
    server.exited = once(server.process, 'exit');
    const [line] = await once(createInterface(server.process.stdout), 'line');
    Object.assign(server, JSON.parse(line));
    [server.base] = server.url.split('#');
    return server;
  }

  /** What a call answers, without a page. */
  async call(path, { method = 'GET', body } = {}) {
    const response = await fetch(`${this.base}api/${path}`, {
      method,
      headers: { Authorization: `Bearer ${this.token}`, ...(method !== 'GET' && { 'X-Carillon-Console': '1', 'Content-Type': 'application/json' }) },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    return text ? JSON.parse(text) : null;
  }

  async stop() {
    this.process.stdin.end();
    await this.exited;
  }
}
