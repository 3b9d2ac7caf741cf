// A view of a table, with filters above it and the detail of a row beside it.

import { h } from './dom.js';
import { Panel } from './panel.js';

/** @typedef {Parameters<Panel['show']>[0]} Shown */

export class Split {
  /**
   * @param {object} options
   * @param {string} options.title
   * @param {import('./filters.js').Filters} options.filters
   * @param {import('./table.js').Table<any>} options.table
   * @param {import('./dom.js').Child} [options.more] What stands behind the filters.
   * @param {string} [options.look] A class for the view.
   */
  constructor({ title, filters, table, more, look }) {
    this.#table = table;
    this.element = h(
      'div.view.split',
      { class: look },
      h('header.view-head', null, h('h1', null, title), filters.element, more),
      h('div.split-body', null, table.element, this.#panel.element),
    );
  }

  /** @type {import('./table.js').Table<any>} */
  #table;
  #panel = new Panel();

  focusRows = () => this.#table.focus();

  /**
   * open shows the detail of a row, or closes it where there is none.
   * @param {string | undefined} row Its key, by which the panel knows it as well unless the detail has one.
   * @param {() => Omit<Shown, 'key' | 'onClose'> & Partial<Shown>} detail
   */
  open(row, detail) {
    this.#table.select(row ?? '');
    if (row === undefined) this.#panel.hide();
    else this.#panel.show({ key: row, onClose: this.focusRows, ...detail() });
  }
}
