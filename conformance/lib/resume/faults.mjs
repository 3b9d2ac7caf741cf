// A proxy that does to connections what networks do: it cuts them by FIN and by reset,
// with and without bytes that are on their way, delays them, and swallows all without
// a word.

import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Faults {
  pairs = new Set();
  /** done counts the faults by kind. */
  done = {};

  static async start(upstream) {
    const faults = new Faults();
    faults.tcp = createServer((client) => faults.#open(client, connect(upstream, '127.0.0.1')));
    faults.tcp.listen(0, '127.0.0.1');
    await once(faults.tcp, 'listening');
    faults.port = faults.tcp.address().port;
    return faults;
  }

  stop() {
    this.tcp.close();
    for (const pair of this.pairs) this.#end(pair, true);
  }

  /**
   * fault does to all connections what kind says: fin, reset, delay (of ms), hole.
   * With one that begins with an answer's name, it waits for the server's next bytes on
   * any of them: swallowed-fin and swallowed-reset lose those, truncated-fin and
   * truncated-reset those after the first share, and head cuts an HTTP response within
   * its head.
   */
  fault(kind, { ms = 300, share = 0.5 } = {}) {
    this.done[kind] = (this.done[kind] ?? 0) + 1;
    for (const pair of this.pairs) {
      pair.armed = undefined;
      if (kind === 'fin' || kind === 'reset') this.#end(pair, kind === 'reset');
      else if (kind === 'hole') this.#silence(pair);
      else if (kind === 'delay') this.#delay(pair, ms);
      else pair.armed = { kind, share };
    }
  }

  /** struck waits until what waits for bytes has had them. */
  struck() {
    return new Promise((resolve) => (this.onStrike = resolve));
  }

  /** calm undoes what still waits for bytes. */
  calm() {
    for (const pair of this.pairs) pair.armed = undefined;
  }

  #open(client, server) {
    const pair = { client, server, held: [] };
    this.pairs.add(pair);
    for (const [from, into] of [[client, server], [server, client]]) {
      from.setNoDelay(true);
      from.on('error', () => {});
      from.on('close', () => {
        this.pairs.delete(pair);
        // What the other side still has to say is on its way.
        if (!pair.silent) into.end();
        else into.destroy();
      });
      from.on('data', (data) => {
        if (pair.silent) return;
        if (from === server && pair.armed) this.#strike(pair, data);
        else if (pair.delayed) pair.held.push([into, data]);
        else into.write(data);
      });
    }
  }

  #strike(pair, data) {
    const { kind, share } = pair.armed;
    const head = data.toString('latin1', 0, 12) === 'HTTP/1.1 200' ? data.indexOf('\r\n\r\n') : -1;
    if (kind === 'head' && head < 0) {
      pair.client.write(data);
      return;
    }
    // It strikes once.
    this.calm();
    this.onStrike?.();
    if (kind === 'head') pair.client.write(data.subarray(0, 17 + Math.floor(share * (head - 17))));
    if (kind.startsWith('truncated')) pair.client.write(data.subarray(0, Math.floor(share * data.length)));
    this.#end(pair, kind.endsWith('reset'));
  }

  #end(pair, reset) {
    pair.silent = true;
    this.pairs.delete(pair);
    if (reset) {
      pair.client.resetAndDestroy();
      pair.server.resetAndDestroy();
    } else {
      pair.client.end(() => pair.client.destroy());
      pair.server.destroy();
    }
  }

  /** Browsers would use a silent connection again and again, and wait for a long time. */
  #silence(pair) {
    pair.silent = true;
    setTimeout(() => this.#end(pair, true), 4000).unref();
  }

  #delay(pair, ms) {
    pair.delayed = true;
    setTimeout(() => {
      pair.delayed = false;
      for (const [into, data] of pair.held.splice(0)) if (!into.destroyed) into.write(data);
    }, ms).unref();
  }
}
