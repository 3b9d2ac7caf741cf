// Lists that the server gives page by page: more when the end comes into sight, and the
// figures of what is there anew every few seconds.

import { failure, h } from './dom.js';
import { count } from './text.js';

const refresh = 3000;
const page = 100;

/**
 * @template T
 */
export class List {
  /**
   * @param {object} options
   * @param {import('./table.js').Table<T>} options.table
   * @param {(query: { limit: number, next?: string }, signal: AbortSignal) => Promise<{ items: T[], total?: number, next?: string }>} options.fetch
   * @param {(filtered: boolean) => import('./dom.js').Child} options.empty What to say where there are none.
   * @param {() => boolean} options.filtered
   * @param {(total: number | undefined) => void} [options.onCount]
   * @param {AbortSignal} options.signal When the view ends.
   */
  constructor(options) {
    this.options = options;
    /** @type {T[]} */
    this.items = [];
    /** @type {number | undefined} */
    this.total = undefined;
    /** @type {string | undefined} */
    this.next = undefined;
    this.failed = false;
    this.#control = new AbortController();
    this.busy = false;
    this.#later(refresh);
    options.signal.addEventListener('abort', () => {
      clearTimeout(this.#timer);
      this.#control.abort();
      options.table.stop();
    });
  }

  /** @type {AbortController} */
  #control;
  #timer = 0;
  #asked = '';

  /** @param {number} wait */
  #later(wait) {
    this.#timer = window.setTimeout(async () => {
      const began = performance.now();
      await this.#refresh();
      // A server that has much to look through is asked less often.
      if (!this.options.signal.aborted) this.#later(Math.max(refresh, 20 * (performance.now() - began)));
    }, wait);
  }

  /**
   * ask loads anew where the question is another than before.
   * @param {...(string | undefined)} question
   */
  ask(...question) {
    const asked = JSON.stringify(question);
    if (asked === this.#asked) return;
    const quiet = this.#asked !== '';
    this.#asked = asked;
    this.load({ quiet });
  }

  /** load begins anew, as after another filter. */
  async load({ quiet = false } = {}) {
    this.#control.abort();
    this.#control = new AbortController();
    this.busy = false;
    const { table } = this.options;
    if (quiet) table.element.setAttribute('aria-busy', 'true');
    else table.skeleton();
    await this.#ask(page, undefined, (answer) => {
      table.element.scrollTop = 0;
      this.items = answer.items;
    });
    table.element.removeAttribute('aria-busy');
  }

  /** more loads the page after the last. */
  more() {
    if (this.busy || this.failed || !this.next) return;
    this.#ask(page, this.next, (answer) => (this.items = this.items.concat(answer.items)));
  }

  async #refresh() {
    // What nobody sees, or what somebody has read far into, stays as it is.
    if (document.hidden || this.busy || this.items.length > 2 * page) return;
    await this.#ask(Math.max(page, this.items.length), undefined, (answer) => (this.items = answer.items));
  }

  /**
   * @param {number} limit
   * @param {string | undefined} next
   * @param {(answer: { items: T[] }) => void} take
   */
  async #ask(limit, next, take) {
    const { signal } = this.#control;
    this.busy = true;
    try {
      const answer = await this.options.fetch({ limit, next }, signal);
      if (signal.aborted) return;
      this.failed = false;
      this.next = answer.next;
      take(answer);
      this.total = answer.total;
      this.#show();
    } catch (error) {
      if (signal.aborted) return;
      this.failed = true;
      this.#fail(error);
    } finally {
      if (!signal.aborted) this.busy = false;
    }
  }

  #show() {
    const { table, empty, filtered, onCount } = this.options;
    table.set(this.items, this.total);
    if (!this.items.length) table.say(empty(filtered()));
    else if (this.next) table.say(h('p.more.quiet', null, 'More as you scroll…'));
    else table.say();
    onCount?.(this.total);
  }

  /** @param {unknown} error */
  #fail(error) {
    const { table } = this.options;
    table.set(this.items, this.total ?? this.items.length);
    table.say(failure(error, () => this.load()));
  }
}

/**
 * counted says how many there are of what, for the bar above a table.
 * @param {number | undefined} total
 * @param {string} one
 */
export const counted = (total, one) => (total === undefined ? '' : `${count(total)} ${total === 1 ? one : `${one}s`}`);
