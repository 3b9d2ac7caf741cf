// Finding what was said, and going there.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

describe('much that is unread', { timeout: 120_000 }, () => {
  const world = useWorld('-messages', '100000')

  test('is read from where reading stopped', async () => {
    const { tab: ann } = await world.enter('Ann')
    const poster = await world.client('Poster')
    await poster.post(1, ['the last one read'])
    await ann.sees('the last one read')
    await ann.makeRoom('Elsewhere')
    await poster.post(1, Array.from({ length: 120 }, (_, i) => `new ${i + 1}`))
    await ann.room('Lobby').getByText('99+').waitFor()
    await ann.page.reload()
    await ann.room('Lobby').click()
    await ann.message('new 1').waitFor()
    await ann.get('new-line').waitFor()
    await ann.get('messages').hover()
    await ann.until(async () => {
      await ann.page.mouse.wheel(0, 2_000)
      assert.equal(await ann.message('new 120').count(), 1)
    })
    await ann.room('Lobby').getByTestId('unread').waitFor({ state: 'detached' })
  })
})

describe('search', { timeout: 120_000 }, () => {
  const world = useWorld('-messages', '100000')

  test('finds words in all rooms, marks them, and jumps there and back', async () => {
    const poster = await world.client('Poster')
    const texts = Array.from({ length: 200 }, (_, i) => (i === 20 ? 'The quick brown fox, and 🦊 the FOX again' : `message ${i + 1}`))
    await poster.post(1, texts)
    const { tab: ann } = await world.enter('Ann')
    await ann.message('message 200').waitFor()
    await ann.page.keyboard.press('Control+k')
    await ann.get('search-input').fill('fox')
    await ann.get('hit').waitFor()
    assert.deepEqual(await ann.page.locator('mark').allTextContents(), ['fox', 'FOX'])
    await ann.get('search-input').press('ArrowDown')
    await ann.page.keyboard.press('Enter')
    const found = ann.message('The quick brown fox, and 🦊 the FOX again')
    await found.waitFor()
    await ann.until(async () => {
      const box = await found.boundingBox()
      assert.ok(box.y > 60 && box.y < 700, `it is at ${box.y}`)
    })
    await ann.until(async () => assert.ok(await found.evaluate((e) => e === document.activeElement)))
    await ann.message('message 1').first().waitFor({ state: 'attached' }).catch(() => undefined)
    await ann.get('newest').click()
    await ann.message('message 200').waitFor()
    // The address of a message leads there as well.
    const link = `${world.server.url}/room/1/message/22`
    await ann.page.goto(link)
    await ann.page.locator('[data-id="22"]').waitFor()
    await ann.page.keyboard.press('Control+k')
    await ann.get('search-input').fill('zebra')
    await ann.get('search-status').getByText('Nothing has “zebra” in it.').waitFor()
    await ann.page.keyboard.press('Escape')
    await ann.get('search-input').waitFor({ state: 'detached' })
  })
})
