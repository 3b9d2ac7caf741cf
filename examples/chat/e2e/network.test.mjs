// What a bad network and a server that goes away do to a conversation: nothing.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

describe('the network', { timeout: 240_000 }, () => {
  const world = useWorld('-messages', '100000')

  test('that is cut loses nothing, and says so quietly', async () => {
    const proxy = await world.proxy()
    const { tab: ann } = await world.enter('Ann', { through: proxy })
    const { tab: bob } = await world.enter('Bob')
    await ann.write('before')
    await bob.sees('before')
    proxy.cut()
    await ann.get('banner').waitFor()
    await ann.write('one')
    await ann.write('two')
    await bob.write('meanwhile')
    await bob.write('and more')
    await bob.sees('and more')
    assert.equal(await ann.page.locator('[data-testid=unsent][data-state=failed]').count(), 0, 'nothing is given up')
    assert.equal(await ann.page.getByRole('alert').count(), 0, 'no alarm')
    proxy.restore()
    await ann.status('connected')
    await bob.shows('before', 'meanwhile', 'and more', 'one', 'two')
    await ann.shows('before', 'meanwhile', 'and more', 'one', 'two')
    await ann.get('banner').waitFor({ state: 'detached' })
  })

  test('that swallows all is noticed, and what was sent arrives once', async () => {
    const proxy = await world.proxy()
    const { tab: ann } = await world.enter('Ann', { through: proxy })
    const { tab: bob } = await world.enter('Bob')
    await ann.members('Ann', 'Bob')
    proxy.blackHole()
    await ann.write('into the dark')
    await bob.write('can you hear me')
    await bob.sees('can you hear me')
    await ann.page.locator('[data-testid=status]:not([data-status=connected])').waitFor({ state: 'attached' })
    proxy.restore()
    await ann.status('connected')
    await bob.shows('can you hear me', 'into the dark')
    await ann.shows('can you hear me', 'into the dark')
  })

  test('that loses the answer of a post makes no second message', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.page.route(
      '**/messages',
      async (route) => {
        await route.fetch()
        await route.abort()
      },
      { times: 2 },
    )
    await ann.write('only once')
    await bob.sees('only once')
    await ann.until(async () => assert.equal(await ann.get('unsent').count(), 0))
    await ann.shows('only once')
    await bob.shows('only once')
  })

  test('that is switched off in the browser brings all when it is back', async () => {
    const { tab: ann, context } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.members('Ann', 'Bob')
    await context.setOffline(true)
    await ann.status('disconnected')
    await ann.get('banner').getByText('You are offline. Messages will be sent when you are back.').waitFor()
    await bob.write('did you get this')
    await ann.write('from the tunnel')
    await context.setOffline(false)
    await ann.status('connected')
    await ann.shows('did you get this', 'from the tunnel')
    await bob.shows('did you get this', 'from the tunnel')
  })

  test('outbox and draft survive a reload in mid-send', async () => {
    const proxy = await world.proxy()
    const { tab: ann } = await world.enter('Ann', { through: proxy })
    const { tab: bob } = await world.enter('Bob')
    await ann.members('Ann', 'Bob')
    // The page is loaded again while its posts go nowhere.
    await ann.page.route('**/api/rooms/*/messages', (route) => (route.request().method() === 'POST' ? undefined : route.continue()))
    await ann.write('one')
    await ann.write('two')
    await ann.get('composer').fill('not yet')
    await ann.page.reload()
    await ann.get('unsent').nth(1).waitFor()
    assert.equal(await ann.get('composer').inputValue(), 'not yet')
    await ann.page.unrouteAll()
    await ann.page.reload()
    await bob.shows('one', 'two')
    await ann.shows('one', 'two')
    assert.equal(await ann.get('unsent').count(), 0)
  })

  test('a server that is restarted in mid-conversation takes up where it was', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.write('before')
    await bob.sees('before')
    await world.server.kill()
    await ann.write('while it was down')
    await ann.get('unsent').waitFor()
    await world.server.restart()
    await ann.status('connected')
    await bob.status('connected')
    await bob.shows('before', 'while it was down')
    await world.server.crash()
    await bob.write('after the crash')
    await world.server.restart()
    await ann.status('connected')
    await ann.shows('before', 'while it was down', 'after the crash')
    await ann.members('Ann', 'Bob')
    await ann.page.reload()
    await ann.shows('before', 'while it was down', 'after the crash')
  })

  test('a message that is refused for good stays, with its reason', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.page.route('**/messages', (route) =>
      route.request().method() === 'POST'
        ? route.fulfill({ status: 422, json: { error: { code: 'filtered', field: 'message', message: 'That word is not for this room.' } } })
        : route.continue(),
    )
    await ann.write('a bad word')
    await ann.get('unsent-problem').getByText('That word is not for this room.').waitFor()
    await ann.page.unrouteAll()
    await ann.get('retry').click()
    await ann.until(async () => assert.equal(await ann.get('unsent').count(), 0))
    await ann.sees('a bad word')
  })
})

describe('a limit', { timeout: 60_000 }, () => {
  const world = useWorld('-messages', '3')

  test('is told in words, and waits by itself', async () => {
    const { tab: ann } = await world.enter('Ann')
    for (const text of ['one', 'two', 'three', 'four']) await ann.write(text)
    await ann.get('unsent-problem').getByText(/You are sending very fast. Try again in/).waitFor()
    await ann.until(async () => assert.equal(await ann.get('unsent').count(), 0))
    await ann.shows('one', 'two', 'three', 'four')
  })
})
