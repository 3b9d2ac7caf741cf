// A page before a server, and what a test does with it.
import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { launch } from './browser.mjs';
import { Fake } from './fake.mjs';

const deadline = 15_000;

/** What every test begins with: a browser; what goes wrong in any page fails the test. */
export function useBrowser() {
  const world = new World();
  before(async () => (world.browser = await launch()));
  after(() => world.browser?.close());
  afterEach(() => world.end());
  return world;
}

class World {
  ends = [];
  errors = [];

  /** A page at an address, with a server of its own that makes its answers up. */
  async open(at, { size = { width: 1280, height: 800 }, ...options } = {}) {
    const fake = await Fake.start(options);
    this.ends.push(() => fake.stop());
    const page = await this.visit(fake.url, at, { size });
    return { page, fake };
  }

  /** A page at an address of any server. */
  async visit(url, at, { size = { width: 1280, height: 800 } } = {}) {
    const context = await this.browser.newContext({ viewport: size, reducedMotion: 'reduce', permissions: ['clipboard-read', 'clipboard-write'] });
    const page = await context.newPage();
    page.setDefaultTimeout(deadline);
    page.on('pageerror', (error) => this.errors.push(String(error.stack)));
    page.on('console', (m) => m.type() === 'error' && !/Failed to load resource|ERR_/.test(m.text()) && this.errors.push(m.text()));
    page.on('request', (request) => request.url().startsWith(new URL(url).origin) || this.errors.push(`asked ${request.url()}`));
    await page.goto(url + at);
    this.ends.push(() => context.close());
    return page;
  }

  async end() {
    for (const end of this.ends.splice(0).reverse()) await end();
    assert.deepEqual(this.errors.splice(0), [], 'nothing went wrong in a page');
  }
}

/** Runs a check again until it holds. */
export async function until(check) {
  for (const end = Date.now() + deadline; ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}

/** The texts of the first cells of a table's rows, as they are shown. */
export const rows = (page) => page.locator('tbody a.row .main').allTextContents();

/** The hash of where a page is. */
export const at = (page) => decodeURIComponent(new URL(page.url()).hash);
