// Every state of the page: nothing that axe finds, nothing wider than the window, no
// error logged, nothing asked of another host. With SHOTS=folder it saves pictures of
// all, in three widths, light and dark, to be looked at; STATE (how a name begins) and
// VIEW (1280-light) choose among them.
import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { launch, look, sizes } from './browser.mjs';
import { show, states } from './states.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const folder = process.env.SHOTS;
const only = process.env.STATE;
const views = Object.keys(sizes).flatMap((size) => ['light', 'dark'].map((scheme) => [size, scheme])).filter((v) => !process.env.VIEW || v.join('-') === process.env.VIEW);
/** Without pictures each state is looked at once, in one view after the other. */
const looked = (name, view) => (only ? name.startsWith(only) : folder || Object.keys(states).indexOf(name) % views.length === view);

describe('looks', { timeout: 600_000 }, () => {
  let browser;
  before(async () => {
    browser = await launch();
    if (folder) await mkdir(folder, { recursive: true });
  });
  after(() => browser?.close());

  for (const [view, [size, scheme]] of views.entries()) {
    test(`${size} px, ${scheme}`, async (t) => {
      const context = await browser.newContext(look(size, scheme));
      for (const name of Object.keys(states).filter((n) => looked(n, view))) {
        await t.test(name, async () => {
          const { page, errors, foreign, close } = await show(context, name);
          try {
            if (folder) await page.screenshot({ path: join(folder, `${name.replace(/\W+/g, '-')}-${size}-${scheme}.png`) });
            await check(page);
            await fits(page);
            assert.deepEqual(errors, [], 'nothing is logged');
            assert.deepEqual(foreign, [], 'no other host is asked');
          } finally {
            await close();
          }
        });
      }
      await context.close();
    });
  }

  test('320 to 1440 px', async () => {
    const context = await browser.newContext({ viewport: { width: 320, height: 600 }, reducedMotion: 'reduce' });
    for (const name of ['now, busy', 'event', 'console, sent']) {
      const { page, close } = await show(context, name);
      for (const width of [320, 360, 480, 699, 700, 899, 900, 1100, 1280, 1440]) {
        await page.setViewportSize({ width, height: 700 });
        await fits(page);
      }
      await close();
    }
    await context.close();
  });

  test('forced colours', async () => {
    const context = await browser.newContext({ viewport: sizes[1280], forcedColors: 'active', reducedMotion: 'reduce', timezoneId: 'UTC' });
    for (const name of ['now, busy', 'events', 'channel']) {
      const { page, close } = await show(context, name);
      if (folder) await page.screenshot({ path: join(folder, `forced-${name.replace(/\W+/g, '-')}.png`) });
      await check(page);
      await close();
    }
    await context.close();
  });
});

async function check(page) {
  // The page's policy lets no script in but its own; this one comes by the debugger.
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    // eslint-disable-next-line no-undef
    const { violations } = await axe.run(document, { resultTypes: ['violations'] });
    return violations.map((v) => [v.id, v.impact, v.nodes.slice(0, 3).map((n) => `${n.html.slice(0, 200)} | ${n.failureSummary?.split('\n').slice(1, 3).join(' ')}`)]);
  });
  assert.deepEqual(found, []);
}

/** Nothing is wider than the window. */
async function fits(page) {
  const { width } = page.viewportSize();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), width);
  const out = await page.evaluate(
    (width) =>
      [...document.querySelectorAll('button, a, input, textarea, select, h1, h2, th')]
        .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.skip, .scroll, a.row'))
        .map((e) => [e.outerHTML.slice(0, 120), e.getBoundingClientRect()])
        .filter(([, box]) => box.width > 0 && (box.left < -1 || box.right > width + 1))
        .map(([html, box]) => `${html} ${box.left}–${box.right}`),
    width,
  );
  assert.deepEqual(out, []);
}
