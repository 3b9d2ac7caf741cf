// Positions over reloads of a page.

import { afterEach, beforeEach, mock, test } from 'node:test';
import assert from 'node:assert/strict';
import { resume } from '../dist/esm/index.js';
import { Stub } from './lib/stub.mjs';

const at = (n) => `0000000000000000000001:${n}`;
const key = 'pusher-resume:app-key';

class Storage extends Map {
  getItem = (name) => this.get(name) ?? null;
  setItem = (name, value) => void this.set(name, String(value));
  removeItem = (name) => void this.delete(name);
}

let window;
beforeEach(() => mock.timers.enable({ apis: ['setTimeout'] }));
afterEach(() => {
  mock.timers.reset();
  delete globalThis.addEventListener;
});

/** open is a page of the tab whose storage it is. */
function open(storage) {
  window = new EventTarget();
  globalThis.addEventListener = window.addEventListener.bind(window);
  const pusher = resume(new Stub(), { storage });
  pusher.connect();
  pusher.requests();
  return pusher;
}
const hide = () => window.dispatchEvent(new Event('pagehide'));
const show = () => window.dispatchEvent(new Event('pageshow'));
const asked = (pusher) => pusher.requests().map(([, data]) => data.resume);

test('a page that is loaded again resumes, and leaves out what it sent before', () => {
  const storage = new Storage();
  const before = open(storage);
  before.subscribe('c');
  before.success('c', 'fresh', at(17));
  before.event('c', at(18));
  hide();

  const after = open(storage);
  after.subscribe('c');
  assert.deepEqual(asked(after), [{ v: 1, after: at(18), sockets: ['1.1'] }]);
  after.success('c', 'resumed', at(18), 1);
  after.event('c', at(19));
  assert.deepEqual(after.take(), ['success', ['resumed', 1], at(19)]);
  void after.history('c').catch(() => {});
  assert.equal(after.sent.at(-1)[1].until, at(18), 'the page has seen nothing before');
});

test('a duplicate of the tab has none of it, and starts anew', () => {
  const storage = new Storage();
  open(storage).subscribe('c');
  hide();
  const page = open(storage);
  page.subscribe('c');
  page.success('c', 'fresh', at(17));
  const copy = open(new Storage(storage));
  copy.subscribe('c');
  assert.deepEqual(asked(copy), [{ v: 1, sockets: [] }]);
});

test('a page that comes back as it was takes away what it left', () => {
  const storage = new Storage();
  const page = open(storage);
  page.subscribe('c');
  page.success('c', 'fresh', at(17));
  hide();
  assert.ok(storage.has(key));
  show();
  assert.equal(storage.size, 0);
});

test('what was not subscribed yet when the page went again is still there', () => {
  const storage = new Storage();
  const page = open(storage);
  page.subscribe('c');
  page.success('c', 'fresh', at(17));
  hide();
  open(storage);
  hide();
  const last = open(storage);
  last.subscribe('c');
  assert.equal(asked(last)[0].after, at(17));
});

test('what was unsubscribed is forgotten, and so is a server that does not speak this', () => {
  const storage = new Storage();
  const page = open(storage);
  for (const name of ['c', 'd']) page.subscribe(name);
  page.success('c', 'fresh', at(17));
  page.success('d');
  page.unsubscribe('c');
  hide();
  assert.deepEqual(JSON.parse(storage.get(key))[1], []);
});

for (const foreign of ['{', 'null', '{"a":1}', '7']) {
  test(`foreign content is no obstacle: ${foreign}`, () => {
    const storage = new Storage([[key, foreign]]);
    const pusher = open(storage);
    pusher.subscribe('c');
    assert.deepEqual(asked(pusher), [{ v: 1, sockets: [] }]);
  });
}

test('without a window there is nothing to keep it for', () => {
  const pusher = resume(new Stub(), { storage: new Storage() });
  pusher.connect();
  pusher.subscribe('c');
  assert.equal(pusher.sent.length, 1);
});

test('a storage that may not be used is as if there were none', () => {
  const denied = () => {
    throw new Error('denied');
  };
  for (const storage of [{ getItem: denied, removeItem: denied, setItem: denied }, { getItem: () => null, removeItem: denied }]) {
    const page = open(storage);
    page.subscribe('c');
    assert.deepEqual(asked(page), [{ v: 1, sockets: [] }]);
  }
});
