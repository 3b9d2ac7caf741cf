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
