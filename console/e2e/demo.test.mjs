// The page before the real thing: every view has what the broker does, and the server
// that makes its answers up answers in the same shapes.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Fake } from './fake.mjs';
import { rows, until, useBrowser } from './page.mjs';
import { build, Server } from './server.mjs';

const room = 'presence-room-0';

describe('demo', { timeout: 180_000 }, () => {
  const world = useBrowser();
  let binary, server, many;
  before(async () => {
    binary = await build();
    server = await Server.start(binary.path);
    many = await Server.start(binary.path, '-channels', '100000', '-clients', '5', '-rate', '5');
  });
  after(async () => {
    await server?.stop();
    await many?.stop();
    await binary?.remove();
  });

  /** A page that the link with the token has opened. */
  const open = async (at, of = server) => {
    const page = await world.visit(of.url, '');
    await page.getByRole('heading', { name: 'Now' }).waitFor();
    await page.evaluate((hash) => (location.hash = hash), at);
    return page;
  };

  test('figures and charts are of what happens', async () => {
    const page = await open('#/now');
    for (const figure of ['sessions', 'channels', 'publishedPerS', 'outPerS', 'memory']) {
      await until(async () => assert.match(await page.locator(`[data-figure=${figure}] .figure`).textContent(), /[1-9]/, figure));
    }
    await page.getByText('Publish: not subscribed').waitFor();
    assert.ok(!page.url().includes(server.token), 'the token is gone from the address');
    await page.reload();
    await until(async () => assert.match(await page.locator('[data-figure=sessions] .figure').textContent(), /[1-9]/));
  });

  test('a channel, its members and its history', async () => {
    const page = await open('#/channels?q=presence-*');
    await until(async () => assert.ok((await rows(page)).includes(room)));
    await page.getByRole('link', { name: room, exact: true }).click();
    await page.getByText('Record for 15 minutes').waitFor();
    await page.getByRole('link', { name: /^Members \d/ }).click();
    await page.getByRole('heading', { name: /^Subscribers \d/ }).waitFor();
    await page.getByRole('link', { name: 'History', exact: true }).click();
    await page.locator('.kept summary').first().click();
    await page.getByText('Who got it?').first().waitFor();
  });

  test('the log goes on, and is filtered', async () => {
    const page = await open('#/events?kind=publish&channel=room-*');
    await page.locator('.state.open').waitFor();
    const first = await page.locator('tbody a.row').first().getAttribute('href');
    await until(async () => assert.notEqual(await page.locator('tbody a.row').first().getAttribute('href'), first));
    const channels = await page.locator('tbody tr td:nth-child(3)').allTextContents();
    assert.deepEqual(channels.filter((c) => c && !c.startsWith('room-')), []);
  });

  test('what is sent is seen to arrive', async () => {
    const page = await open(`#/console?app=1&channel=${room}&event=from-the-console`);
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.locator('.verdict-head').waitFor();
    await page.getByText('Handed out', { exact: true }).waitFor();
    await page.getByRole('link', { name: 'More about it' }).click();
    await page.locator('.verdict-head').waitFor();
    await page.evaluate((hash) => (location.hash = hash), '#/events?event=from-the-console');
    await page.locator('tbody a.row').first().waitFor();
    assert.equal(await page.locator('tbody a.row').count(), 1);
  });

  test('a session is closed', async () => {
    const page = await open('#/sessions');
    const row = page.locator('tbody a.row').nth(2);
    await row.waitFor();
    const id = await row.locator('.main').textContent();
    await page.evaluate((hash) => (location.hash = hash), `#/sessions/${id}`);
    await page.getByRole('button', { name: 'Close session…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Close session' }).click();
    await page.getByText('This session has closed').waitFor();
  });

  test('100 000 channels', async () => {
    const page = await open('#/channels?sort=name', many);
    await page.getByText(/^(9\d|10\d),\d{3} channels$/).waitFor();
    await page.locator('.table-box').evaluate((box) => (box.scrollTop = box.scrollHeight));
    await until(async () => assert.ok((await page.locator('.table-box').evaluate((box) => box.scrollHeight)) > 150 * 28));
    assert.ok((await page.locator('tbody tr').count()) < 80);
    const [some] = (await rows(page)).slice(-1);
    await page.getByRole('searchbox').fill(some);
    await until(async () => assert.deepEqual((await rows(page)).filter((r) => r === some), [some]));
  });

  test('what the tests make up has the shape of what the server says', async () => {
    const fake = await Fake.start();
    try {
      const made = async (path) => (await fetch(`${fake.url}api/${path}`)).json();
      const { items } = await server.call('sessions?limit=1');
      const published = await server.call('publish', { method: 'POST', body: { app: '1', channel: room, event: 'shape', data: '{}', json: true, trace: true } });
      const pairs = [
        ['session-state'], ['info'], ['now'], ['series?step=1'], ['series?step=60'], ['channels?limit=1'], ['sessions?limit=1'], ['armed'], ['webhooks?limit=1'], ['events?limit=1'],
        [`channel?app=1&name=${room}`, 'channel?app=shop&name=presence-room-1'],
        [`channel/history?app=1&name=${room}&limit=2`, 'channel/history?app=shop&name=presence-room-1&limit=2'],
        [`session?id=${items[0].id}`, 'session?id=1234.5678'],
        [`trace?app=1&channel=${room}&seq=${published.seq}`, 'trace?app=shop&channel=news&seq=9000'],
      ];
      for (const [path, other = path] of pairs) assert.deepEqual(unlike(await made(other), await server.call(path)), [], path);
    } finally {
      fake.stop();
    }
  });
});

/** What is sometimes not there, or has keys of its own. */
const sometimes = new Set(['rule', 'next', 'user', 'member', 'userInfo', 'info', 'p50Ms', 'p99Ms', 'at', 'armedSince', 'question', 'session', 'lastError', 'limits', 'position', 'id', 'size', 'seq', 'total', 'log', 'inProcess', 'since']);

/** The keys that one value has and the other lacks, or has as another type. */
function unlike(made, real, at = '') {
  if (Array.isArray(made)) return Array.isArray(real) ? (made.length && real.length ? unlike(made[0], real[0], `${at}[]`) : []) : [`${at}: no list`];
  if (made === null || typeof made !== 'object') return typeof made === typeof real ? [] : [`${at}: ${typeof real}, not ${typeof made}`];
  const optional = /events\[\]$|steps\[\]$|common\[\]$|errors\[\]$|slow\[\]$/.test(at);
  return Object.keys(made).flatMap((key) => {
    if (real?.[key] === undefined) return sometimes.has(key) || optional ? [] : [`${at}.${key}: missing`];
    return sometimes.has(key) ? [] : unlike(made[key], real[key], `${at}.${key}`);
  });
}
