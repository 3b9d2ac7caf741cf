// A server with clients and a backend, all of which end with the test.

import Pusher from 'pusher-js';
import Backend from 'pusher';
import { Server, credentials } from './server.mjs';
import { Recorder, within } from './wait.mjs';
import { RawSocket } from './raw.mjs';

export { credentials };

export class World {
  #clients = [];

  /** start runs a server for one test. */
  static async start(t, flags = [], options = {}) {
    const world = new World();
    t.after(() => world.end());
    await world.run(flags, options);
    return world;
  }

  async run(flags, options = {}) {
    this.flags = flags;
    this.options = options;
    this.server = await Server.start(flags, options);
  }

  async end() {
    for (const client of this.#clients) client.disconnect();
    await this.server?.stop();
  }

  /** restart runs the server again on the port where it was. */
  async restart() {
    this.server = await Server.start(this.flags, { ...this.options, port: this.server.port });
  }

  /** replace starts a second server, and gives back the first. */
  async replace() {
    const old = this.server;
    this.server = await Server.start(this.flags, this.options);
    return old;
  }

  /** backend is the official server SDK. */
  backend(options = {}) {
    const { port, tls } = this.server;
    return new Backend({ ...credentials, host: '127.0.0.1', port: String(port), useTLS: tls, ...options });
  }

  /**
   * client is pusher-js, connecting. user is who the backend says it is, on
   * presence channels and after signin(). port is the server's unless something
   * stands before it.
   */
  client({ user, key = credentials.key, backend = this.backend(), port = this.server.port, ...options } = {}) {
    const { tls, prefix } = this.server;
    const client = new Pusher(key, {
      cluster: '',
      wsHost: '127.0.0.1',
      wsPort: port,
      wssPort: port,
      wsPath: prefix,
      forceTLS: tls,
      enabledTransports: ['ws', 'wss'],
      channelAuthorization: {
        customHandler: ({ socketId, channelName }, done) => done(null, authorize(backend, socketId, channelName, user)),
      },
      userAuthentication: {
        customHandler: ({ socketId }, done) => done(null, backend.authenticateUser(socketId, user)),
      },
      ...options,
    });
    this.#clients.push(client);
    client.errors = new Recorder();
    client.connection.bind('error', (error) => client.errors.push(error));
    client.messages = new Recorder();
    client.connection.bind('message', (message) => client.messages.push(message));
    client.states = new Recorder();
    client.connection.bind('state_change', ({ current }) => client.states.push(current));
    return client;
  }

  /** connected is a client that has connected. */
  async connected(options) {
    const client = this.client(options);
    await state(client, 'connected');
    return client;
  }

  /** raw is a WebSocket without pusher-js. */
  raw(path = `${this.server.prefix}/app/${credentials.key}?protocol=7&client=raw&version=1`, options) {
    const { port, tls } = this.server;
    const socket = new RawSocket(`${tls ? 'wss' : 'ws'}://127.0.0.1:${port}${path}`, options);
    this.#clients.push(socket);
    return socket;
  }
}

function authorize(backend, socketId, channel, user) {
  if (channel.startsWith('presence-') && user) {
    return backend.authorizeChannel(socketId, channel, { user_id: user.id, user_info: user.user_info });
  }
  return backend.authorizeChannel(socketId, channel);
}

/** state waits until the client's connection is in a state, for 10 s or ms. */
export async function state(client, wanted, ms) {
  if (client.connection.state === wanted) return;
  await within(
    new Promise((resolve) => client.connection.bind(wanted, resolve)),
    () => `state ${wanted}; there were ${client.states.all}, errors ${JSON.stringify(client.errors.all)}`,
    ms,
  );
}

/** subscribe returns the channel when the subscription has succeeded. */
export async function subscribe(client, name) {
  const channel = client.subscribe(name);
  channel.seen ??= record(channel);
  await within(
    new Promise((resolve, reject) => {
      channel.bind('pusher:subscription_succeeded', resolve);
      channel.bind('pusher:subscription_error', (error) => reject(new Error(`${name}: ${JSON.stringify(error)}`)));
    }),
    `the subscription to ${name}`,
  );
  return channel;
}

/** refused returns the error with which a subscription fails. */
export function refused(client, name) {
  const channel = client.subscribe(name);
  return within(
    new Promise((resolve, reject) => {
      channel.bind('pusher:subscription_error', resolve);
      channel.bind('pusher:subscription_succeeded', () => reject(new Error(`${name} was not refused`)));
    }),
    `the subscription to ${name} to fail`,
  );
}

/** record keeps all that a channel, a user or a watchlist emits. */
export function record(emitter) {
  const recorder = new Recorder();
  emitter.bind_global((event, data) => recorder.push({ event, data }));
  return recorder;
}

/** heard waits for an event on a channel that subscribe has returned, and returns its data. */
export async function heard(channel, event) {
  const { data } = await channel.seen.next((e) => e.event === event, `event ${event} on ${channel.name}`);
  return data;
}

/** own are the names of the events that backends and clients have sent, without the protocol's. */
export function own(channel) {
  return channel.seen.all.map((e) => e.event).filter((name) => !name.startsWith('pusher:'));
}

/** body is the JSON that a backend's request was answered with. */
export async function body(request) {
  const response = await request;
  return response.json();
}

/** failure is the error with which a backend's request fails. */
export async function failure(request) {
  const response = await request.catch((error) => ({ error }));
  if (!response.error) throw new Error(`request was answered with ${response.status} ${await response.text()}`);
  return response.error;
}
