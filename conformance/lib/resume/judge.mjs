// Judges the sequences that clients report while their connections are cut and events
// are posted, some of them their own.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { channelsOf } from './client.js';
import { Faults } from './faults.mjs';

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** random is a generator of numbers from 0 to 1 that a text determines (mulberry32). */
export function random(text) {
  let a = 0;
  for (const c of text) a = (Math.imul(a, 31) + c.charCodeAt(0)) | 0;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** cuts are how many each client suffers, and seed what decides them. */
export const cuts = Number(process.env.CUTS ?? 20);
export const seed = process.env.SEED ?? String(Date.now() % 1e6);

/** Site signs for clients, and serves what files there are to pages. */
export class Site {
  static async start(backend, files = {}) {
    const site = new Site();
    site.http = createServer(async (request, response) => {
      const file = files[request.url];
      if (file) {
        response.setHeader('Content-Type', file[0]).end(file[1]);
        return;
      }
      let text = '';
      for await (const chunk of request) text += chunk;
      if (request.method !== 'POST') {
        response.writeHead(404).end();
        return;
      }
      const { socket, channel, user } = JSON.parse(text);
      const answer = channel
        ? backend.authorizeChannel(socket, channel, channel.startsWith('presence-') ? { user_id: user } : undefined)
        : backend.authenticateUser(socket, { id: user });
      response.setHeader('Content-Type', 'application/json').end(JSON.stringify(answer));
    });
    site.http.listen(0, '127.0.0.1');
    await once(site.http, 'listening');
    site.url = `http://127.0.0.1:${site.http.address().port}`;
    return site;
  }

  stop() {
    this.http.closeAllConnections();
    this.http.close();
  }
}

const faults = ['fin', 'fin', 'reset', 'reset', 'swallowed-fin', 'swallowed-reset', 'truncated-fin', 'truncated-reset', 'hole', 'delay'];

/** Judged is one client, what it has reported, and what its channels were posted. */
export class Judged {
  /** setup is what client.js starts from. */
  constructor(setup, { backend, again }) {
    Object.assign(this, { setup, backend, again });
    this.random = random(`${seed} ${setup.label}`);
    this.channels = new Map(channelsOf(setup).map((name) => [name, { n: [], own: 0, resumed: 0, gap: 0, errors: [], subscribed: false }]));
    this.sockets = new Set();
    this.posted = 0;
  }

  /** report takes what the client reports. */
  report({ state, socket, channel, what, n }) {
    if (state) {
      this.state = state;
      this.since = Date.now();
      for (const c of this.channels.values()) c.subscribed = false;
      if (state === 'connected') {
        this.socket = socket;
        this.sockets.add(socket);
      }
      return;
    }
    const c = this.channels.get(channel);
    if (what === 'n') c.n.push(n);
    else if (what === 'subscription_succeeded') c.subscribed = true;
    else if (what === 'subscription_error') c.errors.push(Date.now());
    else c[what]++;
  }

  async until(condition, what, seconds = 60) {
    for (const end = Date.now() + 1000 * seconds; !condition(); await pause(20)) {
      if (Date.now() > end) throw new Error(`${this.setup.label} waited ${seconds} s ${what}: ${this}`);
    }
  }

  toString() {
    const channels = [...this.channels].map(([name, c]) => `${name}: last ${c.n.at(-1)}, ${c.resumed} resumed, ${c.gap} gaps${c.subscribed ? '' : ', not subscribed'}`);
    return `${this.state}, posted ${this.posted}, ${this.sockets.size} sockets, ${JSON.stringify(this.faults?.done)}\n  ${channels.join('\n  ')}`;
  }

  /** post posts to all channels, and now and then in the client's name, also while it is away. */
  async post() {
    const n = ++this.posted;
    const names = [...this.channels.keys()];
    const batch = names.map((channel) => ({ channel, name: 'n', data: { n } }));
    if (this.socket) {
      for (let own = 0; own < 2; own++) {
        const channel = names[Math.floor(this.random() * names.length)];
        batch.splice(Math.floor(this.random() * batch.length), 0, { channel, name: 'own', data: { n }, socket_id: this.socket });
      }
    }
    await this.backend.triggerBatch(batch);
  }

  /** run cuts the client's connections so many times, and returns when it has come to rest. */
  async run() {
    const all = () => [...this.channels.values()];
    await this.until(() => this.state === 'connected' && all().every((c) => c.subscribed), 'to be subscribed');
    let posting = true;
    const posts = (async () => {
      while (posting) {
        await this.post();
        await pause(60 + 120 * this.random());
      }
    })();
    try {
      for (let n = 0, tries = 0; n < cuts; tries++) {
        assert.ok(tries < 3 * cuts + 20, `${n} of ${tries} cuts were noticed`);
        if (await this.cut()) n++;
      }
      const last = this.posted;
      // A sign-in that was lost is not sent again by pusher-js while it is connected.
      const arrived = () => all().every((c) => c.n.at(-1) > last);
      await this.until(arrived, 'to arrive', 25).catch(() => this.again());
      await this.until(arrived, 'to arrive, connected anew');
    } finally {
      posting = false;
      await posts;
    }
    await this.until(() => all().every((c) => c.n.at(-1) >= this.posted), 'for the last event');
  }

  /** cut does one thing to the connections, and tells whether it was a cut. */
  async cut() {
    // Shorter lives are counted against a transport.
    await this.until(() => this.state === 'connected' && Date.now() - this.since > 1000, 'to be connected');
    if (this.random() < 0.5) await this.until(() => [...this.channels.values()].every((c) => c.subscribed), 'to be subscribed', 5).catch(() => {});
    if (this.state !== 'connected') return false;
    const polls = this.setup.transport === 'xhr_polling' || this.setup.transport === 'sockjs';
    // A stream whose head is cut costs one of the two lives that it has.
    const kinds = polls ? [...faults, 'head', 'head', 'swallowed-fin'] : faults;
    const kind = kinds[Math.floor(this.random() * kinds.length)];
    const { socket } = this;
    this.faults.fault(kind, { ms: 100 + 500 * this.random(), share: this.random() });
    if (kind === 'delay') return false;
    // A poll that was cut may be sent again without a word to anybody, and bytes that were
    // lost may have been those of another request.
    const noticed = this.until(() => this.state !== 'connected' || this.socket !== socket, 'to notice', polls ? 1.5 : 10);
    const lost = await noticed.then(() => true, () => polls);
    this.faults.calm();
    return lost;
  }

  /** summary is what it has been through; a resync is a hole that was closed without a new connection. */
  get summary() {
    const resumed = Math.max(...[...this.channels.values()].map((c) => c.resumed));
    const { size } = this.sockets;
    return `${this.setup.label}: ${this.posted} posted, ${size} connections, ${Math.max(resumed - size + 1, 0)} resyncs, ${JSON.stringify(this.faults.done)}`;
  }

  /** verdict says what is wrong with the sequences, then how the run itself failed. */
  verdict(error) {
    for (const [name, c] of this.channels) {
      const wrong = c.n.findIndex((n, i) => n !== i + 1);
      if (wrong >= 0) assert.fail(`${name}: after ${wrong} events came ${c.n.slice(Math.max(wrong - 3, 0), wrong + 5)}; ${this}`);
      // What a run that failed has posted at last, nobody has waited for.
      if (!error) assert.equal(c.n.length, this.posted, `${name} got ${c.n.length} of ${this.posted}`);
      assert.equal(c.own, 0, `${name}: its own events came back`);
      assert.equal(c.gap, 0, `${name}: a gap was told`);
      assert.ok(c.resumed > 0, `${name} was never resumed: ${this}`);
    }
    if (error) throw error;
    const { transport } = this.setup;
    const least = transport === 'xhr_polling' || transport === 'sockjs' ? cuts / 4 : cuts;
    assert.ok(this.sockets.size > least, `only ${this.sockets.size} connections for ${cuts} cuts`);
  }
}

/** judge runs the clients that launch starts, side by side, and returns them. */
export async function judge(setups, { Backend, server, site, launch, again }) {
  const backend = (options) => new Backend({ appId: '1', key: 'app-key', secret: 'app-secret', host: '127.0.0.1', port: String(server.port), ...options });
  const judged = [];
  for (const setup of setups) {
    const j = new Judged(setup, { backend: backend({ encryptionMasterKeyBase64 }), again: () => again(setup.label) });
    j.faults = await Faults.start(server.port);
    Object.assign(setup, { port: j.faults.port, site: site.url });
    judged.push(j);
  }
  const of = new Map(judged.map((j) => [j.setup.label, j]));
  for (const { setup } of judged) await launch(setup, (entry) => of.get(setup.label).report(entry));
  return judged;
}

export const encryptionMasterKeyBase64 = Buffer.alloc(32, 7).toString('base64');
