// What floats above the page: questions before something is undone for good, help, and
// the short notes that say what happened.

import { fill, h, icon } from './dom.js';

/**
 * open shows a dialog and waits until it is closed.
 * @param {import('./dom.js').Child} title
 * @param {(close: (value: string) => void) => import('./dom.js').Child} body
 * @returns {Promise<string>}
 */
function open(title, body) {
  return new Promise((resolve) => {
    const close = (/** @type {string} */ value) => dialog.close(value);
    const dialog = h(
      'dialog.dialog',
      { 'aria-labelledby': 'dialog-title', onclose: () => (dialog.remove(), resolve(dialog.returnValue)), onclick: (/** @type {Event} */ e) => e.target === dialog && close('') },
      h('header', null, h('h2', { id: 'dialog-title' }, title), h('button.icon-button', { type: 'button', 'aria-label': 'Close', onclick: () => close('') }, icon('close'))),
      h('div.dialog-body', null, body(close)),
    );
    document.body.append(dialog);
    dialog.showModal();
    /** @type {HTMLElement | null} */ (dialog.querySelector('.start'))?.focus();
  });
}

/**
 * confirm asks before something that cannot be undone, and does it.
 * @param {object} options
 * @param {string} options.title
 * @param {import('./dom.js').Child} options.text
 * @param {string} options.yes What the button says.
 * @param {() => Promise<string>} options.act Returns what to say when it is done.
 */
export async function confirm({ title, text, yes, act }) {
  const error = h('p.error', { role: 'alert' });
  await open(title, (close) => {
    const button = h('button.button.danger', { type: 'button' }, yes);
    button.addEventListener('click', async () => {
      button.setAttribute('aria-busy', 'true');
      button.disabled = true;
      try {
        const done = await act();
        close('yes');
        notify(done);
      } catch (e) {
        fill(error, /** @type {Error} */ (e).message);
      } finally {
        button.removeAttribute('aria-busy');
        button.disabled = false;
      }
    });
    return [
      h('div.dialog-text', null, text),
      error,
      h('div.dialog-actions', null, h('button.button.start', { type: 'button', onclick: () => close('') }, 'Cancel'), button),
    ];
  });
}

const notes = h('div.notes', { role: 'status', 'aria-live': 'polite' });

/** mountNotes puts the place for notes into the page. */
export const mountNotes = () => document.body.append(notes);

/**
 * notify says for some seconds what happened.
 * @param {string} text
 * @param {'good' | 'bad'} [tone]
 */
function notify(text, tone = 'good') {
  const note = h('div.note', { class: tone }, icon(tone === 'good' ? 'yes' : 'warn'), h('span', null, text));
  notes.append(note);
  setTimeout(() => note.remove(), 6000);
}

/**
 * attempt does something and says how it went wrong, if it did.
 * @param {HTMLButtonElement} button Is busy until then.
 * @param {() => Promise<string | void>} act Returns what to say.
 */
export async function attempt(button, act) {
  button.setAttribute('aria-busy', 'true');
  button.disabled = true;
  try {
    const done = await act();
    if (done) notify(done);
  } catch (error) {
    notify(/** @type {Error} */ (error).message, 'bad');
  } finally {
    button.removeAttribute('aria-busy');
    button.disabled = false;
  }
}

/**
 * copy puts a text on the clipboard.
 * @param {string} text
 * @param {string} what What it is called in the note.
 */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
    notify(`${what} copied.`);
  } catch {
    // Without https there is no clipboard: the text is shown to be copied by hand.
    const area = h('textarea.input.code', { readonly: true, rows: 8, 'aria-label': what });
    area.value = text;
    await open(what, () => [h('p', null, 'This page may not write to the clipboard. Copy it from here.'), area]);
  }
}

/** @type {[string, string[][]][]} */
const keys = [
  ['Go to', [['g n', 'Now'], ['g c', 'Channels'], ['g s', 'Sessions'], ['g e', 'Events'], ['g d', 'Console'], ['g y', 'Why'], ['g w', 'Webhooks']]],
  ['In a table', [['↑ or ↓', 'Row by row'], ['Page Up or Page Down', 'A page'], ['Home or End', 'First and last row'], ['Enter', 'Open'], ['Esc', 'Close the detail']]],
  ['In a chart', [['← or →', 'Point by point'], ['Home or End', 'First and last point']]],
  ['Everywhere', [['/', 'Search'], ['p', 'Pause and go on (Events)'], ['?', 'This list']]],
];

/** Where it is kept whether single keys do something. */
const setting = 'carillon-console/keys';
export const keysAreOn = () => localStorage.getItem(setting) !== 'off';

/** help lists the keys. */
export function help() {
  if (document.querySelector('dialog[open]')) return;
  const box = h('input', { type: 'checkbox', onchange: () => (box.checked ? localStorage.removeItem(setting) : localStorage.setItem(setting, 'off')) });
  box.checked = keysAreOn();
  open('Keys', () => [
    h('div.keys', null, keys.map(([title, list]) => h('section', null, h('h3', null, title), h('dl', null, list.map(line))))),
    h('label.check', null, box, 'Single keys (g, p, /, ?) do something'),
  ]);
}

/** @param {string[]} line */
const line = ([key, what]) =>
  h('div', null, h('dt', null, key.split(' or ').flatMap((k, i) => [i ? ' ' : '', h('kbd', null, k)])), h('dd', null, what));
