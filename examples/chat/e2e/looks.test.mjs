// Every state of the page: nothing that axe finds serious, nothing wider than the
// window, no error logged. With SHOTS=folder it saves pictures of all, in three widths,
// light and dark, to be looked at.
import assert from 'node:assert/strict'
import { mkdir, readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { launch } from './browser.mjs'
import { show, states } from './states.mjs'
import { Tab } from './tab.mjs'

const require = createRequire(new URL('../web/package.json', import.meta.url))
const axe = require.resolve('axe-core/axe.min.js')
const folder = process.env.SHOTS
const only = process.env.STATE

const sizes = { 360: { width: 360, height: 740 }, 768: { width: 768, height: 900 }, 1280: { width: 1280, height: 800 } }
const views = Object.keys(sizes).flatMap((size) => ['light', 'dark'].map((scheme) => [size, scheme]))
/** Without pictures each state is looked at once, in one view after the other. */
const looked = (name, view) => (only ? name === only : folder || Object.keys(states).indexOf(name) % views.length === view)

describe('looks', { timeout: 600_000 }, () => {
  let browser
  before(async () => {
    browser = await launch()
    if (folder) await mkdir(folder, { recursive: true })
  })
  after(() => browser?.close())

  for (const [view, [size, scheme]] of views.entries()) {
    test(`${size} px, ${scheme}`, async (t) => {
      const context = await browser.newContext({
        viewport: sizes[size],
        colorScheme: scheme,
        reducedMotion: 'reduce',
        timezoneId: 'UTC',
        serviceWorkers: 'block',
        ...(size === '360' && { isMobile: true, hasTouch: true }),
      })
      for (const name of Object.keys(states).filter((n) => looked(n, view))) {
        await t.test(name, async () => {
          const page = await show(context, name)
          try {
            if (folder) {
              await page.waitForTimeout(150)
              await page.screenshot({ path: join(folder, `${name.replace(/\W+/g, '-')}-${size}-${scheme}.png`) })
            }
            await check(page)
            if (name !== 'print') await new Tab(page, []).fits()
            if (size === '360') assert.deepEqual(await small(page), [], 'what a finger can miss')
          } finally {
            await context.setOffline(false)
            await page.close()
          }
        })
      }
      await context.close()
    })
  }

  test('320 to 1440 px', async () => {
    const context = await browser.newContext({ viewport: { width: 320, height: 600 } })
    const page = await show(context, 'talk')
    for (const width of [320, 360, 480, 699, 700, 900, 1099, 1100, 1280, 1440]) {
      await page.setViewportSize({ width, height: 700 })
      await new Tab(page, []).fits()
    }
    await context.close()
  })
})

/** What can be tapped, is not a link within text, and is met nowhere within 22 px of its middle, up, down, left or right. */
function small(page) {
  return page.evaluate(() => {
    const top = document.querySelector('dialog[open]') ?? document
    const found = []
    for (const el of top.querySelectorAll('button, a[href], input, textarea, [role=tab], [role=option]')) {
      if (el.closest('.text, .hidden, .skip, [hidden]') || el.disabled) continue
      const target = el.closest('label') ?? el
      const { left, top, width, height } = target.getBoundingClientRect()
      const [x, y] = [left + width / 2, top + height / 2]
      const meets = (x, y) => {
        const hit = document.elementFromPoint(x, y)
        return hit !== null && (target === hit || target.contains(hit))
      }
      // What is scrolled away, or under something else, is not there to be tapped.
      if (width === 0 || !meets(x, y)) continue
      const edge = target.closest('.scroller, .rooms-scroll, .emoji-viewport, .dialog-body, .people-panel')?.getBoundingClientRect() ?? { left: 0, top: 0, right: innerWidth, bottom: innerHeight }
      const hidden = (x, y) => x < edge.left || y < edge.top || x >= edge.right || y >= edge.bottom || document.elementFromPoint(x, y)?.closest('.menu, dialog') !== target.closest('.menu, dialog')
      for (const [dx, dy] of [[-21, 0], [21, 0], [0, -21], [0, 21]])
        if (!hidden(x + dx, y + dy) && !meets(x + dx, y + dy)) {
          found.push(`${el.outerHTML.slice(0, 120)}: ${Math.round(width)} x ${Math.round(height)}`)
          break
        }
    }
    return found
  })
}

async function check(page) {
  // The page's policy lets no script in but its own; this one comes by the debugger.
  await page.evaluate(await readFile(axe, 'utf8'))
  const found = await page.evaluate(async () => {
    const run = axe.run(document, { resultTypes: ['violations'] })
    const { violations } = await run
    return violations.map((v) => [v.id, v.impact, v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 160)} | ${n.failureSummary?.split('\n').slice(1, 3).join(' ')}`)])
  })
  assert.deepEqual(found, [])
}
