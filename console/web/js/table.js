// A table of any length: only the rows in sight are elements. Each row is a link, and
// the arrow keys go from row to row.

import { fill, h, setText } from './dom.js';

/**
 * @template T
 * @typedef {object} Column
 * @property {string} title
 * @property {(item: T) => string | Node} cell
 * @property {string} [sort] What the server calls the order by this column.
 * @property {boolean} [down] Whether the order begins with the largest.
 * @property {boolean} [num]
 * @property {string} [width] In ch; the columns without one share what is left.
 * @property {1 | 2 | 3} [rank] 2 is not shown on phones, 3 only where there is much room.
 */

const spare = 8;

/** @template T */
export class Table {
  /**
   * @param {object} options
   * @param {string} options.label
   * @param {Column<T>[]} options.columns The first one holds the link.
   * @param {(item: T) => string} options.key
   * @param {(item: T) => string} options.href
   * @param {(item: T) => string | Node} [options.sub] A second line, where there is room for one column only.
   * @param {(item: T) => string} [options.name] What a row is called, where its first column does not say.
   * @param {(item: T) => string} [options.tone] A class for the row.
   * @param {(sort: string) => void} [options.onSort]
   * @param {() => void} [options.onEnd] When the last rows come into sight.
   */
  constructor(options) {
    this.options = options;
    /** @type {T[]} */
    this.items = [];
    /** @type {Map<string, Row<T>>} */
    this.rows = new Map();
    this.current = '';
    this.focused = '';
    this.total = 0;
    this.body = h('tbody');
    this.above = h('tr.gap', { 'aria-hidden': 'true' }, h('td'));
    this.below = h('tr.gap', { 'aria-hidden': 'true' }, h('td'));
    this.heads = options.columns.map((c) => this.#head(c));
    this.table = h(
      'table',
      { 'aria-label': options.label },
      h('colgroup', null, options.columns.map((c) => this.#col(c))),
      h('thead', null, h('tr', null, this.heads)),
      this.body,
    );
    this.note = h('div.table-note');
    this.element = h('div.table-box', { onscroll: () => this.#later(), onkeydown: (/** @type {KeyboardEvent} */ e) => this.#key(e) }, this.table, this.note);
    this.#watch = new ResizeObserver(() => this.#later());
    this.#watch.observe(this.element);
  }

  #frame = 0;
  /** @type {ResizeObserver} */
  #watch;

  /**
   * set shows other items; rows of what was there already stay the elements they are.
   * @param {T[]} items
   * @param {number} [total] How many there are at the server.
   */
  set(items, total = items.length) {
    this.items = items;
    this.total = total;
    this.element.classList.remove('loading');
    this.#render();
  }

  /** skeleton shows the shape of what comes. */
  skeleton() {
    this.items = [];
    this.rows.clear();
    this.element.classList.add('loading');
    fill(
      this.body,
      Array.from({ length: 12 }, () => h('tr.ghost', { 'aria-hidden': 'true' }, this.options.columns.map((c) => h('td', { class: kind(c) }, h('span.skeleton'))))),
    );
    fill(this.note);
  }

  /**
   * say puts something below the rows: that there are none, that more come.
   * @param {...import('./dom.js').Child} what
   */
  say(...what) {
    fill(this.note, ...what);
  }

  /** @param {string} key */
  select(key) {
    this.current = key;
    if (key && !this.focused) this.focused = key;
    this.#render();
  }

  /** @param {string} sort As the server calls it, with a minus where the largest come first. */
  sorted(sort) {
    for (const [i, column] of this.options.columns.entries()) {
      if (!column.sort) continue;
      const order = sort === column.sort ? 'ascending' : sort === `-${column.sort}` ? 'descending' : null;
      if (order) this.heads[i].setAttribute('aria-sort', order);
      else this.heads[i].removeAttribute('aria-sort');
    }
  }

  /** focus goes to the row that had the focus, or the first. */
  focus() {
    const at = Math.max(0, this.items.findIndex((item) => this.options.key(item) === (this.focused || this.current)));
    if (this.items.length) this.#goTo(at);
  }

  stop() {
    this.#watch.disconnect();
    cancelAnimationFrame(this.#frame);
  }

  /** @param {Column<T>} column */
  #col(column) {
    const col = h('col', { class: kind(column) });
    if (column.width) col.style.width = `calc(${column.width} + 16px)`;
    return col;
  }

  /** @param {Column<T>} column */
  #head(column) {
    const { sort, title, down } = column;
    if (!sort) return h('th', { scope: 'col', class: kind(column) }, title);
    /** @type {HTMLTableCellElement} */
    const th = h(
      'th',
      { scope: 'col', class: kind(column) },
      h('button.sort', {
        type: 'button',
        onclick: () => {
          const is = th.getAttribute('aria-sort');
          const descending = is ? is === 'ascending' : Boolean(down);
          this.options.onSort?.(descending ? `-${sort}` : sort);
        },
      }, title),
    );
    return th;
  }

  #later() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0;
      this.#render();
    });
  }

  get #height() {
    return parseFloat(getComputedStyle(this.element).getPropertyValue('--row')) || 28;
  }

