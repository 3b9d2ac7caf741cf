// What each view does, before a server that answers what is wanted of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { at, rows, until, useBrowser } from './page.mjs';

const flash = { kind: 'publish', channel: 'news', event: 'flash', id: 'F1', size: 12, data: '{"a":1}', subscribers: 3, text: 'published to news' };

describe('views', { timeout: 120_000 }, () => {
  const world = useBrowser();

  test('Now shows the figures, and the server has the charts after a reload', async () => {
    const { page, fake } = await world.open('#/now?span=hour');
    const figure = page.locator('[data-figure=sessions] .figure');
    await until(async () => assert.match(await figure.textContent(), /^4,\d{3}$/));
    await page.reload();
    await until(async () => assert.match(await figure.textContent(), /^4,\d{3}$/));
    assert.equal(await page.getByRole('button', { name: 'Last hour' }).getAttribute('aria-pressed'), 'true');
    assert.ok(fake.calls.filter((c) => c.path === 'series').every((c) => c.query.step === '60'));
    const drawn = await page.locator('[data-figure=outPerS] canvas').evaluate((canvas) => {
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      return data.filter((v, i) => i % 4 === 3 && v > 0).length;
    });
    assert.ok(drawn > 1000, 'something is drawn');
  });

  test('Now counts on by itself', async () => {
    const { page, fake } = await world.open('#/now');
    await page.getByText('Nothing has happened yet').waitFor({ state: 'hidden' });
    await page.locator('.state.open').waitFor();
    fake.options.quiet = true;
    await page.getByText('Nothing has happened yet').waitFor();
    await until(async () => assert.equal(await page.locator('[data-figure=sessions] .figure').textContent(), '0'));
    fake.options.quiet = false;
    fake.options.storeDown = true;
    await page.getByText('The store does not answer.').waitFor();
    fake.options.storeDown = false;
    await page.getByText('The store does not answer.').waitFor({ state: 'hidden' });
  });

  test('100 000 channels are a few rows, and searched by the server', async () => {
    const { page, fake } = await world.open('#/channels?sort=name', { channels: 100_000 });
    await page.getByText('100,008 channels').waitFor();
    assert.ok((await page.locator('tbody tr').count()) < 80);
    assert.equal(await page.getByRole('table').getAttribute('aria-rowcount'), '100009');
    for (let i = 0; i < 3; i++) {
      const had = await page.locator('.table-box').evaluate((box) => ((box.scrollTop = box.scrollHeight), box.scrollHeight));
      await until(async () => assert.ok((await page.locator('.table-box').evaluate((box) => box.scrollHeight)) > had));
    }
    assert.ok((await page.locator('tbody tr').count()) < 80);
    assert.ok(fake.calls.filter((c) => c.path === 'channels').every((c) => Number(c.query.limit) <= 200));
    await page.getByRole('searchbox').fill('private-user-0999*');
    await page.getByText('100 channels').waitFor();
    assert.equal(at(page), '#/channels?sort=name&q=private-user-0999*');
    await page.reload();
    await page.getByText('100 channels').waitFor();
    assert.equal(await page.getByRole('searchbox').inputValue(), 'private-user-0999*');
  });

  test('a table is sorted by its heads, and its figures change in place', async () => {
    const { page, fake } = await world.open('#/channels');
    await page.getByText('40 channels').waitFor();
    assert.equal((await rows(page))[0], 'presence-room-1');
    const head = page.getByRole('columnheader', { name: 'Subscribers' });
    assert.equal(await head.getAttribute('aria-sort'), 'descending');
    await head.getByRole('button').click();
    await until(async () => assert.equal(await head.getAttribute('aria-sort'), 'ascending'));
    await until(async () => assert.notEqual((await rows(page))[0], 'presence-room-1'));
    await page.goto(`${fake.url}#/channels`);
    await until(async () => assert.equal((await rows(page))[0], 'presence-room-1'));
    const row = page.locator('tbody tr', { hasText: 'presence-room-1' });
    const places = () => row.locator('td').evaluateAll((cells) => cells.map((c) => c.getBoundingClientRect().x));
    const before = await places();
    const element = await row.elementHandle();
    fake.channels.find((c) => c.name === 'presence-room-1').subscribers = 1_234_567;
    await page.getByText('1,234,567').waitFor();
    assert.deepEqual(await places(), before);
    assert.equal(await element.evaluate((tr) => tr.isConnected), true, 'the row is the element it was');
  });

  test('a channel has its people, its rule, its history, and can lose that', async () => {
    const { page, fake } = await world.open('#/channels');
    await page.getByRole('link', { name: 'presence-room-1' }).click();
    await page.getByText('the last 50 events to who subscribes').waitFor();
    assert.equal(at(page), '#/channels/shop/presence-room-1');
    await page.getByRole('link', { name: 'Members 8' }).click();
    await page.getByText('hana', { exact: true }).first().waitFor();
    await page.getByRole('link', { name: 'History' }).click();
    await page.locator('.kept summary').first().waitFor();
    const first = await page.locator('.kept > li').count();
    await page.getByRole('button', { name: 'Older' }).click();
    await until(async () => assert.ok((await page.locator('.kept > li').count()) > first));
    await page.getByRole('searchbox', { name: 'Search the history' }).fill('Hello all');
    await until(async () => assert.equal(fake.calls.findLast((c) => c.path === 'channel/history').query.q, 'Hello all'));
    await page.getByRole('link', { name: 'Overview' }).click();
    await page.getByRole('button', { name: 'Delete history…' }).click();
    assert.ok(!fake.calls.some((c) => c.method === 'DELETE'), 'it asks first');
    await page.getByRole('dialog').getByRole('button', { name: 'Delete history' }).click();
    await page.getByText('History deleted.').waitFor();
    assert.deepEqual(fake.calls.find((c) => c.method === 'DELETE').query, { app: 'shop', name: 'presence-room-1' });
  });

  test('a session is closed, and a user terminated', async () => {
    const { page, fake } = await world.open('#/sessions/1234.5678');
    await page.getByRole('button', { name: 'Terminate user…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click();
    await page.getByRole('button', { name: 'Close session…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Close session' }).click();
    await page.getByText('This session has closed').waitFor();
    await page.goto(`${fake.url}#/sessions?user=bob`);
    await page.locator('tbody a.row').first().click();
    await page.getByRole('button', { name: 'Terminate user…' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Terminate user' }).click();
    await page.getByText(/sessions closed\.$/).waitFor();
    await page.getByText('No session fits').waitFor();
    assert.deepEqual(fake.calls.filter((c) => c.method === 'POST').map((c) => [c.path, c.body]), [['session/close', { id: '1234.5678' }], ['user/terminate', { app: 'shop', user: 'bob' }]]);
  });

  test('Events come by themselves, wait while one reads, and are filtered by the server', async () => {
    const { page, fake } = await world.open('#/events');
    await page.locator('tbody a.row').first().waitFor();
    await page.locator('.state.open').waitFor();
    const newest = () => page.locator('tbody a.row').first().getAttribute('aria-label');
    fake.push({ ...flash, text: 'the first' });
    await until(async () => assert.match(await newest(), /the first$/));

    await page.locator('tbody tr').nth(3).hover();
    fake.push({ ...flash, text: 'the second' }, { ...flash, text: 'the third' });
    await page.getByText('2 wait').waitFor();
    assert.match(await newest(), /the first$/);
    await page.mouse.move(700, 20);
    await until(async () => assert.match(await newest(), /the third$/));
    await page.getByText('2 wait').waitFor({ state: 'hidden' });

    await page.keyboard.press('p');
    fake.push({ ...flash, text: 'the fourth' });
    await page.getByText('1 waits').click();
    await until(async () => assert.match(await newest(), /the fourth$/));

    await page.getByRole('textbox', { name: 'Channel' }).fill('presence-*');
    await until(async () => assert.ok(fake.calls.some((c) => c.path === 'events' && c.query.channel === 'presence-*')));
    await until(async () => assert.ok([...fake.streams].some((s) => s.query.channel === 'presence-*')));
    fake.push({ ...flash, text: 'not this' }, { ...flash, channel: 'presence-room-1', text: 'but this' });
    await until(async () => assert.match(await newest(), /but this$/));
    assert.equal(at(page), '#/events?channel=presence-*');
  });

  test('an event leads to its curl, to sending it again and to who got it', async () => {
    const { page, fake } = await world.open('#/events?event=flash');
    await page.getByText('No event fits').waitFor();
    await page.locator('.state.open').waitFor();
    await until(async () => assert.ok([...fake.streams].some((s) => s.query.event === 'flash')));
    fake.push(flash);
    await page.locator('tbody a.row').first().click();
    await page.getByRole('button', { name: 'Copy as curl' }).click();
    await page.getByText('curl copied.').waitFor();
    assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^curl /);
    await page.getByRole('link', { name: 'Who got it, and why not?' }).click();
    await page.getByText('Session by session 4').waitFor();
    await page.getByRole('link', { name: '2210.77120' }).click();
    await page.getByText('They got it').waitFor();
    await page.getByText('Written to the socket').waitFor();
  });

  test('what is not recorded is said, and can be recorded from then on', async () => {
    const { page, fake } = await world.open('#/why?app=shop&channel=news&event=x&user=dee', { trace: 'unknown' });
    await page.getByText('nothing was armed for this channel or session').waitFor();
    await page.getByRole('button', { name: 'Record for 15 minutes' }).click();
    await page.getByRole('button', { name: 'Stop recording' }).waitFor();
    assert.deepEqual(fake.calls.find((c) => c.path === 'arm').body, { app: 'shop', channel: 'news', minutes: 15 });
    await page.getByRole('button', { name: 'Stop recording' }).click();
    await page.getByRole('button', { name: 'Record for 15 minutes' }).waitFor();
    assert.equal(fake.armed.length, 0);
  });

  test('the console sends, and shows who got it and when', async () => {
    const { page, fake } = await world.open('#/console');
    await page.getByLabel('Channel').fill('presence-room-1');
    await page.getByLabel('Event').fill('hello');
    await page.getByLabel('Data').fill('{"a": [1, 2]}');
    await page.getByLabel('Without session').fill('7781.20514');
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('3 sessions of 4 got it').waitFor();
    assert.deepEqual(fake.calls.find((c) => c.path === 'publish').body, { app: 'shop', channel: 'presence-room-1', event: 'hello', data: '{"a": [1, 2]}', json: true, exclude: '7781.20514', trace: true });
    await page.getByLabel('Data').fill('plain');
    await page.getByText('Not JSON: it is sent as a plain string.').waitFor();
    fake.answer('publish', { error: 'The event name is too long.', code: 'bad_request', field: 'event' }, 400);
    await page.getByRole('button', { name: 'Send', exact: true }).click();
    await page.getByText('The event name is too long.').waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.id), 'send-event');
  });

  test('an event that is sent again has its own data, which may be none', async () => {
    const { page, fake } = await world.open('#/console?app=shop&channel=news&event=empty');
    assert.equal(await page.getByLabel('Data').inputValue(), '');
    await page.goto(`${fake.url}#/console?app=shop&channel=news&event=long&data=${'x'.repeat(4096)}`);
    await page.getByText('Not JSON').waitFor();
    assert.equal((await page.getByLabel('Data').inputValue()).length, 4096);
  });

  test('a webhook is sent again', async () => {
    const { page, fake } = await world.open('#/webhooks?state=failed', { webhooks: 'failing' });
    await page.locator('tbody a.row').first().click();
    await page.getByRole('heading', { name: 'Attempts 3' }).waitFor();
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.getByText('The receiver answered 503.').waitFor();
    fake.options.webhooks = 'some';
    fake.answer('webhook/resend', { ok: true, status: 200, tookMs: 12 });
    await page.getByRole('button', { name: 'Send again' }).click();
    await page.getByText('Sent: 200 in 12.0 ms.').waitFor();
  });

  test('what is hidden says so, and who may only look changes nothing', async () => {
    const { page, fake } = await world.open('#/events/9300', { names: ['news'], redacted: ['payloads'], readOnly: true });
    delete fake.log.at(-1).data;
    await page.reload();
    await page.getByText('Hidden by the program').waitFor();
    await page.getByText('You can look, and change nothing here.').waitFor();
    await page.goto(`${fake.url}#/sessions/1234.5678`);
    await page.getByRole('heading', { name: 'User info' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Close session…' }).count(), 0);
    assert.ok(await page.getByRole('button', { name: 'Record for 15 minutes' }).isDisabled());
    await page.goto(`${fake.url}#/console`);
    assert.ok(await page.getByRole('button', { name: 'Send', exact: true }).isDisabled());
  });
});
