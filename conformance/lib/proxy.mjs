// Proxies before the server, with the configuration that docs/operations.md shows.

import { spawn, execFile, execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { freePort } from './port.mjs';
import { eventually, within } from './wait.mjs';

const page = readFileSync(fileURLToPath(new URL('../../docs/operations.md', import.meta.url)), 'utf8');

/** shown is the block of the page with these words behind its fence. */
export function shown(words) {
  const [, text] = page.match(new RegExp('^```' + words + '\\n(.*?)^```$', 'ms')) ?? [];
  if (!text) throw new Error(`docs/operations.md has no block ${words}`);
  return text;
}

/** replaced puts what differs on this machine in the place of what is shown, which has to be there. */
export function replaced(text, pairs) {
  for (const [from, to] of pairs) {
    if (!text.includes(from)) throw new Error(`docs/operations.md does not say ${from}`);
    text = text.replaceAll(from, to);
  }
  return text;
}

export const host = 'rt.example.com';

/** second makes the configuration of one server that of two, as the page says. */
export const second = {
  nginx: (port, other) => [[`server 127.0.0.1:${port};`, `server 127.0.0.1:${port} max_fails=0;\n    server 127.0.0.1:${other} max_fails=0;`]],
  caddy: (port, other) => [[`reverse_proxy 127.0.0.1:${port} {`, `reverse_proxy 127.0.0.1:${port} 127.0.0.1:${other} {\n\t\tlb_try_duration 5s`]],
  haproxy: (port, other) => [[`server carillon1 127.0.0.1:${port} check`,
    `option redispatch\n    server carillon1 127.0.0.1:${port} check\n    server carillon2 127.0.0.1:${other} check`]],
};

/** kinds say how to run each, with a file of what it is to do. */
const kinds = {
  nginx: {
    config: ({ folder, port, upstream }) => `
daemon off; pid ${folder}/pid; error_log stderr notice; user root;
${replaced(shown('nginx main'), [['worker_processes auto;', 'worker_processes 1;'], ['32768', '256'], ['65536', '1024']])}
http {
  access_log off;
  client_body_temp_path ${folder}/b; proxy_temp_path ${folder}/p; fastcgi_temp_path ${folder}/f;
  uwsgi_temp_path ${folder}/u; scgi_temp_path ${folder}/s;
  ${replaced(shown('nginx site'), [['listen 443', `listen 127.0.0.1:${port}`], ['127.0.0.1:6001', `127.0.0.1:${upstream}`],
    ['/etc/ssl/rt.example.com.pem', `${folder}/cert.pem`], ['/etc/ssl/rt.example.com.key', `${folder}/key.pem`]])}
}`,
    command: (file, folder) => ['nginx', '-p', folder, '-c', file],
    end: 'SIGTERM',
    reload: async (proxy) => {
      proxy.process.kill('SIGHUP');
      await eventually(() => proxy.log, (log) => /gracefully shutting down/.test(log), 'nginx to have new workers');
    },
  },
  caddy: {
    config: ({ folder, port, upstream, admin }) => `
{
	admin 127.0.0.1:${admin}
	auto_https disable_redirects
	skip_install_trust
}
${replaced(shown('caddy'), [['rt.example.com {', `https://${host}:${port} {\n\tbind 127.0.0.1\n\ttls ${folder}/cert.pem ${folder}/key.pem`],
    ['127.0.0.1:6001', `127.0.0.1:${upstream}`]])}`,
    command: (file) => ['caddy', 'run', '--adapter', 'caddyfile', '--config', file],
    end: 'SIGTERM',
    reload: (proxy) => promisify(execFile)('caddy',
      ['reload', '--force', '--adapter', 'caddyfile', '--config', proxy.file, '--address', `127.0.0.1:${proxy.admin}`], { env: proxy.env }),
  },
  haproxy: {
    config: ({ folder, port, upstream }) => replaced(shown('haproxy'), [['bind :443', `bind 127.0.0.1:${port}`],
      ['/etc/haproxy/rt.example.com.pem', `${folder}/both.pem`], ['127.0.0.1:6001', `127.0.0.1:${upstream}`], ['50000', '256']]),
    command: (file) => ['haproxy', '-W', '-f', file],
    end: 'SIGTERM',
    reload: async (proxy) => {
      const before = proxy.log.length;
      proxy.process.kill('SIGUSR2');
      await eventually(() => proxy.log.slice(before), (log) => /Loading success/.test(log), 'HAProxy to have a new worker');
    },
  },
};

export class Proxy {
  /** start runs a kind of proxy before the port of a server. change may alter its configuration. */
  static async start(t, kind, upstream, change = (text) => text) {
    const proxy = new Proxy();
    const folder = mkdtempSync(join(tmpdir(), `carillon-${kind}-`));
    t.after(() => rmSync(folder, { recursive: true, force: true }));
    const [cert, key] = [join(folder, 'cert.pem'), join(folder, 'key.pem')];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
      '-subj', `/CN=${host}`, '-addext', `subjectAltName=DNS:${host}`, '-out', cert, '-keyout', key], { stdio: 'ignore' });
    proxy.ca = readFileSync(cert);
    writeFileSync(join(folder, 'both.pem'), proxy.ca + readFileSync(key));
    proxy.port = await freePort();
    proxy.admin = await freePort();
    proxy.kind = kinds[kind];
    proxy.file = join(folder, 'config');
    writeFileSync(proxy.file, change(proxy.kind.config({ folder, upstream, port: proxy.port, admin: proxy.admin })));
    proxy.env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin`, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder };
    const [command, ...args] = proxy.kind.command(proxy.file, folder);
    proxy.process = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: proxy.env });
    proxy.log = '';
    proxy.process.stderr.setEncoding('utf8').on('data', (text) => (proxy.log += text));
    // A hook that fails keeps those after it from running: neither is to keep this process.
    const end = () => proxy.process.kill(proxy.kind.end);
    process.once('exit', end);
    proxy.process.unref();
    proxy.process.stderr.unref();
    const exited = new Promise((resolve) => proxy.process.on('exit', resolve).on('error', resolve));
    t.after(async () => {
      process.off('exit', end);
      end();
      await within(exited, () => `${kind} to end: ${proxy.log}`);
    });
    await eventually(() => proxy.get('/up').then((r) => r.status, (error) => `${error}; ${proxy.log}`),
      (status) => status === 200, `${kind} to answer`);
    return proxy;
  }

  /** reload makes it read its file again. */
  reload() {
    return this.kind.reload(this);
  }

  /** to are the options of a connection to it, from an address of this machine. */
  to(from = '127.0.0.1') {
    return {
      ca: this.ca,
      servername: host,
      localAddress: from,
      lookup: (_, { all }, found) => (all ? found(null, [{ address: '127.0.0.1', family: 4 }]) : found(null, '127.0.0.1', 4)),
    };
  }

  /** open sends a request, and returns its response with what has come of it in text. */
  async open(path, { method = 'GET', from, headers, body } = {}) {
    const sent = request({ host, port: this.port, path, method, headers, agent: false, ...this.to(from) });
    sent.end(body);
    const [response] = await within(once(sent, 'response'), `an answer to ${method} ${path}`);
    response.text = '';
    response.setEncoding('utf8').on('data', (text) => (response.text += text));
    response.ended = new Promise((resolve) => response.on('close', resolve).on('error', resolve));
    response.end = () => sent.destroy();
    return response;
  }

  /** get returns the status and the text of a whole response. */
  async get(path, options) {
    const response = await this.open(path, options);
    await within(response.ended, `the end of ${path}`);
    return { status: response.statusCode, text: response.text };
  }
}
