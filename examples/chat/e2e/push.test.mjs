// Notifications. Chromium has no push service here, so the page's subscribe is replaced;
// what the server sends is real: it is decrypted at a local endpoint, and given to the
// page's service worker by the DevTools protocol.
import assert from 'node:assert/strict'
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

/** A push service for one browser: it keeps what comes, decrypted (RFC 8291). */
class PushService {
  async start() {
    this.keys = createECDH('prime256v1')
    this.keys.generateKeys()
    this.auth = randomBytes(16)
    this.got = []
    this.status = 201
    this.server = createServer(async (request, response) => {
      const chunks = []
      for await (const chunk of request) chunks.push(chunk)
      this.got.push({ headers: request.headers, data: this.decrypt(Buffer.concat(chunks)) })
      response.writeHead(this.status).end()
    })
    this.server.listen(0, '127.0.0.1')
    await once(this.server, 'listening')
    this.url = `http://127.0.0.1:${this.server.address().port}/push/1`
  }

  decrypt(body) {
    const salt = body.subarray(0, 16)
    const sender = body.subarray(21, 21 + body[20])
    const sealed = body.subarray(21 + body[20])
    const secret = this.keys.computeSecret(sender)
    const info = Buffer.concat([Buffer.from('WebPush: info\0'), this.keys.getPublicKey(), sender])
    const input = Buffer.from(hkdfSync('sha256', secret, this.auth, info, 32))
    const key = Buffer.from(hkdfSync('sha256', input, salt, 'Content-Encoding: aes128gcm\0', 16))
    const nonce = Buffer.from(hkdfSync('sha256', input, salt, 'Content-Encoding: nonce\0', 12))
    const open = createDecipheriv('aes-128-gcm', key, nonce)
    open.setAuthTag(sealed.subarray(-16))
    const plain = Buffer.concat([open.update(sealed.subarray(0, -16)), open.final()])
    return JSON.parse(plain.subarray(0, plain.lastIndexOf(2)).toString())
  }

  subscription() {
    return { endpoint: this.url, keys: { p256dh: this.keys.getPublicKey('base64url'), auth: this.auth.toString('base64url') } }
  }

  async stop() {
    this.server.closeAllConnections()
    this.server.close()
  }
}

describe('notifications', { timeout: 120_000 }, () => {
  const world = useWorld('-push-insecure')

  test('come while no tab is looked at, and name the message', async () => {
    const service = new PushService()
    await service.start()
    try {
      const context = await world.context()
      await context.grantPermissions(['notifications'], { origin: world.server.url })
      await context.addInitScript((subscription) => {
        let subscribed = null
        PushManager.prototype.subscribe = async (options) => {
          if (!options.userVisibleOnly || options.applicationServerKey.byteLength !== 65) throw new Error('bad options')
          subscribed = { ...subscription, toJSON: () => subscription, unsubscribe: async () => true }
          return subscribed
        }
        PushManager.prototype.getSubscription = async () => subscribed
      }, service.subscription())
      const ann = await world.tab(context)
      await ann.signIn('Ann')
      const { tab: bob } = await world.enter('Bob')
      await ann.get('me').click()
      await ann.get('push').click()
      await ann.get('notices').getByText('You will be told of mentions').waitFor()

      // Looked at: nothing is pushed.
      await bob.members('Ann', 'Bob')
      await bob.write('@Ann while you look')
      await ann.sees('@Ann while you look')
      await bob.get('member').getByText('Ann').click()
      await bob.get('direct').click()
      const elsewhere = await context.newPage()
      await ann.page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { value: 'hidden' })
        document.dispatchEvent(new Event('visibilitychange'))
      })
      await ann.until(async () => {
        await bob.write(`are you there ${service.got.length}`)
        await new Promise((resolve) => setTimeout(resolve, 300))
        assert.ok(service.got.length > 0)
      })
      assert.ok(!service.got.some((g) => g.data.body.includes('while you look')), 'nothing while she looked')
      const { data, headers } = service.got[0]
      assert.match(headers.authorization, /^vapid t=.+, ?k=|^WebPush /)
      assert.match(data.title, /Bob/)
      assert.match(data.body, /^are you there/)
      assert.match(data.url, /\/room\/\d+\/message\/\d+|\?room=/)

      // The worker shows it.
      const cdp = await context.newCDPSession(ann.page)
      const registered = new Promise((resolve) =>
        cdp.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => registrations[0] && resolve(registrations[0].registrationId)),
      )
      await cdp.send('ServiceWorker.enable')
      await cdp.send('ServiceWorker.deliverPushMessage', { origin: world.server.url, registrationId: await registered, data: JSON.stringify(data) })
      await ann.until(async () => {
        const shown = await ann.page.evaluate(async () => {
          const registration = await navigator.serviceWorker.ready
          return (await registration.getNotifications()).map((n) => [n.title, n.body, n.data.url, n.tag])
        })
        assert.deepEqual(shown, [[data.title, data.body, data.url, data.tag]])
      })

      // A click goes to the message, in the tab that is there.
      const [worker] = context.serviceWorkers()
      const click = () =>
        worker.evaluate(async () => {
          self.did ??= []
          WindowClient.prototype.focus = async function () {
            self.did.push(`focus ${this.type}`)
            return this
          }
          self.clients.openWindow = async (url) => void self.did.push(`open ${url}`)
          const [notification] = await self.registration.getNotifications()
          self.dispatchEvent(new NotificationEvent('notificationclick', { notification }))
        })
      await elsewhere.close()
      await click()
      const target = new URL(data.url, world.server.url)
      await ann.page.waitForURL(target.href)
      await ann.sees(data.body)
      assert.deepEqual(await worker.evaluate(() => self.did), ['focus window'])
      assert.deepEqual(await ann.page.evaluate(async () => (await (await navigator.serviceWorker.ready).getNotifications()).length), 0, 'it is gone')

      // Without a tab it opens one. A page of another origin keeps the worker's browser open.
      await cdp.detach()
      await ann.page.goto('about:blank')
      await worker.evaluate((data) => self.registration.showNotification('again', { data }), { url: data.url })
      await click()
      await ann.until(async () => assert.deepEqual(await worker.evaluate(() => self.did), ['focus window', `open ${target.href}`]))
    } finally {
      await service.stop()
    }
  })

  test('that a browser cannot have end in words, not in waiting', async () => {
    const context = await world.context()
    await context.grantPermissions(['notifications'], { origin: world.server.url })
    await context.addInitScript(() => {
      PushManager.prototype.subscribe = () => {
        window.asked = true
        return new Promise(() => undefined)
      }
    })
    const ann = await world.tab(context)
    await ann.page.clock.install()
    await ann.page.reload()
    await ann.signIn('Ann')
    await ann.get('me').click()
    await ann.get('push').click()
    await ann.page.waitForFunction(() => window.asked)
    await ann.page.clock.fastForward(9_000)
    assert.equal(await ann.get('notices').getByText('push service').count(), 0)
    await ann.page.clock.fastForward(1_500)
    await ann.get('notices').getByText('push service does not answer').waitFor()
  })
})
