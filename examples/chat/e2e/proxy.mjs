import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A network between browsers and the server that can be cut, or swallow all that goes over it. */
export class Proxy {
  static async start(target) {
    const proxy = new Proxy(target)
    proxy.listener = createServer({ pauseOnConnect: true }, (socket) => proxy.accept(socket))
    proxy.listener.listen(0, '127.0.0.1')
    await once(proxy.listener, 'listening')
    proxy.url = `http://127.0.0.1:${proxy.listener.address().port}`
    return proxy
  }

  constructor(target) {
    this.target = new URL(target)
    this.mode = 'open'
    this.pairs = new Set()
  }

  accept(socket) {
    socket.on('error', () => undefined)
    if (this.mode === 'cut') return socket.destroy()
    const pair = { socket, upstream: null }
    this.pairs.add(pair)
    socket.on('close', () => this.drop(pair))
    if (this.mode === 'open') this.join(pair)
  }

  join(pair) {
    if (!pair.upstream) {
      pair.upstream = connect(Number(this.target.port), this.target.hostname)
      pair.upstream.on('error', () => undefined)
      pair.upstream.on('close', () => this.drop(pair))
    }
    pair.socket.pipe(pair.upstream)
    pair.upstream.pipe(pair.socket)
  }

  drop(pair) {
    this.pairs.delete(pair)
    pair.socket.destroy()
    pair.upstream?.destroy()
  }

  /** Ends every connection, some with a reset, and lets none in. */
  cut() {
    this.mode = 'cut'
    for (const pair of [...this.pairs]) {
      pair.socket.resetAndDestroy()
      this.drop(pair)
    }
  }

  /** Ends every connection, and lets new ones in. */
  snip() {
    this.cut()
    this.mode = 'open'
  }

  /** Swallows all, and says nothing: as a cable that was pulled out somewhere. */
  blackHole() {
    this.mode = 'hole'
    for (const { socket, upstream } of this.pairs) {
      socket.unpipe()
      upstream?.unpipe()
      socket.pause()
      upstream?.pause()
    }
  }

  restore() {
    const before = this.mode
    this.mode = 'open'
    if (before === 'hole') for (const pair of this.pairs) this.join(pair)
  }

  async stop() {
    this.cut()
    this.listener.close()
    await once(this.listener, 'close')
  }
}
