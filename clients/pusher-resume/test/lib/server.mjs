// A server of just enough of the protocol for pusher-js to talk to, with positions
// if it is told to.

import { once } from 'node:events';
import { WebSocketServer } from 'ws';

const epoch = '0000000000000000000001';

export class Server {
  /** log has each channel's events, the first at offset 1. */
  log = new Map();
  sockets = new Set();
  /** received is what clients have sent. */
  received = [];

  static async start(t, { speaks = true } = {}) {
    const server = new Server();
    server.speaks = speaks;
    server.wss = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server.wss, 'listening');
    server.port = server.wss.address().port;
    let id = 0;
    server.wss.on('connection', (socket) => {
      socket.id = `1.${++id}`;
      socket.channels = new Map();
      server.sockets.add(socket);
      socket.on('close', () => server.sockets.delete(socket));
      socket.on('message', (text) => server.#get(socket, JSON.parse(text)));
      server.send(socket, { event: 'pusher:connection_established', data: JSON.stringify({ socket_id: socket.id, activity_timeout: 120 }) });
    });
    t.after(() => {
      for (const socket of server.sockets) socket.terminate();
      server.wss.close();
    });
    return server;
  }

  send(socket, frame) {
    socket.send(JSON.stringify(frame));
  }

  events(channel) {
    if (!this.log.has(channel)) this.log.set(channel, []);
    return this.log.get(channel);
  }

  /** publish gives an event to all but the excluded socket, and to nobody if it is to be lost on the way. */
  publish(channel, event, data, { exclude, lost } = {}) {
    const events = this.events(channel);
    events.push({ event, data: typeof data === 'string' ? data : JSON.stringify(data), exclude });
    if (lost) return;
    for (const socket of this.sockets) {
      if (socket.channels.has(channel)) this.#give(socket, channel, events.length, [socket.id]);
    }
  }

  #give(socket, channel, offset, sockets) {
    const { event, data, exclude } = this.events(channel)[offset - 1];
    const asked = socket.channels.get(channel);
    const pos = asked ? { pos: `${epoch}:${offset}` } : {};
    if (!sockets.includes(exclude)) this.send(socket, { event, channel, data, ...pos });
    else if (asked) this.send(socket, { event: 'pusher_internal:position', channel, data: '{}', ...pos });
  }

  /** cut ends all connections without a word. */
  cut() {
    for (const socket of this.sockets) socket.terminate();
  }

  #get(socket, { event, data }) {
    this.received.push([event, data]);
    const { channel } = data;
    if (event === 'pusher:unsubscribe') socket.channels.delete(channel);
    if (event === 'pusher:signin') {
      this.send(socket, { event: 'pusher:signin_success', data: JSON.stringify({ user_data: data.user_data }) });
    }
    if (event === 'pusher:history') {
      const until = Number((data.until ?? data.before).split(':')[1]) - (data.before ? 1 : 0);
      const all = this.events(channel).map((e, i) => ({ ...e, id: `i-${i}`, time: '', pos: `${epoch}:${i + 1}` }));
      const before = all.slice(0, until).reverse();
      const events = before.slice(0, data.limit ?? 50);
      this.send(socket, { event: 'pusher_internal:history', channel, data: { id: data.id, events, more: events.length < before.length } });
    }
    if (event !== 'pusher:subscribe') return;
    const resume = this.speaks ? data.resume : undefined;
    const last = this.events(channel).length;
    const from = resume?.after ? Number(resume.after.split(':')[1]) : last;
    const sockets = [socket.id, ...(resume?.sockets ?? [])];
    socket.channels.set(channel, !!resume);
    const missed = this.events(channel).slice(from).filter((e) => !sockets.includes(e.exclude)).length;
    const answer = resume && { resume: { status: resume.after ? 'resumed' : 'fresh', missed }, pos: `${epoch}:${from}` };
    const members = channel.startsWith('presence-') ? { presence: { count: 1, ids: ['ann'], hash: { ann: null } } } : {};
    this.send(socket, { event: 'pusher_internal:subscription_succeeded', channel, data: JSON.stringify(members), ...answer });
    for (let offset = from + 1; offset <= last; offset++) this.#give(socket, channel, offset, sockets);
  }
}