  #render() {
    if (this.element.classList.contains('loading')) return;
    const { items } = this;
    const high = this.#height;
    const from = Math.max(0, Math.min(items.length, Math.floor(this.element.scrollTop / high)) - spare);
    const to = Math.min(items.length, from + Math.ceil((this.element.clientHeight || 600) / high) + 2 * spare);
    const shown = items.slice(from, to);
    /** @type {Map<string, Row<T>>} */
    const rows = new Map();
    const held = document.activeElement;
    const within = held !== null && held !== this.element && this.body.contains(held);
    for (const [i, item] of shown.entries()) {
      const key = this.options.key(item);
      const row = this.rows.get(key) ?? new Row(this.options, () => (this.focused = key));
      row.show(item, from + i);
      row.mark(key === this.current, key === this.focused);
      rows.set(key, row);
    }
    if (!rows.has(this.focused)) rows.values().next().value?.mark(false, true, this.current);
    this.rows = rows;
    this.above.style.height = `${from * high}px`;
    this.below.style.height = `${(items.length - to) * high}px`;
    arrange(this.body, [this.above, ...[...rows.values()].map((r) => r.element), this.below]);
    if (within && !this.body.contains(held)) {
      this.element.tabIndex = -1;
      this.element.focus({ preventScroll: true });
    }
    this.table.setAttribute('aria-rowcount', String(this.total + 1));
    if (to >= items.length - spare && items.length) this.options.onEnd?.();
  }

  /** @param {number} at */
  #goTo(at) {
    const item = this.items[at];
    if (!item) return;
    const high = this.#height;
    const box = this.element;
    const head = high + 4;
    const top = at * high;
    if (top < box.scrollTop) box.scrollTop = top;
    else if (top + high + head > box.scrollTop + box.clientHeight) box.scrollTop = top + high + head - box.clientHeight;
    this.focused = this.options.key(item);
    this.#render();
    this.rows.get(this.focused)?.link.focus({ preventScroll: true });
  }

  /** @param {KeyboardEvent} e */
  #key(e) {
    if (e.altKey || e.ctrlKey || e.metaKey || (e.target instanceof Element && e.target.closest('thead, input'))) return;
    const at = this.items.findIndex((item) => this.options.key(item) === this.focused);
    const page = Math.max(1, Math.floor(this.element.clientHeight / this.#height) - 2);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: this.items.length - 1 }[e.key];
    if (to === undefined) return;
    e.preventDefault();
    this.#goTo(Math.max(0, Math.min(this.items.length - 1, to)));
    // With a detail open beside the table, it is the one of the row.
    if (this.current && this.rows.get(this.focused)) this.rows.get(this.focused)?.link.click();
  }
}

/** @template T */
class Row {
  /**
   * @param {Table<T>['options']} options
   * @param {() => void} onFocus
   */
  constructor(options, onFocus) {
    this.options = options;
    this.main = h('span.main');
    this.sub = h('span.sub');
    this.link = h('a.row', { onfocus: onFocus }, this.main);
    this.cells = options.columns.map((c, i) => h('td', { class: kind(c) }, i === 0 && [this.link, this.sub]));
    this.element = h('tr', null, this.cells);
    /** @type {T | undefined} */
    this.item = undefined;
    /** @type {(string | undefined)[]} */
    this.texts = [];
  }

  /** @param {T} item @param {number} index */
  show(item, index) {
    this.element.setAttribute('aria-rowindex', String(index + 2));
    const href = this.options.href(item);
    if (this.link.getAttribute('href') !== href) this.link.setAttribute('href', href);
    if (item === this.item) return;
    this.item = item;
    const { columns, sub, tone, name } = this.options;
    for (const [i, column] of columns.entries()) this.#put(i, i === 0 ? this.main : this.cells[i], column.cell(item));
    if (sub) fill(this.sub, sub(item));
    if (name) this.link.setAttribute('aria-label', name(item));
    this.element.className = tone?.(item) ?? '';
  }

  /**
   * @param {number} i
   * @param {Element} cell
   * @param {string | Node} value
   */
  #put(i, cell, value) {
    if (typeof value === 'string') {
      if (this.texts[i] === undefined) fill(cell, value);
      else setText(cell, value);
      this.texts[i] = value;
    } else {
      fill(cell, value);
      this.texts[i] = undefined;
    }
  }

  /** @param {boolean} current @param {boolean} focused @param {string} [key] */
  mark(current, focused, key) {
    this.link.tabIndex = focused ? 0 : -1;
    if (key !== undefined && key !== '') return;
    if (current) this.link.setAttribute('aria-current', 'true');
    else this.link.removeAttribute('aria-current');
    this.element.classList.toggle('current', current);
  }
}

/** @param {Column<any>} column */
const kind = (column) => `rank-${column.rank ?? 1}${column.num ? ' num' : ''}`;

/**
 * arrange makes these the children, in this order, and moves only what has to be moved:
 * an element that is moved loses the focus.
 * @param {Element} parent
 * @param {Element[]} want
 */
function arrange(parent, want) {
  const keep = new Set(want);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  for (const [i, child] of want.entries()) {
    if (parent.children[i] !== child) parent.insertBefore(child, parent.children[i] ?? null);
  }
}
