// Who may look, who has no mouse, and who means ill.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { hostile } from './fake.mjs';
import { at, rows, until, useBrowser } from './page.mjs';

const focused = (page) => page.evaluate(() => document.activeElement?.closest('tr')?.querySelector('.main')?.textContent ?? document.activeElement?.textContent ?? '');

describe('people', { timeout: 120_000 }, () => {
  const world = useBrowser();

  test('a token opens it, a link with one is used and forgotten, and a session that ends asks again', async () => {
    const { page, fake } = await world.open('#/sessions', { token: true });
    await page.getByLabel('Token').fill('guess');
    await page.keyboard.press('Enter');
    await page.getByText('That is not the token.').waitFor();
    await page.getByLabel('Token').fill('open sesame');
    await page.keyboard.press('Enter');
    await page.getByText('240 sessions').waitFor();
    assert.ok(fake.calls.filter((c) => c.path === 'info').length === 1, 'nothing was asked before');

    fake.signedIn = false;
    await page.getByRole('link', { name: 'Webhooks' }).click();
    await page.getByLabel('Token').waitFor();

    await page.goto('about:blank');
    await page.goto(`${fake.url}#token=open%20sesame`);
    await page.getByRole('heading', { name: 'Now' }).waitFor();
    assert.equal(at(page), '#/now');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByLabel('Token').waitFor();
  });

  test('whoever is not let in hears so', async () => {
    const { page } = await world.open('', { denied: true });
    await page.getByRole('heading', { name: 'No permission' }).waitFor();
    assert.equal(await page.locator('nav').count(), 0);
  });

  test('keys do all', async () => {
    const { page } = await world.open('#/now');
    await page.getByRole('heading', { name: 'Now' }).waitFor();
    await page.keyboard.press('g');
    await page.keyboard.press('c');
    await page.getByText('40 channels').waitFor();
    await page.keyboard.press('ArrowDown');
    await until(async () => assert.equal(await focused(page), 'presence-room-1'));
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.equal(await focused(page), 'private-orders');
    await page.keyboard.press('Enter');
    await until(() => assert.equal(at(page), '#/channels/shop/private-orders'));
    await page.getByRole('complementary').getByText('Copy name').waitFor();
    await page.keyboard.press('ArrowDown');
    await until(() => assert.equal(at(page), '#/channels/shop/news'));
    await page.keyboard.press('Escape');
    await until(() => assert.equal(at(page), '#/channels'));
    assert.equal(await focused(page), 'news');
    await page.keyboard.press('End');
    await until(async () => assert.match(await focused(page), /^private-user/));
    await page.keyboard.press('Home');
    assert.equal(await focused(page), 'presence-room-1');
    await page.keyboard.press('/');
    await page.keyboard.type('orders');
    await until(async () => assert.deepEqual(await rows(page), ['private-orders']));
    await page.keyboard.press('Escape');
    await page.keyboard.press('?');
    await page.getByRole('dialog', { name: 'Keys' }).waitFor();
    await page.getByLabel('Single keys').uncheck();
    await page.keyboard.press('Escape');
    await page.keyboard.press('g');
    await page.keyboard.press('n');
    assert.equal(at(page), '#/channels?q=orders', 'single keys are off');
  });

  test('a chart says its values by keys', async () => {
    const { page } = await world.open('#/now');
    const chart = page.getByRole('slider', { name: 'Connections, over time' });
    await until(async () => assert.match(await chart.getAttribute('aria-valuetext'), /^4,\d{3} at \d\d:/));
    await chart.focus();
    await page.keyboard.press('Home');
    const first = await chart.getAttribute('aria-valuetext');
    await page.keyboard.press('ArrowRight');
    assert.notEqual(await chart.getAttribute('aria-valuetext'), first);
    assert.ok(await page.locator('[data-figure=sessions] .tip').isVisible());
    await page.keyboard.press('Escape');
    assert.ok(await page.locator('[data-figure=sessions] .tip').isHidden());
  });

  test('every control can be reached by Tab, and shows that it has the focus', async () => {
    const { page } = await world.open('#/channels/shop/presence-room-1');
    await page.getByText('Record for 15 minutes').waitFor();
    const want = await page.evaluate(() => [...document.querySelectorAll('button, a[href], input, select')].filter((e) => e.checkVisibility() && e.tabIndex >= 0).length);
    await page.evaluate(() => document.activeElement.blur());
    const seen = new Set();
    for (let i = 0; i < want + 10; i++) {
      await page.keyboard.press('Tab');
      seen.add(
        await page.evaluate(() => {
          const e = document.activeElement;
          const ring = (at) => getComputedStyle(e, at).outlineStyle !== 'none';
          return `${e.outerHTML.slice(0, 160)} ${ring() || ring('::after')}`;
        }),
      );
    }
    assert.deepEqual([...seen].filter((s) => s.endsWith(' false') && !/^<(body|h2|main)/.test(s)), []);
    assert.ok(seen.size >= want, `${seen.size} of ${want}`);
  });

  test('names that mean ill are shown as what they are', async () => {
    const names = Object.values(hostile);
    const { page, fake } = await world.open('#/channels?sort=name', { names });
    await page.getByText('48 channels').waitFor();
    const shown = await rows(page);
    await page.locator('.table-box').evaluate((box) => (box.scrollTop = box.scrollHeight));
    await until(async () => assert.ok((await rows(page)).includes(hostile.rtl)));
    shown.push(...(await rows(page)));
    for (const name of [hostile.html, hostile.script, hostile.long]) assert.ok(shown.includes(name), name);
    for (const name of ['invoiceU+202Efdp.exe', 'adU+200BminU+2060', 'tabU+0009hereU+0007']) assert.ok(shown.includes(name), name);
    const places = ['#/channels/shop/', '#/channels/shop/*/people', '#/channels/shop/*/history', '#/events?channel=', '#/console?channel=', '#/why?app=shop&user=', '#/sessions?user='];
    for (const name of names) {
      for (const place of places) {
        const wild = place.includes('*');
        await page.evaluate((hash) => (location.hash = hash), wild ? place.replace('*', encodeURIComponent(name)) : place + encodeURIComponent(name));
      }
      await page.goto(`${fake.url}#/events/${9300 + names.indexOf(name)}`);
      await page.locator('.panel .said').waitFor();
    }
    await page.goto(`${fake.url}#/now`);
    await page.getByText('invoice').first().waitFor();
    const hits = await page.evaluate(() => ({ hit: window.hit, made: document.querySelectorAll('img[onerror], body script, [style*=url]').length }));
    assert.deepEqual(hits, { hit: undefined, made: 0 });
    // Nothing that turns the direction of its neighbours is left in any text.
    const left = await page.evaluate(() => document.body.innerText.match(/[\u202a-\u202e\u2066-\u2069\u200b\u2060]/g));
    assert.equal(left, null);
    assert.ok(!/[\u202a-\u202e\u2066-\u2069]/.test(await page.title()));
  });

  test('a server that is gone is waited for', async () => {
    const { page, fake } = await world.open('#/now');
    await page.locator('.state.open').waitFor();
    fake.options.noStream = true;
    fake.http.closeAllConnections();
    await page.getByText('The server does not answer.').waitFor();
    fake.options.noStream = false;
    await page.getByText('The server does not answer.').waitFor({ state: 'hidden' });
    await page.locator('.state.open').waitFor();
  });

  test('a server that begins anew is followed from its beginning', async () => {
    const { page, fake } = await world.open('#/events');
    await page.locator('.state.open').waitFor();
    await until(async () => assert.ok([...fake.streams].some((s) => s.query.events !== '0')));
    fake.options.started = 1;
    fake.log = [];
    fake.http.closeAllConnections();
    await page.getByText('Nothing has happened yet').waitFor();
    await until(async () => assert.ok([...fake.streams].some((s) => s.query.events !== '0' && !s.query.after)));
    fake.push({ kind: 'publish', channel: 'news', event: 'first', text: 'the first of all' });
    await until(async () => assert.match(await page.locator('tbody a.row').first().getAttribute('aria-label'), /the first of all$/));
  });
});
