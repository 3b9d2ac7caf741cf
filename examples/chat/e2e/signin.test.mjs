// Coming in and going out.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { passphrase } from './tab.mjs'
import { useWorld } from './world.mjs'

describe('sign-in', { timeout: 120_000 }, () => {
  const world = useWorld()

  test('a first visit logs no error, and a name is claimed with a passphrase', async () => {
    const context = await world.context()
    const tab = await world.tab(context, '/404'.slice(0, 1))
    const logged = []
    tab.page.on('console', (m) => m.type() === 'error' && logged.push(m.text()))
    tab.page.on('response', (r) => r.status() >= 400 && logged.push(`${r.status()} ${r.url()}`))
    await tab.page.reload()
    await tab.get('enter').click()
    await tab.get('signin-problem').getByText('Choose a name first.').waitFor()
    assert.ok(await tab.get('name').evaluate((e) => e === document.activeElement && e.ariaInvalid === 'true'))
    await tab.get('name').fill('Ann')
    await tab.get('passphrase').fill('short')
    await tab.get('enter').click()
    await tab.get('signin-problem').getByText('at least 8 characters').waitFor()
    assert.deepEqual(logged, [])
    await tab.signIn('Ann')
    assert.deepEqual(logged, [])
    assert.equal(new URL(tab.page.url()).pathname, '/room/1')
  })

  test('nobody can be a second Ann', async () => {
    await world.enter('Ann')
    const other = await world.tab(await world.context())
    await other.get('name').fill('ann')
    await other.get('passphrase').fill('not the one she has')
    await other.get('enter').click()
    await other.get('signin-problem').getByText('is taken').waitFor()
    assert.ok(await other.get('passphrase').evaluate((e) => e === document.activeElement))
    assert.equal(await other.get('name').inputValue(), 'ann', 'what was typed is kept')
  })

  test('signing out ends it in all tabs, and coming back goes on', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob, context } = await world.enter('Bob')
    const second = await world.tab(context, '/room/1')
    await second.status('connected')
    await ann.members('Ann', 'Bob')
    await second.get('me').click()
    await second.get('leave').click()
    await bob.get('signin-problem').getByText('You are signed out.').waitFor()
    assert.equal(await bob.get('name').inputValue(), 'Bob')
    await ann.members('Ann')
    await bob.page.reload()
    await bob.signIn('Bob')
    await second.status('connected')
    await ann.members('Ann', 'Bob')
  })

  test('an invitation makes a teacher, once signed in again an admin', async () => {
    const teacher = await world.tab(await world.context(), world.server.invitations.teacher)
    await teacher.page.getByText('You are invited as a teacher.').waitFor()
    await teacher.signIn('Tess')
    await teacher.get('me').getByText('teacher').waitFor()
    assert.equal(new URL(teacher.page.url()).pathname, '/room/1')
    await teacher.page.goto(world.server.url + world.server.invitations.admin)
    assert.equal(await teacher.get('name').inputValue(), 'Tess')
    await teacher.get('passphrase').fill(passphrase)
    await teacher.get('enter').click()
    await teacher.get('me').getByText('admin').waitFor()
  })

  test('a server that is away says so, and what was typed stays', async () => {
    const tab = await world.tab(await world.context())
    await tab.get('name').fill('Ann')
    await tab.get('passphrase').fill(passphrase)
    await world.server.kill()
    await tab.get('enter').click()
    await tab.get('signin-problem').getByText('The server cannot be reached.').waitFor()
    await world.server.restart()
    await tab.get('enter').click()
    await tab.status('connected')
  })
})
