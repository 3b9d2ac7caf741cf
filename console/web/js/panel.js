// The panel that slides in from the right with a detail. It is no dialog: what is beside
// it stays in reach. On phones it takes the whole page.

import { fill, h, icon } from './dom.js';
import { go } from './router.js';

export class Panel {
  /** @type {string} */
  key = '';
  /** @type {string} */
  #back = '';
  /** @type {AbortController | undefined} */
  #control;
  /** @type {() => void} */
  #onClose = () => {};

  constructor() {
    this.title = h('h2', { tabindex: -1 });
    this.body = h('div.panel-body');
    this.close = h('button.icon-button', { type: 'button', 'aria-label': 'Close', title: 'Close (Esc)', onclick: () => this.leave() }, icon('close'));
    this.element = h(
      'aside.panel',
      { 'aria-label': 'Detail', hidden: true, onkeydown: (/** @type {KeyboardEvent} */ e) => e.key === 'Escape' && !e.defaultPrevented && (e.preventDefault(), this.leave()) },
      h('header', null, this.title, this.close),
      this.body,
    );
  }

  get open() {
    return !this.element.hidden;
  }

  /**
   * show opens the panel, or turns it to another detail.
   * @param {object} options
   * @param {string} options.key What it shows; the same again changes nothing.
   * @param {import('./dom.js').Child} options.title
   * @param {string} options.back Where closing it leads.
   * @param {() => void} options.onClose Gives the focus back.
   * @param {(body: HTMLElement, signal: AbortSignal) => void} options.fill
   */
  show({ key, title, back, onClose, fill: put }) {
    this.#back = back;
    this.#onClose = onClose;
    if (key === this.key && this.open) return;
    this.#control?.abort();
    this.#control = new AbortController();
    const was = this.open;
    this.key = key;
    fill(this.title, title);
    fill(this.body);
    this.body.scrollTop = 0;
    this.element.hidden = false;
    put(this.body, this.#control.signal);
    // Whoever goes through a table by keys stays there.
    if (!was && !document.activeElement?.closest('.table-box')) this.title.focus({ preventScroll: true });
  }

  /** leave closes it as a user does. */
  leave() {
    const back = this.#back;
    const done = this.#onClose;
    if (back) go(back);
    this.hide();
    done();
  }

  hide() {
    this.#control?.abort();
    this.element.hidden = true;
    this.key = '';
    fill(this.body);
  }
}

/**
 * facts is a list of names and values.
 * @param {([string, import('./dom.js').Child] | false | null | undefined)[]} rows
 */
export function facts(rows) {
  return h(
    'dl.facts',
    null,
    rows.filter((r) => !!r).map(([name, value]) => h('div', null, h('dt', null, name), h('dd', null, value))),
  );
}

/**
 * section is a part of a detail with a heading.
 * @param {import('./dom.js').Child} title
 * @param {...import('./dom.js').Child} children
 */
export const section = (title, ...children) => h('section', null, h('h3', null, title), ...children);
