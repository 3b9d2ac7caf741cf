// A page with pusher-js, a browser to open it in, and a proxy to put in between.

import { createServer } from 'node:http';
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect as connectTCP, createServer as createTCPServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { freePort } from '../lib/port.mjs';
import { eventually } from '../lib/wait.mjs';

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync',
    ],
  });

const library = readFileSync(new URL('node_modules/pusher-js/dist/web/pusher.js', import.meta.url));

/** Site serves a page with pusher-js, from an origin of its own. */
export class Site {
  static async start() {
    const site = new Site();
    site.http = createServer((request, response) => {
      if (request.url === '/pusher.js') {
        response.setHeader('Content-Type', 'text/javascript').end(library);
      } else {
        response.setHeader('Content-Type', 'text/html').end('<!doctype html><title>page</title><script src="/pusher.js"></script>');
      }
    });
    site.http.listen(0, '127.0.0.1');
    await once(site.http, 'listening');
    site.url = `http://127.0.0.1:${site.http.address().port}/`;
    return site;
  }

  stop() {
    this.http.closeAllConnections();
    this.http.close();
  }
}

/** openPage opens the site's page, with WebSocket taken away if so asked. */
export async function openPage(browser, site, { webSocket = true } = {}) {
  const context = await browser.newContext();
  const page = await context.newPage();
  if (!webSocket) {
    await page.addInitScript(() => {
      // What a policy or a proxy does: the constructor is there, connections fail.
      window.WebSocket = class extends EventTarget {
        constructor() {
          super();
          setTimeout(() => {
            this.onerror?.(new Event('error'));
            this.onclose?.(new CloseEvent('close', { code: 1006 }));
          });
        }
        send() {}
        close() {}
      };
    });
  }
  await page.goto(site.url);
  return page;
}

/** connect makes a Pusher in the page that keeps what it is told. */
export async function connect(page, options) {
  await page.evaluate((options) => {
    window.got = [];
    window.states = [];
    window.pusher = new Pusher('app-key', { cluster: '', forceTLS: false, disableStats: true, ...options });
    window.pusher.connection.bind('state_change', ({ current }) => window.states.push(current));
    window.pusher.connection.bind('error', (error) => window.states.push(`error ${error?.data?.code ?? error?.error?.data?.code}`));
    window.room = window.pusher.subscribe('room');
    window.room.bind_global((event, data) => window.got.push([event, data]));
  }, options);
}

/** transport is the name of the transport that carries the page's connection. */
export const transport = (page) => page.evaluate(() => window.pusher.connection.connection?.transport.name);

/** until waits until an expression in the page is true. */
export const until = (page, expression) =>
  eventually(() => page.evaluate(expression), Boolean, expression);

/** Proxy is an nginx that buffers, knows no WebSocket, and stands before the server. */
export class Proxy {
  /** With deaf set it buffers even what asks not to be. */
  static async start(upstream, { deaf = false } = {}) {
    const proxy = new Proxy();
    proxy.port = await freePort();
    proxy.folder = mkdtempSync(join(tmpdir(), 'carillon-nginx-'));
    const config = join(proxy.folder, 'nginx.conf');
    writeFileSync(config, `
daemon off; master_process off; pid ${proxy.folder}/pid; error_log stderr warn; user root;
events {}
http {
  access_log off;
  client_body_temp_path ${proxy.folder}/body; proxy_temp_path ${proxy.folder}/proxy;
  fastcgi_temp_path ${proxy.folder}/f; uwsgi_temp_path ${proxy.folder}/u; scgi_temp_path ${proxy.folder}/s;
  server {
    listen 127.0.0.1:${proxy.port};
    location / { proxy_pass http://127.0.0.1:${upstream}; proxy_buffering on;${deaf ? ' proxy_ignore_headers X-Accel-Buffering;' : ''} }
  }
}`);
    proxy.process = spawn('nginx', ['-p', proxy.folder, '-c', config], { stdio: ['ignore', 'ignore', 'inherit'] });
    proxy.exited = once(proxy.process, 'exit');
    await eventually(
      () => fetch(`http://127.0.0.1:${proxy.port}/up`).then((r) => r.ok, () => false),
      Boolean, 'nginx to answer',
    );
    return proxy;
  }

  async stop() {
    this.process.kill('SIGQUIT');
    setTimeout(() => this.process.kill('SIGTERM'), 500).unref();
    await this.exited;
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/**
 * Cutter is a proxy that cuts connections which have been used before, by FIN or by
 * reset, when the server has answered and before the browser has seen a byte of it:
 * the browser sends such a request again, and the page hears of nothing.
 */
export class Cutter {
  /** It cuts every so manieth request of these that it may. */
  static async start(upstream, { reset, every = 3, requests = /^POST \S*\/xhr/ }) {
    const cutter = new Cutter();
    Object.assign(cutter, { sockets: new Set(), cuts: {} });
    let cuttable = 0;
    cutter.tcp = createTCPServer((client) => {
      const server = connectTCP(upstream, '127.0.0.1');
      let used = 0;
      let cut;
      for (const socket of [client, server]) {
        cutter.sockets.add(socket);
        socket.on('error', () => {});
        socket.on('close', () => {
          cutter.sockets.delete(socket);
          client.destroy();
          server.destroy();
        });
      }
      client.on('data', (data) => {
        const head = data.toString('latin1').split('\r\n', 1)[0];
        if (/^(GET|POST|OPTIONS) /.test(head)) {
          cut = used++ > 0 && requests.test(head) && ++cuttable % every === 0 && head.match(/xhr\w*/)[0];
        }
        server.write(data);
      });
      server.on('data', (data) => {
        if (!cut) {
          client.write(data);
          return;
        }
        cutter.cuts[cut] = (cutter.cuts[cut] ?? 0) + 1;
        if (reset) client.resetAndDestroy();
        else client.end(() => client.destroy());
        server.destroy();
      });
    });
    cutter.tcp.listen(0, '127.0.0.1');
    await once(cutter.tcp, 'listening');
    cutter.port = cutter.tcp.address().port;
    return cutter;
  }

  stop() {
    this.tcp.close();
    for (const socket of this.sockets) socket.destroy();
  }
}
