// What those see who are not let in.

import { ApiError, post } from '../api.js';
import { fill, h } from '../dom.js';

/** @param {...import('../dom.js').Child} children */
const card = (...children) =>
  h('main.gate', null, h('div.gate-card', null, h('img', { src: 'icon.svg', alt: '', width: 40, height: 40 }), ...children));

/**
 * signIn asks for the token.
 * @param {HTMLElement} root
 * @param {() => void} done
 */
export function signIn(root, done) {
  document.title = 'Sign in – Carillon';
  const error = h('p.error', { role: 'alert', id: 'gate-error' });
  const input = h('input.input', { type: 'password', id: 'token', autocomplete: 'current-password', required: true, 'aria-describedby': 'gate-error' });
  const button = h('button.button.primary', { type: 'submit' }, 'Open the console');
  const form = h(
    'form',
    {
      onsubmit: async (/** @type {Event} */ e) => {
        e.preventDefault();
        button.disabled = true;
        button.setAttribute('aria-busy', 'true');
        try {
          await post('sign-in', { token: input.value.trim() });
          done();
        } catch (e) {
          const { status, message } = /** @type {ApiError} */ (e);
          fill(error, status === 401 ? 'That is not the token. It is what the program was given, or printed when it started.' : message);
          input.setAttribute('aria-invalid', 'true');
          input.select();
        } finally {
          button.disabled = false;
          button.removeAttribute('aria-busy');
        }
      },
    },
    h('label', { for: 'token' }, 'Token'),
    input,
    error,
    button,
  );
  fill(root, card(h('h1', null, 'Carillon console'), h('p.quiet', null, 'This console is locked. The token opens it.'), form));
  input.focus();
}

/**
 * refused says why there is nothing to see.
 * @param {HTMLElement} root
 * @param {Error | undefined} error
 * @param {() => void} again
 */
export function refused(root, error, again) {
  const [title, text] = words(error);
  document.title = `${title} – Carillon`;
  fill(root, card(h('h1', null, title), h('p.quiet', null, text), h('button.button', { type: 'button', onclick: again }, 'Try again')));
}

/**
 * @param {Error | undefined} error
 * @returns {[string, string]}
 */
function words(error) {
  if (!error || (error instanceof ApiError && (error.status === 401 || error.status === 403))) {
    return ['No permission', 'This console is not open to you. Sign in to the program that it belongs to as somebody who may see it, or ask whoever runs it.'];
  }
  if (error instanceof ApiError && error.code === 'not_attached') return ['Starting', 'The program has not put its broker behind this console yet. Try again in a moment.'];
  if (error instanceof ApiError && error.status === 0) return ['No answer', 'The server does not answer. It may be restarting.'];
  return ['This did not work', error.message];
}
