// A Pusher without a connection, as far as resume knows it: frames come from the test.

class Emitter {
  bound = [];
  bind_global(callback) {
    this.bound.push(callback);
  }
  emit(...args) {
    for (const callback of this.bound) callback(...args);
    return this;
  }
}

export class Stub {
  key = 'app-key';
  connection = new Emitter();
  /** sent is what the server got, as [event, data]. */
  sent = [];
  /** told is what callbacks got. */
  told = [];
  names = new Set();
  connections = 0;

  constructor() {
    this.connection.connection = null;
    this.connection.bind_global((event, message) => {
      if (event === 'message') this.told.push(message);
      this.onMessage?.(message);
    });
    this.user = new Emitter();
    this.user.told = [];
    this.user.bind_global((...args) => this.user.told.push(args));
  }

  channel(name) {
    return this.names.has(name) ? { handleEvent() {}, name } : undefined;
  }

  send_event(event, data, channel) {
    if (!this.connection.connection) return false;
    this.sent.push(JSON.parse(JSON.stringify([event, data, channel].filter((part) => part !== undefined))));
    return true;
  }

  subscribe(name) {
    this.names.add(name);
    if (this.connection.connection) this.ask(name);
  }

  ask(name) {
    this.send_event('pusher:subscribe', { auth: 'key:signature', channel_data: undefined, channel: name });
  }

  unsubscribe(name) {
    if (this.pending) return;
    this.names.delete(name);
    this.send_event('pusher:unsubscribe', { channel: name });
  }

  /** connect is a connection with a new socket ID. */
  connect() {
    const { connection } = this;
    connection.socket_id = `1.${++this.connections}`;
    connection.connection = { transport: new Emitter() };
    connection.emit('state_change', { previous: 'connecting', current: 'connected' });
    connection.emit('connected', { socket_id: connection.socket_id });
    for (const name of this.names) this.ask(name);
  }

  lose() {
    this.connection.connection = null;
    this.connection.emit('state_change', { previous: 'connected', current: 'connecting' });
  }

  /** get is a frame from the server, taken apart as pusher-js does. */
  get(frame) {
    const data = JSON.stringify(frame);
    this.connection.connection.transport.emit('message', { data });
    let { data: inner } = frame;
    try {
      inner = JSON.parse(inner);
    } catch {
      // It is not JSON.
    }
    this.connection.emit('message', { event: frame.event, channel: frame.channel, data: inner });
  }

  success(channel, status, pos, missed = 0) {
    this.get({ event: 'pusher_internal:subscription_succeeded', channel, data: '{}', ...(status && { resume: { status, missed } }), pos });
  }

  event(channel, pos, more = {}) {
    this.get({ event: 'x', channel, data: JSON.stringify(pos ?? null), pos, ...more });
  }

  /** take returns what was told since, shortly: own events by their data. */
  take() {
    const told = this.told.map(({ event, data }) => {
      if (event === 'x') return data;
      if (event === 'pusher:resumed' || event === 'pusher:gap') return [event.slice(7), data.missed];
      return event.replace(/^pusher(_internal)?:/, '').replace('subscription_succeeded', 'success');
    });
    this.told = [];
    return told;
  }

  /** requests returns what the server was sent since, and forgets it. */
  requests() {
    const { sent } = this;
    this.sent = [];
    return sent;
  }
}
