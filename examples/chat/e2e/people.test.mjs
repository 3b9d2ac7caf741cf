// Who is here, who types, what has happened.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

describe('people', { timeout: 180_000 }, () => {
  const world = useWorld()

  test('two tabs are one user, a reload is no leave, and who goes was seen', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob, context } = await world.enter('Bob')
    await ann.members('Ann', 'Bob')
    const second = await world.tab(context, '/room/1')
    await second.status('connected')
    await second.members('Ann', 'Bob')
    await second.write('from my other tab')
    await bob.sees('from my other tab')
    await ann.sees('from my other tab')
    const gone = ann.page.waitForFunction(() => document.querySelectorAll('[data-testid=member][data-online=true]').length < 2, null, { timeout: 4_000 }).then(
      () => assert.fail('a reload looked as if Bob had left'),
      () => undefined,
    )
    await bob.page.close()
    await second.page.reload()
    await second.status('connected')
    await gone
    await context.close()
    world.contexts = world.contexts.filter((c) => c !== context)
    await ann.members('Ann')
    await ann.get('members-away').getByText(/last seen/).waitFor()
  })

  test('who is typing is shown until the message is there', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    const { tab: cem } = await world.enter('Cem')
    await ann.members('Ann', 'Bob', 'Cem')
    await bob.get('composer').pressSequentially('hm')
    await ann.get('typing').getByText('Bob is typing…').waitFor()
    await cem.get('composer').pressSequentially('me too')
    await ann.get('typing').getByText('Bob and Cem are typing…').waitFor()
    assert.doesNotMatch(await bob.get('typing').textContent(), /Bob/)
    await bob.get('composer').press('Enter')
    await ann.sees('hm')
    await ann.get('typing').getByText('Cem is typing…').waitFor()
    await cem.get('composer').fill('')
    await ann.until(async () => assert.equal(await ann.get('typing').textContent(), ''))
  })

  test('the feed tells what has happened, now and before', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.write('one')
    await ann.sees('one')
    await ann.get('tab-activity').click()
    await ann.get('activity').getByText('Ann joined', { exact: false }).waitFor()
    const { tab: bob } = await world.enter('Bob')
    await ann.get('activity').getByText('Bob joined', { exact: false }).waitFor()
    await bob.get('chooser').setInputFiles({ name: 'notes.txt', mimeType: 'text/plain', buffer: Buffer.from('to do') })
    await bob.page.locator('[data-testid=upload][data-done=true]').waitFor()
    await bob.get('send').click()
    await ann.get('activity').getByText('notes.txt', { exact: false }).waitFor()
    await ann.page.reload()
    await ann.get('tab-activity').click()
    await ann.get('activity').getByText('notes.txt', { exact: false }).waitFor()
  })

  test('a message that was read is known as such in the other tab', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob, context } = await world.enter('Bob')
    await bob.makeRoom('Side')
    const second = await world.tab(context, '/room/1')
    await second.status('connected')
    // Only one tab of a browser has the focus.
    await bob.page.bringToFront()
    await ann.write('read me')
    await bob.room('Lobby').getByTestId('unread').waitFor()
    await bob.room('Lobby').click()
    await bob.sees('read me')
    await ann.get('read-by').getByText('Read by Bob').waitFor()
    await second.room('Lobby').getByTestId('unread').waitFor({ state: 'detached' })
  })
})
