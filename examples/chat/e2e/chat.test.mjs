// Drives the whole product in a browser: the Go program, the built page with
// pusher-js and Laravel Echo, and Chromium. See ../web/package.json for how to
// run it.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { launch } from './browser.mjs'
import { Server, build } from './server.mjs'

const deadline = 20_000

let binary, browser, server, contexts, errors

before(async () => {
  binary = await build()
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await binary?.remove()
})
beforeEach(async () => {
  contexts = []
  errors = []
  server = await Server.start(binary.path)
})
afterEach(async () => {
  for (const c of contexts) await c.close()
  await server.stop()
  assert.deepEqual(errors, [], 'nothing went wrong in a page')
})

/** One tab of a browser. */
class Tab {
  constructor(page) {
    this.page = page
    page.setDefaultTimeout(deadline)
    page.on('pageerror', (err) => errors.push(String(err)))
    page.on('console', (m) => {
      if (m.type() === 'error' && m.text().includes('Content Security Policy')) errors.push(m.text())
    })
  }
  get(id) {
    return this.page.getByTestId(id)
  }
  status(want) {
    return this.page.locator(`[data-testid=status][data-status=${want}]`).waitFor()
  }
  async write(text) {
    await this.get('composer').fill(text)
    await this.get('send').click()
  }
  message(text) {
    return this.get('message').filter({ has: this.page.getByText(text, { exact: true }) })
  }
  async sees(text) {
    await this.message(text).waitFor()
    assert.equal(await this.message(text).count(), 1, `${text} is there once`)
  }
  async notices() {
    return this.get('notice').allTextContents()
  }
  /** Waits until exactly these members are shown. */
  async members(...names) {
    await this.page.waitForFunction((want) => {
      const shown = [...document.querySelectorAll('[data-testid=member] .name')].map((e) => e.textContent)
      return JSON.stringify(shown.sort()) === JSON.stringify(want)
    }, names.sort())
  }
  async signIn(name) {
    await this.get('name').fill(name)
    await this.get('enter').click()
    await this.status('connected')
  }
}

async function newBrowser() {
  const context = await browser.newContext()
  contexts.push(context)
  return context
}

async function openTab(context) {
  const tab = new Tab(await context.newPage())
  await tab.page.goto(server.url)
  return tab
}

/** A user in a browser of their own, in the lobby. */
async function enter(name) {
  const context = await newBrowser()
  const tab = await openTab(context)
  await tab.signIn(name)
  return { context, tab }
}

