import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach } from 'node:test'
import { launch } from './browser.mjs'
import { Proxy } from './proxy.mjs'
import { build, Server } from './server.mjs'
import { passphrase, Tab } from './tab.mjs'

export const phone = { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true }

/**
 * What every test begins with: the program in an empty folder, a network before it,
 * and a browser. What goes wrong in any page fails the test.
 */
export function useWorld(...flags) {
  const world = new World(flags)
  before(() => world.open())
  after(() => world.close())
  beforeEach(() => world.begin())
  afterEach(() => world.end())
  return world
}

class World {
  constructor(flags) {
    this.flags = flags
  }

  async open() {
    this.binary = await build()
    this.browser = await launch()
  }

  async close() {
    await this.browser?.close()
    await this.binary?.remove()
  }

  async begin() {
    this.contexts = []
    this.proxies = []
    this.errors = []
    this.server = await Server.start(this.binary.path, this.flags)
  }

  async end() {
    for (const c of this.contexts) await c.close()
    for (const p of this.proxies) await p.stop()
    await this.server.stop()
    assert.deepEqual(this.errors, [], 'nothing went wrong in a page')
  }

  async context(options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, reducedMotion: 'reduce', ...options })
    this.contexts.push(context)
    return context
  }

  async tab(context, path = '/', url = this.server.url) {
    const tab = new Tab(await context.newPage(), this.errors)
    await tab.page.goto(url + path)
    return tab
  }

  /** A user in a browser of their own, signed in, in the lobby. */
  async enter(name, { role, through, path = '/', ...options } = {}) {
    const context = await this.context(options)
    const tab = await this.tab(context, path, through?.url)
    await tab.signIn(name, { role })
    return { context, tab }
  }

  /** A network of a user's own between them and the server. */
  async proxy() {
    const proxy = await Proxy.start(this.server.url)
    this.proxies.push(proxy)
    return proxy
  }

  /** A user without a browser. */
  async client(name, more = {}) {
    const client = new Client(this.server.url)
    await client.call('POST', '/api/session', { name, passphrase, ...more })
    return client
  }
}

export class Client {
  constructor(url) {
    this.url = url
    this.cookie = ''
  }

  async raw(method, path, body, headers = {}) {
    const response = await fetch(this.url + path, {
      method,
      headers: { ...(this.cookie && { Cookie: this.cookie }), ...headers },
      body,
      redirect: 'manual',
    })
    const [cookie] = response.headers.getSetCookie()
    if (cookie) this.cookie = cookie.split(';')[0]
    return response
  }

  async call(method, path, body) {
    const response = await this.raw(method, path, body && JSON.stringify(body), body ? { 'Content-Type': 'application/json' } : {})
    const text = await response.text()
    if (!response.ok) throw Object.assign(new Error(`${method} ${path}: ${response.status} ${text}`), { status: response.status })
    return text ? JSON.parse(text) : null
  }

  async room(name) {
    const { rooms } = await this.call('GET', '/api/rooms')
    return rooms.find((r) => r.name === name)
  }

  /** Posts texts one after the other. */
  async post(room, texts) {
    let i = 0
    for (const message of texts) await this.call('POST', `/api/rooms/${room}/messages`, { client_id: `c${Date.now()}-${i++}`, message })
  }

  upload(room, name, bytes, type = 'application/octet-stream') {
    return this.raw('POST', `/api/rooms/${room}/uploads`, bytes, { 'X-File-Name': encodeURIComponent(name), 'Content-Type': type })
  }
}
