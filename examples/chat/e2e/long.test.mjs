// What a long history costs, and what a first visit loads.
import assert from 'node:assert/strict'
import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { useWorld } from './world.mjs'

const dist = fileURLToPath(new URL('../web/dist', import.meta.url))
const total = 5_000
const nodesMost = 3_000
const scriptMost = 120 * 1024

describe('a long history', { timeout: 240_000 }, () => {
  const world = useWorld('-messages', '1000000')

  test(`${total} messages are scrolled from the last to the first in at most ${nodesMost} nodes`, async () => {
    const poster = await world.client('Poster')
    const each = 10
    let next = 0
    const work = async () => {
      while (next < total) {
        const i = ++next
        await poster.call('POST', '/api/rooms/1/messages', { client_id: `m${i}`, message: `message ${i}` })
      }
    }
    await Promise.all(Array.from({ length: each }, work))
    const { tab: ann } = await world.enter('Ann')
    await ann.get('message').first().waitFor()
    const result = await ann.page.evaluate(async () => {
      const list = document.querySelector('[data-testid=messages]')
      const seen = new Map()
      let nodes = 0
      const frame = () => new Promise(requestAnimationFrame)
      for (let i = 0; i < 20_000 && !document.querySelector('[data-testid=start]'); i++) {
        for (const row of document.querySelectorAll('[data-testid=message]')) seen.set(Number(row.dataset.id), row.querySelector('[data-testid=text]').textContent)
        nodes = Math.max(nodes, document.querySelectorAll('*').length)
        list.scrollBy({ top: -list.clientHeight * 0.8 })
        await frame()
        await frame()
      }
      for (const row of document.querySelectorAll('[data-testid=message]')) seen.set(Number(row.dataset.id), row.querySelector('[data-testid=text]').textContent)
      return { nodes, texts: [...seen].sort(([a], [b]) => a - b).map(([, text]) => text) }
    })
    assert.ok(result.nodes <= nodesMost, `${result.nodes} nodes`)
    assert.equal(result.texts.length, total)
    assert.equal(new Set(result.texts).size, total)
  })

  test(`a first visit loads at most ${scriptMost / 1024} KB of scripts, and what is compressed is served so`, async () => {
    const poster = await world.client('Poster')
    await poster.post(1, ['plain', '**bold** `code`'])
    const context = await world.context()
    const tab = await world.tab(context)
    const loaded = new Map()
    tab.page.on('response', async (r) => {
      const { pathname } = new URL(r.url())
      if (pathname.endsWith('.js')) loaded.set(pathname, r.headers()['content-encoding'])
    })
    await tab.signIn('Ann')
    await tab.page.reload()
    await tab.message('bold code').waitFor()
    await tab.members('Ann')
    let size = 0
    for (const [path, encoding] of loaded) {
      if (!path.startsWith('/assets/')) continue
      const raw = await stat(join(dist, path))
      if (raw.size >= 1_000) assert.ok(['br', 'gzip'].includes(encoding), `${path} is served as ${encoding}`)
      size += raw.size >= 1_000 ? (await readFile(join(dist, `${path}.br`))).length : raw.size
    }
    assert.ok(loaded.size >= 3, [...loaded.keys()].join(' '))
    assert.ok(size <= scriptMost, `${size} bytes`)
  })
})
