// Three people write through networks that are cut at random: all end with the same
// messages in the same order, none missing, none twice. CUTS says how often (20),
// SEED repeats a run.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

const cuts = Number(process.env.CUTS ?? 20)
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

/** Numbers from 0 to 1 that a seed repeats (mulberry32). */
function random(a) {
  return () => {
    a = (a + 0x6d2b79f5) | 0
    let t = Math.imul(a ^ (a >>> 15), 1 | a)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

describe('random cuts', { timeout: 60_000 + cuts * 6_000 }, () => {
  const world = useWorld('-messages', '100000')

  test(`${cuts} of them, seed ${seed}`, async () => {
    const rnd = random(seed)
    const people = []
    for (const name of ['Ann', 'Bob', 'Cem']) {
      const proxy = await world.proxy()
      const { tab } = await world.enter(name, { through: proxy })
      people.push({ name, proxy, tab, sent: 0 })
    }
    for (let i = 0; i < cuts; i++) {
      const hit = people[Math.floor(rnd() * people.length)]
      const way = ['snip', 'cut', 'blackHole'][Math.floor(rnd() * 3)]
      hit.proxy[way]()
      for (const p of people) for (let n = 0; n < 1 + Math.floor(rnd() * 2); n++) await p.tab.write(`${p.name} ${++p.sent}`)
      // A cut lasts until somebody else has got everything, or a moment.
      await new Promise((resolve) => setTimeout(resolve, rnd() * 400))
      hit.proxy.restore()
    }
    for (const p of people) {
      await p.tab.status('connected')
      await p.tab.until(async () => assert.equal(await p.tab.get('unsent').count(), 0, `${p.name} has sent everything`))
    }
    const stored = async (tab) =>
      tab.page.evaluate(async () => {
        const all = []
        for (let before = ''; ; before = `&before=${all[0].id}`) {
          const page = await (await fetch(`/api/rooms/1/messages?limit=100${before}`)).json()
          all.unshift(...page.messages)
          if (!page.has_before) return all.filter((m) => m.type === 'text').map((m) => m.message)
        }
      })
    const want = await stored(people[0].tab)
    for (const p of people) {
      const own = want.filter((text) => text.startsWith(`${p.name} `))
      assert.deepEqual(own, Array.from({ length: p.sent }, (_, i) => `${p.name} ${i + 1}`), `${p.name}'s own are there once, in order`)
    }
    for (const p of people) {
      await p.tab.until(async () => assert.deepEqual((await p.tab.texts()).slice(-10), want.slice(-10), p.name))
      assert.deepEqual(await all(p.tab), want, `${p.name} sees all`)
    }
  })
})

/** All messages of a room as its list shows them, by scrolling from the end to the first. */
async function all(tab) {
  const seen = new Map()
  const look = async () => {
    for (const [id, text] of await tab.page.evaluate(() =>
      [...document.querySelectorAll('[data-testid=message]')].map((r) => [Number(r.dataset.id), r.querySelector('[data-testid=text]').textContent]),
    ))
      seen.set(id, text)
  }
  await tab.get('messages').hover()
  for (let i = 0; i < 2_000; i++) {
    await look()
    if (await tab.get('start').count()) break
    await tab.page.mouse.wheel(0, -500)
    await tab.page.evaluate(() => new Promise(requestAnimationFrame))
  }
  await look()
  return [...seen].sort(([a], [b]) => a - b).map(([, text]) => text)
}
