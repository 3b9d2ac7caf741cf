// A WebSocket that sends what it is told, for what pusher-js would not send. It
// is the one that pusher-js uses in Node.

import Pusher from 'pusher-js';
import { Recorder, within } from './wait.mjs';

const WebSocket = Pusher.Runtime.getWebSocketAPI();

// Closing a socket that is closing or closed is to do nothing; this one keeps the
// process for another 30 s, and pusher-js closes after the server has.
const closing = 2;
const { close } = WebSocket.prototype;
WebSocket.prototype.close = function (...args) {
  if (this.readyState < closing) close.apply(this, args);
};

export class RawSocket {
  frames = new Recorder();

  constructor(url, options) {
    this.socket = new WebSocket(url, [], options);
    this.opened = new Promise((resolve) => (this.socket.onopen = resolve));
    this.closed = new Promise((resolve) => (this.socket.onclose = ({ code, reason }) => resolve({ code, reason })));
    this.socket.onmessage = ({ data }) => this.frames.push(JSON.parse(data));
  }

  /** established returns the data of the first frame. */
  async established() {
    const frame = await this.event('pusher:connection_established');
    return JSON.parse(frame.data);
  }

  event(name) {
    return this.frames.next((f) => f.event === name, `frame ${name}`);
  }

  /** send sends text as it is and everything else as JSON. */
  send(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }

  /** end returns the code and the reason with which the server closes the connection. */
  end(ms) {
    return within(this.closed, () => `the connection to be closed; there were ${JSON.stringify(this.frames.all)}`, ms);
  }

  disconnect() {
    this.socket.close();
  }
}
