// The bar above a table. What is filtered stands in the URL, so that it can be sent to
// somebody and survives a reload.

import { h, icon, setText } from './dom.js';
import { setQuery } from './router.js';

const pause = 200;

/**
 * @typedef {object} Field
 * @property {string} name In the query.
 * @property {string} label
 * @property {'search' | 'text'} [type]
 * @property {[string, string][]} [choices] Values and what they are called; the first is "all".
 * @property {string} [hint] Shown while it is empty.
 * @property {string} [title]
 */

export class Filters {
  /**
   * @param {Field[]} fields The first one stays in sight on phones.
   */
  constructor(fields) {
    this.fields = fields;
    /** @type {Map<string, HTMLInputElement | HTMLSelectElement>} */
    this.inputs = new Map(fields.map((f) => [f.name, this.#input(f)]));
    this.count = h('span.count', { role: 'status' });
    this.clear = h('button.button.bare', { type: 'button', hidden: true, onclick: () => setQuery(Object.fromEntries(fields.map((f) => [f.name, '']))) }, 'Clear');
    this.end = h('div.filters-end', null, this.count);
    this.badge = h('span.badge', { hidden: true });
    const [first, ...others] = fields.map((f) => this.#label(f));
    this.others = h('div.others', null, others, this.clear);
    this.toggle = h(
      'button.button.toggle',
      { type: 'button', 'aria-expanded': 'false', onclick: () => this.toggle.setAttribute('aria-expanded', String(this.element.classList.toggle('open'))) },
      icon('filter'),
      'Filters',
      this.badge,
    );
    this.element = h('form.filters', { role: 'search', onsubmit: (/** @type {Event} */ e) => e.preventDefault() }, first, others.length > 0 && this.toggle, this.others, this.end);
  }

  #timer = 0;

  /** @param {Field} field */
  #input(field) {
    if (field.choices) {
      return h('select.input', { name: field.name, 'aria-label': field.label, onchange: () => this.#change() }, field.choices.map(([value, text]) => h('option', { value }, text)));
    }
    return h('input.input', {
      type: field.type ?? 'text',
      name: field.name,
      'aria-label': field.label,
      title: field.title,
      placeholder: field.hint ?? field.label,
      autocomplete: 'off',
      autocapitalize: 'off',
      spellcheck: 'false',
      maxlength: 300,
      oninput: () => {
        clearTimeout(this.#timer);
        this.#timer = window.setTimeout(() => this.#change(), pause);
      },
    });
  }

  /** @param {Field} field */
  #label(field) {
    const input = this.inputs.get(field.name);
    return field.type === 'search' ? h('span.search', null, icon('search'), input) : input;
  }

  #change() {
    clearTimeout(this.#timer);
    setQuery(Object.fromEntries([...this.inputs].map(([name, input]) => [name, input.value.trim()])));
  }

  /**
   * update shows the filters of a query, and returns them.
   * @param {Record<string, string>} query
   */
  update(query) {
    /** @type {Record<string, string>} */
    const on = {};
    for (const [name, input] of this.inputs) {
      const value = query[name] ?? '';
      if (value) on[name] = value;
      if (input.value.trim() !== value) input.value = value;
      input.classList.toggle('on', value !== '');
    }
    const n = Object.keys(on).filter((name) => name !== this.fields[0].name).length;
    this.clear.hidden = !Object.keys(on).length;
    this.badge.hidden = !n;
    setText(this.badge, String(n));
    return on;
  }
}

/**
 * appField chooses an app, where there are several.
 * @param {import('./types.js').Info} info
 * @returns {Field[]}
 */
export function appField(info) {
  if (info.apps.length < 2) return [];
  return [{ name: 'app', label: 'App', choices: [['', 'All apps'], ...info.apps.map((a) => /** @type {[string, string]} */ ([a.id, a.name || a.id]))] }];
}
