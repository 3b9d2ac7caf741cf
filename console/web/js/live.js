// What the server tells by itself: the figures each second and, where a view asks for
// it, the log. There is one stream a page, and none while nobody sees the page.

import { address, gate, get } from './api.js';

/**
 * Live has the events `now`, `events` and `trace` with what the server sent, `state`
 * when that changes, and `restart` when the server is another one than before.
 */
export class Live extends EventTarget {
  /** @type {'connecting' | 'open' | 'waiting'} */
  state = 'connecting';
  /** @type {import('./types.js').Now | undefined} */
  now;
  /** @type {Record<string, string> | null} */
  #filter = null;
  /** @type {EventSource | undefined} */
  #source;
  #after = 0;
  #fails = 0;
  /** @type {number | undefined} */
  #timer;
  #stopped = true;

  /** @param {import('./types.js').Info} info Kept as new as the server that is heard of. */
  constructor(info) {
    super();
    this.#info = info;
  }

  /** @type {import('./types.js').Info} */
  #info;

  start() {
    this.#stopped = false;
    document.addEventListener('visibilitychange', this.#look);
    this.#look();
  }

  stop() {
    this.#stopped = true;
    document.removeEventListener('visibilitychange', this.#look);
    this.#close();
  }

  /**
   * follow asks for the events that a filter lets through, or with null for none.
   * @param {Record<string, string> | null} filter
   * @param {number} [after] The newest event that is known already.
   */
  follow(filter, after = 0) {
    if (JSON.stringify(filter) === JSON.stringify(this.#filter)) return;
    this.#filter = filter;
    this.#after = after;
    if (this.#source) this.#open();
  }

  #look = () => {
    if (document.hidden) this.#close();
    else if (!this.#source && !this.#stopped) this.#open();
  };

  #close() {
    clearTimeout(this.#timer);
    this.#source?.close();
    this.#source = undefined;
  }

  #open() {
    this.#close();
    const filter = this.#filter;
    const query = filter ? { ...filter, after: this.#after || undefined } : { events: 0 };
    const source = new EventSource(address('events/stream', query));
    this.#source = source;
    source.addEventListener('open', () => {
      this.#fails = 0;
      this.#change('open');
    });
    source.addEventListener('now', (event) => {
      this.now = JSON.parse(event.data);
      this.#tell('now', this.now);
    });
    source.addEventListener('events', (event) => {
      const batch = JSON.parse(event.data);
      this.#after = Math.max(this.#after, batch.newest ?? 0);
      this.#tell('events', batch);
    });
    source.addEventListener('trace', (event) => this.#tell('trace', JSON.parse(event.data)));
    source.addEventListener('bye', (event) => {
      if (JSON.parse(event.data).reason === 'signed-out') gate.dispatchEvent(new CustomEvent('denied'));
      this.#again();
    });
    source.addEventListener('error', () => this.#again());
  }

  /** Tries again later than the last time, having asked what is the matter. */
  #again() {
    this.#close();
    this.#change('waiting');
    const wait = Math.min(10_000, 500 * 2 ** this.#fails++);
    this.#timer = window.setTimeout(async () => {
      const info = await get('info').catch(() => undefined);
      if (info && info.started !== this.#info.started) {
        Object.assign(this.#info, info);
        this.#after = 0;
        this.#tell('restart', undefined);
      }
      if (!this.#stopped && !document.hidden && !this.#source) this.#open();
    }, wait);
  }

  /** @param {Live['state']} state */
  #change(state) {
    if (state === this.state) return;
    this.state = state;
    this.#tell('state', state);
  }

  /** @param {string} type @param {unknown} detail */
  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
