// Messages between two browsers: sending, reading, changing. See ../web/package.json
// for how to run these tests.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { phone, useWorld } from './world.mjs'

describe('messages', { timeout: 240_000 }, () => {
  const world = useWorld('-messages', '100000')

  test('reach the others in the order of the room', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    const held = new Promise((resolve) => ann.page.route('**/messages', resolve, { times: 1 }))
    await ann.write('first')
    const first = await held
    await ann.write('second')
    await bob.write('meanwhile')
    await ann.sees('meanwhile')
    // What is not sent yet stays below what is.
    await ann.shows('meanwhile', 'first', 'second')
    await first.continue()
    await bob.shows('meanwhile', 'first', 'second')
    await ann.shows('meanwhile', 'first', 'second')
    assert.equal(await ann.get('unsent').count(), 0)
  })

  test('are text, with a little Markdown', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await bob.write('**bold** *it* `vector<int>` ~~no~~ https://example.com/a?b=1&c#d, javascript:alert(1)')
    const row = ann.message('bold it vector<int> no https://example.com/a?b=1&c#d, javascript:alert(1)')
    await row.waitFor()
    assert.deepEqual(await row.locator('strong, em, code, del').allTextContents(), ['bold', 'it', 'vector<int>', 'no'])
    assert.deepEqual(await row.locator('a[target]').evaluateAll((all) => all.map((a) => [a.getAttribute('href'), a.rel])), [
      ['https://example.com/a?b=1&c#d', 'noopener noreferrer nofollow'],
    ])
    await bob.write('- one\n- two\n\n> said\n\n1. a\n2. b')
    await ann.page.locator('.markdown ul > li').nth(1).waitFor()
    assert.equal(await ann.page.locator('.markdown blockquote').textContent(), 'said')
    assert.equal(await ann.page.locator('.markdown ol > li').count(), 2)
    await bob.write('```\nif (a < b && c) {}\n```')
    await ann.page.locator('pre', { hasText: 'if (a < b && c) {}' }).waitFor()
    await ann.page.context().grantPermissions(['clipboard-read', 'clipboard-write'])
    await ann.page.getByRole('button', { name: 'Copy the code' }).click()
    assert.equal(await ann.page.evaluate(() => navigator.clipboard.readText()), 'if (a < b && c) {}')
    // Read back byte for byte.
    const text = '  vector<int>\n\n\ttab & "quotes" \\ \u202eback\u202c  '
    await bob.get('composer').fill(text)
    await bob.get('composer').press('Enter')
    await ann.until(async () => {
      const { messages } = await ann.page.evaluate(async () => (await fetch('/api/rooms/1/messages')).json())
      assert.equal(messages.at(-1).message, text)
    })
  })

  test('Enter sends, Shift+Enter breaks, and too much is counted', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.get('composer').fill('two')
    await ann.get('composer').press('Shift+Enter')
    await ann.get('composer').pressSequentially('lines')
    await ann.get('composer').press('Enter')
    await ann.sees('two\nlines')
    assert.equal(await ann.get('composer').inputValue(), '')
    await ann.get('composer').fill('x'.repeat(4001))
    await ann.page.getByText('1 characters too many').waitFor()
    assert.ok(await ann.get('send').isDisabled())
    await ann.get('composer').fill('   ')
    assert.ok(await ann.get('send').isDisabled())
  })

  test('are edited, deleted and answered, for all who see them', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.write('helo')
    await bob.sees('helo')
    await bob.act('helo', 'reply')
    await bob.get('composer-about').getByText('Reply to Ann: helo').waitFor()
    await bob.write('yes?')
    await ann.sees('yes?')
    await ann.message('yes?').getByTestId('quote').getByText('helo').waitFor()
    // The arrow takes the last message of one's own.
    await ann.get('composer').press('ArrowUp')
    assert.equal(await ann.get('composer').inputValue(), 'helo')
    await ann.get('composer').fill('hello')
    await ann.get('composer').press('Enter')
    await bob.message('hello').getByText('edited').waitFor()
    await bob.message('yes?').getByTestId('quote').getByText('hello').waitFor()
    assert.equal(await bob.message('hello').getByTestId('edit').count(), 0, 'not what others wrote')
    await ann.act('hello', 'delete')
    await ann.get('confirm').click()
    await bob.sees('This message was deleted.')
    await ann.sees('You deleted this message.')
    await bob.message('yes?').getByTestId('quote').getByText('This message was deleted.').waitFor()
    await bob.page.reload()
    await bob.shows('This message was deleted.', 'yes?')
  })

  test('an edit that is given up gives the draft back', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.write('one')
    await ann.sees('one')
    await ann.get('composer').fill('a draft')
    await ann.act('one', 'edit')
    assert.equal(await ann.get('composer').inputValue(), 'one')
    await ann.get('composer').press('Escape')
    assert.equal(await ann.get('composer').inputValue(), 'a draft')
  })

  test('have reactions of all, counted', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.write('good news')
    await bob.sees('good news')
    await bob.act('good news', 'react')
    await bob.get('emoji-picker').getByPlaceholder('Search emoji').fill('party popper')
    await bob.get('emoji-picker').getByLabel('Party popper').click()
    await ann.message('good news').getByTestId('reaction').getByText('🎉').waitFor()
    await ann.message('good news').getByTestId('reaction').click()
    await bob.message('good news').getByTestId('reaction').getByText('2').waitFor()
    assert.equal(await bob.get('reaction').getAttribute('title'), 'you and Ann reacted with 🎉')
    await bob.get('reaction').click()
    await ann.message('good news').getByTestId('reaction').getByText('1').waitFor()
    await ann.get('reaction').click()
    await bob.get('reaction').waitFor({ state: 'detached' })
  })

  test('@ and : complete what is written, and a mention calls', async () => {
    const { tab: ann } = await world.enter('Ann Lee')
    const { tab: bob } = await world.enter('Bob')
    await bob.members('Ann Lee', 'Bob')
    await bob.get('composer').pressSequentially('hi @an')
    await bob.get('completion').getByText('Ann Lee').waitFor()
    await bob.get('composer').press('Enter')
    await bob.get('composer').pressSequentially('see :tada')
    await bob.get('completion').getByText('🎉 :tada:').waitFor()
    await bob.get('composer').press('Tab')
    assert.equal(await bob.get('composer').inputValue(), 'hi @Ann Lee see 🎉 ')
    await bob.get('composer').press('Enter')
    await ann.page.locator('.mention.me', { hasText: '@Ann Lee' }).waitFor()
  })

  test('a phone answers by a long press, above its keyboard', async () => {
    const { tab: ann } = await world.enter('Ann', phone)
    await ann.get('room').first().click()
    await ann.write('from my phone')
    await ann.sees('from my phone')
    const box = await ann.message('from my phone').boundingBox()
    const cdp = await ann.page.context().newCDPSession(ann.page)
    const point = { x: box.x + 100, y: box.y + box.height - 12 }
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchStart', touchPoints: [point] })
    const reply = ann.page.getByRole('menuitem', { name: 'Reply' })
    await reply.waitFor()
    await cdp.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
    await reply.click()
    await ann.get('composer-about').waitFor()
    const heights = await ann.page.locator('button:visible').evaluateAll((all) => all.map((b) => b.getBoundingClientRect().height))
    assert.ok(Math.min(...heights) >= 28, `the lowest button is ${Math.min(...heights)} px high`)
    await ann.fits()
  })

  test('the view stays with its reader', async () => {
    const poster = await world.client('Poster')
    await poster.post(1, Array.from({ length: 120 }, (_, i) => `message ${i + 1}`))
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.message('message 120').waitFor()
    await bob.message('message 120').waitFor()
    const messages = ann.get('messages')
    await messages.evaluate((e) => e.scrollTo({ top: e.scrollHeight - e.clientHeight - 1200 }))
    await ann.get('newest').waitFor()
    const place = () => ann.page.evaluate(() => {
      const view = document.querySelector('[data-testid=messages]').getBoundingClientRect()
      const row = [...document.querySelectorAll('[data-testid=message]')].find((r) => r.getBoundingClientRect().top > view.top + 100)
      return [row.dataset.id, Math.round(row.getBoundingClientRect().top)]
    })
    await ann.until(async () => {
      const one = await place()
      await new Promise((resolve) => setTimeout(resolve, 200))
      assert.deepEqual(await place(), one, 'it has come to rest')
    })
    const before = await place()
    await bob.write('are you reading this')
    await ann.get('newest').getByText('1 new').waitFor()
    assert.deepEqual(await place(), before)
    await ann.get('newest').click()
    await ann.sees('are you reading this')
    await ann.get('newest').waitFor({ state: 'detached' })
    // To the first message, by wheel alone.
    await messages.hover()
    await ann.until(async () => {
      await ann.page.mouse.wheel(0, -3000)
      assert.equal(await ann.get('start').count(), 1)
    })
    await ann.sees('message 1')
  })

  test('a line says where a day begins', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.write('late')
    await ann.sees('late')
    await ann.get('day').getByText('Today').waitFor()
    await ann.page.clock.setFixedTime(Date.now() + 24 * 60 * 60_000)
    await ann.page.reload()
    await ann.sees('late')
    await ann.get('day').getByText('Yesterday').waitFor()
  })
})
