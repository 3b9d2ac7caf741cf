// A receiver of webhooks that checks them with the official server SDK.

import { createServer } from 'node:http';
import Backend from 'pusher';
import { credentials } from './server.mjs';
import { Recorder } from './wait.mjs';

export class Receiver {
  /** requests are those that have come, whatever they were answered with. */
  requests = new Recorder();
  /** events are all events of valid requests that were answered with 200. */
  events = new Recorder();

  /** start listens until the test ends. answer says which status the nth request gets. */
  static async start(t, answer = () => 200) {
    const receiver = new Receiver();
    const backend = new Backend({ ...credentials, host: '127.0.0.1' });
    const server = createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk));
      request.on('end', () => {
        const rawBody = Buffer.concat(chunks).toString();
        const webhook = backend.webhook({ headers: request.headers, rawBody });
        const status = answer(receiver.requests.all.length);
        response.writeHead(status).end();
        receiver.requests.push({ webhook, valid: webhook.isValid(), headers: request.headers, method: request.method, rawBody, status });
        if (status === 200 && webhook.isValid()) webhook.getEvents().forEach((event) => receiver.events.push(event));
      });
    });
    await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => {
      server.closeAllConnections();
      server.close();
    });
    receiver.url = `http://127.0.0.1:${server.address().port}/hooks?x=1`;
    return receiver;
  }

  next(name) {
    return this.events.next((e) => e.name === name, `webhook event ${name}`);
  }
}
