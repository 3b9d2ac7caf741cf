// The states that the page is looked at in: which server, where, and what to do there.
import { Fake, hostile } from './fake.mjs';

const names = Object.values(hostile);

/** @type {Record<string, { options?: object, at: string, then?: (page: import('playwright-core').Page, fake: Fake) => Promise<void>, sizes?: string[] }>} */
export const states = {
  'now, nothing yet': { options: { quiet: true }, at: '#/now', then: (page) => page.getByText('Nothing has happened yet').waitFor() },
  'now, busy': { at: '#/now', then: (page) => page.getByText('Subscription: wrong signature').waitFor() },
  'now, hour': { at: '#/now?span=hour', then: (page) => page.getByText('Subscription: wrong signature').waitFor() },
  'now, value under the pointer': {
    at: '#/now',
    async then(page) {
      await page.getByText('Subscription: wrong signature').waitFor();
      await page.locator('[data-figure=outPerS] canvas').hover({ position: { x: 60, y: 40 } });
    },
  },
  'now, store down': { options: { storeDown: true }, at: '#/now', then: (page) => page.getByText('The store does not answer.').waitFor() },
  'now, no answer': {
    at: '#/now',
    async then(page, fake) {
      await page.getByText('Subscription: wrong signature').waitFor();
      fake.stop();
      await page.getByText('The server does not answer.').waitFor();
    },
  },
  'no permission': { options: { denied: true }, at: '', then: (page) => page.getByRole('heading', { name: 'No permission' }).waitFor() },
  'sign in': { options: { token: true }, at: '', then: (page) => page.getByLabel('Token').waitFor() },
  'sign in, wrong': {
    options: { token: true },
    at: '',
    async then(page) {
      await page.getByLabel('Token').fill('guess');
      await page.getByRole('button', { name: 'Open the console' }).click();
      await page.getByText('That is not the token.').waitFor();
    },
  },
  'channels, nothing yet': { options: { quiet: true }, at: '#/channels', then: (page) => page.getByText('No channel has subscribers').waitFor() },
  'channels, 100 000': { options: { channels: 100_000 }, at: '#/channels', then: (page) => page.getByText('100,008 channels').waitFor() },
  'channels, two apps, read only': { options: { apps: 2, readOnly: true }, at: '#/channels', then: (page) => page.getByText('40 channels').waitFor() },
  'channels, no hits': { at: '#/channels?q=nosuch', then: (page) => page.getByText('No channel fits').waitFor() },
  channel: { at: '#/channels/shop/presence-room-1', then: (page) => page.getByText('Record for 15 minutes').waitFor() },
  'channel, members': { at: '#/channels/shop/presence-room-1/people', then: (page) => page.getByRole('heading', { name: 'Members 8' }).waitFor() },
  'channel, history': {
    at: '#/channels/shop/presence-room-1/history',
    async then(page) {
      await page.locator('.kept summary').nth(1).click();
      await page.getByText('Who got it?').waitFor();
    },
  },
  'channel, delete history': {
    at: '#/channels/shop/presence-room-1',
    async then(page) {
      await page.getByRole('button', { name: 'Delete history…' }).click();
      await page.getByRole('dialog').waitFor();
    },
  },
  'hostile channels': { options: { names }, at: '#/channels?sort=name', then: (page) => page.getByText('invoice').waitFor() },
  'hostile channel': { options: { names }, at: `#/channels/shop/${encodeURIComponent(hostile.long)}`, then: (page) => page.getByText('Copy name').waitFor() },
  'hostile events': { options: { names }, at: '#/events', then: (page) => page.locator('tbody .spelt').first().waitFor({ state: 'attached' }) },
  'sessions, nobody': { options: { quiet: true }, at: '#/sessions', then: (page) => page.getByText('Nobody is connected').waitFor() },
  sessions: { at: '#/sessions', then: (page) => page.getByText('240 sessions').waitFor() },
  session: { at: '#/sessions/1234.5678', then: (page) => page.getByText('Record for 15 minutes').waitFor() },
  'session, closed': { at: '#/sessions/9.9', then: (page) => page.getByText('This session has closed').waitFor() },
  'session, terminate': {
    at: '#/sessions/1234.5678',
    async then(page) {
      await page.getByRole('button', { name: 'Terminate user…' }).click();
      await page.getByRole('dialog').waitFor();
    },
  },
  'events, nothing yet': { options: { quiet: true }, at: '#/events', then: (page) => page.getByText('Nothing has happened yet').waitFor() },
  events: { at: '#/events', then: (page) => page.locator('tbody a.row').first().waitFor() },
  'events, some wait': {
    at: '#/events',
    async then(page, fake) {
      await page.locator('tbody a.row').first().waitFor();
      await page.getByRole('button', { name: 'Pause' }).click();
      await page.waitForFunction(() => document.querySelector('.state.open'));
      fake.push(...Array.from({ length: 12 }, () => ({ kind: 'publish', channel: 'news', event: 'flash', size: 20, data: '{}', subscribers: 3 })));
      await page.getByText('12 wait').waitFor();
    },
  },
  'events, filtered': { at: '#/events?kind=refuse-subscribe&channel=private-*', then: (page) => page.locator('tbody a.row').first().waitFor() },
  'events, no hits': { at: '#/events?user=nobody', then: (page) => page.getByText('No event fits').waitFor() },
  event: {
    at: '#/events?kind=publish',
    async then(page) {
      await page.locator('tbody a.row').nth(2).click();
      await page.getByText('Who got it, and why not?').waitFor();
    },
  },
  console: { at: '#/console?channel=presence-room-1&event=new-message', then: (page) => page.getByText('Who gets it?').waitFor() },
  'console, sent': {
    at: '#/console?channel=presence-room-1&event=new-message',
    async then(page) {
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByText('3 sessions of 4 got it').waitFor();
    },
  },
  'console, refused': {
    at: '#/console?channel=private-encrypted-x&event=new-message',
    async then(page) {
      await page.getByRole('button', { name: 'Send', exact: true }).click();
      await page.getByRole('heading', { name: 'Refused' }).waitFor();
    },
  },
  'why, which event': { at: '#/why?app=shop&session=1234.5678', then: (page) => page.getByText('Which event?').waitFor() },
  'why, yes': { at: '#/why?app=shop&channel=news&event=x&session=1234.5678', then: (page) => page.getByText('They got it').waitFor() },
  'why, no': { options: { trace: 'no' }, at: '#/why?app=shop&channel=news&event=x&user=dee', then: (page) => page.getByText('They did not get it').waitFor() },
  'why, not recorded': { options: { trace: 'unknown' }, at: '#/why?app=shop&channel=news&event=x&user=dee', then: (page) => page.getByText('Record for 15 minutes').waitFor() },
  'why, all': { at: '#/why?app=shop&channel=news&event=x', then: (page) => page.getByText('Session by session').waitFor() },
  'webhooks, none': { options: { quiet: true }, at: '#/webhooks', then: (page) => page.getByText('No webhooks yet').waitFor() },
  webhooks: { at: '#/webhooks', then: (page) => page.locator('tbody a.row').first().waitFor() },
  'webhook failing': { options: { webhooks: 'failing' }, at: '#/webhooks/wh-8994', then: (page) => page.getByRole('heading', { name: 'Attempts 3' }).waitFor() },
  keys: {
    at: '#/now',
    async then(page) {
      await page.getByText('Subscription: wrong signature').waitFor();
      await page.keyboard.press('?');
      await page.getByRole('dialog').waitFor();
    },
  },
};

/** Opens a state in a page of its own; close ends what it needed. */
export async function show(context, name) {
  const { options, at, then } = states[name];
  const fake = await Fake.start({ still: true, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  const errors = [];
  page.on('pageerror', (error) => errors.push(String(error.stack)));
  page.on('console', (message) => message.type() === 'error' && !/Failed to load resource|ERR_/.test(message.text()) && errors.push(message.text()));
  const foreign = [];
  page.on('request', (request) => request.url().startsWith(fake.url) || foreign.push(request.url()));
  await page.clock.setFixedTime(new Date(Date.UTC(2026, 10, 24, 12, 0, 5)));
  await page.goto(fake.url + at);
  await then?.(page, fake);
  return { page, fake, errors, foreign, close: async () => (await page.close(), fake.stop()) };
}
