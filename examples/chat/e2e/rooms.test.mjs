// Rooms, private rooms, direct messages: who sees what, and what the list says.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

describe('rooms', { timeout: 180_000 }, () => {
  const world = useWorld('-room-size', '3')

  test('are made, joined, listed with what is unread, and left', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.makeRoom('Design')
    await ann.write('a first draft')
    await ann.sees('a first draft')
    const { tab: bob } = await world.enter('Bob')
    await bob.get('open-room').getByText('Design').click()
    await bob.get('join').click()
    await bob.sees('a first draft')
    await ann.members('Ann', 'Bob')
    await ann.notices().then((n) => assert.ok(n.some((t) => t.includes('Bob joined'))))
    await bob.room('Lobby').click()
    await ann.write('a second one')
    await ann.write('@Bob look')
    await bob.room('Design').getByTestId('unread').getByText('@2').waitFor()
    await bob.room('Design').getByTestId('last').getByText('Ann: @Bob look').waitFor()
    await bob.until(async () => assert.match(await bob.page.title(), /^\(2\) Lobby/))
    await bob.room('Design').click()
    await bob.get('new-line').waitFor()
    await bob.room('Design').getByTestId('unread').waitFor({ state: 'detached' })
    await bob.page.reload()
    await bob.sees('a second one')
    assert.equal(await bob.room('Design').getByTestId('unread').count(), 0, 'read is read')
    await bob.get('room-menu').click()
    await bob.get('leave-room').click()
    await bob.get('confirm').click()
    await bob.get('open-room').getByText('Design').waitFor()
  })

  test('that are private are for those who are in them', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.makeRoom('Secret', { closed: true })
    await ann.write('for us')
    await ann.sees('for us')
    const id = new URL(ann.page.url()).pathname.split('/')[2]
    assert.equal(await bob.page.getByText('Secret').count(), 0)
    await bob.page.goto(`${world.server.url}/room/${id}`)
    await bob.get('no-room').getByText('This room is not there, or not for you.').waitFor()
    const answers = await bob.page.evaluate(async (id) => {
      const status = async (path, body) => (await fetch(path, body && { method: 'POST', body, headers: { 'Content-Type': 'application/x-www-form-urlencoded' } })).status
      return [
        await status(`/api/rooms/${id}/messages`),
        await status(`/api/rooms/${id}/members`),
        await status('/pusher/auth', `socket_id=1.1&channel_name=private-room-${id}`),
        await status('/pusher/auth', `socket_id=1.1&channel_name=presence-room-${id}`),
      ]
    }, id)
    assert.ok(answers.every((s) => s === 403 || s === 404), String(answers))
    await ann.get('room-menu').click()
    await ann.page.getByRole('menuitem', { name: 'Add people' }).click()
    await ann.get('find-user').fill('bo')
    await ann.get('user').getByText('Bob').click()
    await bob.room('Secret').click()
    await bob.sees('for us')
  })

  test('of two are opened from a name, and both are told', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    await ann.members('Ann', 'Bob')
    await ann.get('member').getByText('Bob').click()
    await ann.get('direct').click()
    await ann.page.getByRole('heading', { level: 2, name: 'Bob' }).waitFor()
    await ann.write('just you and me')
    await bob.room('Ann').getByTestId('unread').waitFor()
    await bob.room('Ann').click()
    await bob.sees('just you and me')
    await bob.get('online').getByText('online').waitFor()
    await bob.get('new-direct').click()
    await bob.get('user').getByText('Ann').click()
    await bob.sees('just you and me')
  })

  test('that are full say so, and let nobody half in', async () => {
    const one = await world.client('One')
    for (const name of ['Two', 'Three']) await world.client(name)
    await one.post(1, ['for those who are here'])
    const { tab: four } = await world.enter('Four')
    await four.get('join-problem').getByText('This room is full (3 people). Try again in a minute.').waitFor()
    await four.get('join').click()
    assert.equal(await four.get('composer').count(), 0)
    assert.equal(await four.page.getByText('for those who are here').count(), 0, 'not even in the list')
    assert.equal(await four.page.evaluate(async () => (await fetch('/api/rooms/1/messages')).status), 409)
    await one.call('POST', '/api/rooms/1/leave')
    await four.get('join').click()
    await four.sees('for those who are here')
    await four.write('at last')
    await four.sees('at last')
  })

  test('lose a member whom a teacher removes, and messages too', async () => {
    const teacher = await world.tab(await world.context(), world.server.invitations.teacher)
    await teacher.signIn('Tess')
    const { tab: bob } = await world.enter('Bob')
    await bob.write('something rude')
    await teacher.sees('something rude')
    await teacher.act('something rude', 'delete')
    await teacher.get('confirm').click()
    await bob.sees('Tess removed this message.')
    await teacher.members('Bob', 'Tess')
    await teacher.get('member').getByText('Bob').click()
    await teacher.get('remove-member').click()
    await teacher.get('confirm').click()
    await bob.get('notices').getByText('You are no longer in Lobby').waitFor()
    assert.equal(await bob.get('composer').count(), 0)
    await teacher.members('Tess')
  })
})
