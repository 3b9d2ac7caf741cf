// Drives the whole product in a browser: the Go program, the built page with
// pusher-js and Laravel Echo, and Chromium. See ../web/package.json for how to
// run it.
import assert from 'node:assert/strict'
import { after, afterEach, before, beforeEach, describe, test } from 'node:test'
import { launch } from './browser.mjs'
import { Server, build } from './server.mjs'
import { Tab } from './tab.mjs'

const phone = { viewport: { width: 360, height: 640 }, isMobile: true, hasTouch: true }

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

async function newBrowser(options) {
  const context = await browser.newContext(options)
  contexts.push(context)
  return context
}

async function openTab(context) {
  const tab = new Tab(await context.newPage(), errors)
  await tab.page.goto(server.url)
  return tab
}

/** A user in a browser of their own, in the lobby. */
async function enter(name, options) {
  const context = await newBrowser(options)
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

  test('a name that is refused is said why, and kept', async () => {
    const tab = await openTab(await newBrowser())
    await tab.get('name').fill('Ada\u202e')
    await tab.get('enter').click()
    await tab.page.getByRole('alert').getByText('name has characters that cannot be shown').waitFor()
    assert.equal(await tab.get('name').getAttribute('aria-invalid'), 'true')
    assert.ok(await tab.get('name').evaluate((e) => e === document.activeElement))
    await server.kill()
    await tab.get('name').fill('Ada')
    await tab.get('enter').click()
    await tab.page.getByRole('alert').getByText('The server cannot be reached.').waitFor()
    await server.restart()
    await tab.get('enter').click()
    await tab.status('connected')
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

  test('the tabs of a browser leave and enter together', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob, context } = await enter('Bob')
    const second = await openTab(context)
    await second.status('connected')
    await ada.members('Ada', 'Bob')
    await second.get('leave').click()
    await bob.page.getByRole('alert').getByText('You have left in another tab.').waitFor()
    assert.equal(await bob.get('name').inputValue(), 'Bob')
    await ada.members('Ada')
    await second.signIn('Carol')
    await bob.status('connected')
    await bob.members('Ada', 'Carol')
  })

  test('names of all scripts are shown as they are written', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: coder } = await enter('👩‍💻 Zoë')
    const { tab: flag } = await enter('🇩🇪 Jürgen')
    const { tab: omar } = await enter('عمر')
    await coder.write('one')
    await flag.write('two')
    await omar.write('three')
    await ada.sees('three')
    assert.deepEqual(await ada.get('message').locator('.avatar').allTextContents(), ['👩‍💻', '🇩🇪', 'ع'])
    // The time is right of the name, in one piece.
    const author = ada.message('three').locator('.author')
    const name = await author.locator('.name').boundingBox()
    const times = await author.locator('time').evaluate((e) => [...e.getClientRects()].map((r) => r.x))
    assert.equal(times.length, 1)
    assert.ok(times[0] > name.x, `the name is at ${name.x}, its time at ${times[0]}`)
  })

  test('a message is named by its author, and its addresses are links', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    await bob.write('see https://example.com/a?b=1&c#d, (http://example.org/) or javascript:alert(1)')
    const message = ada.page.getByRole('log').getByRole('article', { name: /^Bob \d/ })
    await message.waitFor()
    const links = message.getByRole('link')
    assert.deepEqual(await links.evaluateAll((all) => all.map((a) => a.getAttribute('href'))), [
      'https://example.com/a?b=1&c#d',
      'http://example.org/',
    ])
    assert.match(await links.first().getAttribute('rel'), /noopener/)
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
    // Longer than the page keeps from telling it again.
    await bob.get('composer').pressSequentially('hm hm', { delay: 600 })
    await ada.get('typing').getByText('Bob is typing…').waitFor()
    assert.equal(await bob.get('typing').textContent(), '')
    await bob.get('send').click()
    await ada.sees('hm hm')
    await ada.page.waitForFunction(() => document.querySelector('[data-testid=typing]').textContent === '')
  })

  test('messages arrive in the order they were written', async () => {
    const { tab: ada } = await enter('Ada')
    const { tab: bob } = await enter('Bob')
    const held = new Promise((resolve) => ada.page.route('**/messages', resolve, { times: 1 }))
    await ada.write('first')
    const first = await held
    await ada.write('second')
    await bob.write('meanwhile')
    await ada.sees('meanwhile')
    await first.continue()
    await bob.sees('second')
    assert.deepEqual(await bob.get('text').allTextContents(), ['meanwhile', 'first', 'second'])
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
    assert.ok(await ada.get('messages').evaluate((e) => e === document.activeElement), 'the focus is not lost')
    await bob.write('answer')
    await ada.sees('answer')
    await bob.page.reload()
    await bob.sees('only once')
  })

  test('older messages are read on demand', async () => {
    const { tab: ada } = await enter('Ada')
    await ada.post(70)
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

  test('the view stays with its reader, on a phone too', async () => {
    const { tab: ada, context } = await enter('Ada', phone)
    const { tab: bob } = await enter('Bob')
    await ada.members('Ada', 'Bob')
    await ada.fits()
    await ada.post(70)
    await ada.page.reload()
    await ada.shows('message 70')
    await ada.write('from the composer')
    await ada.shows('from the composer')
    assert.ok(await ada.get('composer').evaluate((e) => e === document.activeElement))
    await ada.get('composer').fill('a draft of many lines\n'.repeat(20))
    await ada.shows('from the composer')
    await ada.get('composer').fill('')

    await ada.get('messages').evaluate((e) => e.scrollTo({ top: 0 }))
    await ada.get('newest').getByText('Newest messages').waitFor()
    await bob.write('are you reading this')
    await ada.get('newest').getByText('1 new message').waitFor()
    const before = await ada.message('message 22').boundingBox()
    await ada.get('older').click()
    await ada.get('older').waitFor({ state: 'detached' })
    await ada.sees('message 1')
    const after = await ada.message('message 22').boundingBox()
    assert.ok(Math.abs(after.y - before.y) <= 1, `message 22 was at ${before.y} and is at ${after.y}`)
    await ada.get('newest').click()
    await ada.shows('are you reading this')
    await ada.get('newest').waitFor({ state: 'detached' })

    await context.setOffline(true)
    await ada.status('offline')
    await ada.fits()
  })

  test('a line says where a day begins', async () => {
    const { tab: ada } = await enter('Ada')
    await ada.write('late')
    await ada.sees('late')
    assert.equal(await ada.get('day').count(), 0)
    await ada.page.clock.setFixedTime(Date.now() + 24 * 60 * 60_000)
    await ada.page.reload()
    await ada.sees('late')
    assert.deepEqual(await ada.get('day').allTextContents(), ['Yesterday'])
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