describe('chat', { timeout: 300_000 }, () => {
  test('a message reaches the others and is shown as text', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.write('hello Bob')
    await ada.sees('hello Bob')
    await bob.sees('hello Bob')
    await bob.write('<img src=x onerror=alert(1)> & <b>bold</b>')
    await ada.sees('<img src=x onerror=alert(1)> & <b>bold</b>')
    assert.equal(await ada.page.locator('[data-testid=message] :is(b, img)').count(), 0)
  })

  test('the composer sends with Enter and bounds what is sent', async () => {
    const { tab: ada } = await enter('Ada')
    await ada.get('composer').fill('two')
    await ada.get('composer').press('Shift+Enter')
    await ada.get('composer').pressSequentially('lines')
    await ada.get('composer').press('Enter')
    await ada.get('message').getByText('two\nlines').waitFor()
    assert.equal(await ada.get('composer').inputValue(), '')
    await ada.get('composer').fill('x'.repeat(2001))
    assert.ok(await ada.get('send').isDisabled())
    await ada.get('composer').fill('   ')
    assert.ok(await ada.get('send').isDisabled())
  })

  test('joins and leaves are shown as they happen', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob, context } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await bob.members('Ada', 'Bob')
    await ada.get('notice').getByText('Bob joined').waitFor()
    await context.close()
    await ada.get('notice').getByText('Bob left').waitFor()
    await ada.members('Ada')
  })

  test('leaving ends the session', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await bob.get('leave').click()
    await bob.get('name').waitFor()
    await ada.members('Ada')
    await bob.page.reload()
    await bob.get('name').waitFor()
  })

  test('a reload keeps the session and history and is no leave', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await ada.write('first')
    await bob.write('second')
    await ada.sees('second')
    await bob.page.reload()
    await bob.status('connected')
    await bob.sees('first')
    await bob.sees('second')
    // A leave that was held back would come before Carol's, who leaves later.
    const { context } = await enter('Carol')
    await ada.members('Ada', 'Bob', 'Carol')
    await context.close()
    await ada.get('notice').getByText('Carol left').waitFor()
    await ada.members('Ada', 'Bob')
    assert.deepEqual(await ada.notices(), ['Bob joined', 'Carol joined', 'Carol left'])
  })

  test('several tabs of a user are one member', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob, context } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    const second = await openTab(context)
    await second.status('connected')
    await second.members('Ada', 'Bob')
    await second.write('from my other tab')
    await bob.sees('from my other tab')
    await ada.sees('from my other tab')
    await bob.page.close()
    const { context: carol } = await enter('Carol')
    await carol.close()
    await ada.get('notice').getByText('Carol left').waitFor()
    await ada.members('Ada', 'Bob')
    await second.page.close()
    await ada.get('notice').getByText('Bob left').waitFor()
    assert.deepEqual(await ada.notices(), ['Bob joined', 'Carol joined', 'Carol left', 'Bob left'])
  })

  test('who is typing is shown to the others until the message is there', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await bob.get('composer').pressSequentially('hm')
    await ada.get('typing').getByText('Bob is typing…').waitFor()
    assert.equal(await bob.get('typing').textContent(), '')
    await bob.get('send').click()
    await ada.sees('hm')
    await ada.page.waitForFunction(() => document.querySelector('[data-testid=typing]').textContent === '')
  })

  test('a message whose answer is lost is retried and comes once', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.page.route(
      '**/messages',
      async (route) => {
        await route.fetch()
        await route.abort()
      },
      { times: 1 },
    )
    await ada.write('only once')
    await ada.page.locator('[data-testid=unsent][data-state=failed]').waitFor()
    await bob.sees('only once')
    await ada.get('retry').click()
    await ada.sees('only once')
    assert.equal(await ada.get('unsent').count(), 0)
    await bob.write('answer')
    await ada.sees('answer')
    await bob.page.reload()
    await bob.sees('only once')
  })

  test('older messages are read on demand', async () => {
    const { tab: ada } = await enter('Ada')
    const posted = await ada.page.evaluate(async () => {
      const statuses = []
      for (let i = 1; i <= 70; i++) {
        const response = await fetch('/api/rooms/lobby/messages', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ text: `message ${i}`, client_id: `m${i}` }),
        })
        statuses.push(response.status)
      }
      return statuses.every((s) => s === 201)
    })
    assert.ok(posted)
    await ada.page.reload()
    await ada.sees('message 70')
    assert.equal(await ada.message('message 20').count(), 0)
    await ada.get('older').click()
    await ada.sees('message 1')
    await ada.get('older').waitFor({ state: 'detached' })
    assert.equal(await ada.get('message').count(), 70)
    const order = await ada.get('text').allTextContents()
    assert.deepEqual(order, Array.from({ length: 70 }, (_, i) => `message ${i + 1}`))
  })

  test('a restart of the server is survived', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await ada.write('before the restart')
    await bob.sees('before the restart')

    await server.kill()
    await ada.status('reconnecting')
    await bob.status('reconnecting')
    await ada.write('while it was down')
    await ada.page.locator('[data-testid=unsent][data-state=failed]').waitFor()

    await server.restart()
    await ada.status('connected')
    await bob.status('connected')
    await bob.sees('while it was down')
    await ada.sees('while it was down')
    await ada.sees('before the restart')
    await ada.members('Ada', 'Bob')
    await bob.members('Ada', 'Bob')
    await bob.write('after the restart')
    await ada.sees('after the restart')
    assert.deepEqual(await ada.notices(), ['Bob joined'])
    await ada.page.reload()
    await ada.sees('while it was down')
    await ada.sees('after the restart')
  })

  test('a restart with another secret asks for the name again', async () => {
    const { tab: ada } = await enter('Ada')
    await server.kill()
    await server.restart('another secret')
    await ada.get('name').waitFor()
    assert.equal(await ada.get('name').inputValue(), 'Ada')
    await ada.get('enter').click()
    await ada.status('connected')
    await ada.write('back again')
    await ada.sees('back again')
  })

  test('messages sent while a browser was offline are there afterwards', async () => {
    const { tab: ada, context } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await context.setOffline(true)
    await ada.status('offline')
    await bob.write('did you get this')
    await bob.sees('did you get this')
    await context.setOffline(false)
    await ada.status('connected')
    await ada.sees('did you get this')
  })
})
