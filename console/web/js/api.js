// Calls of the server. All addresses are relative: the console knows no prefix.

import { search } from './router.js';

/** ApiError is an answer that was not the one wished for; status 0 is no answer at all. */
export class ApiError extends Error {
  /**
   * @param {number} status
   * @param {string} message
   * @param {{ code?: string, field?: string }} [more]
   */
  constructor(status, message, { code, field } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.field = field;
  }
}

/** Where others hear that somebody is not, or no longer, let in: the event `denied`. */
export const gate = new EventTarget();

/** @typedef {import('./router.js').Query} Query */

/**
 * address is the relative URL of a call.
 * @param {string} path
 * @param {Query} [query]
 */
export const address = (path, query = {}) => `api/${path}${search(query)}`;

/**
 * @param {string} method
 * @param {string} url
 * @param {{ body?: unknown, signal?: AbortSignal }} options
 */
async function call(method, url, { body, signal }) {
  /** @type {Record<string, string>} */
  const headers = { Accept: 'application/json' };
  // A page of another origin cannot send this without being asked who it is.
  if (method !== 'GET') headers['X-Carillon-Console'] = '1';
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  let response;
  try {
    response = await fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body), signal });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, 'The server does not answer.');
  }
  const text = await response.text();
  /** @type {any} */
  let answer;
  try {
    answer = text === '' ? {} : JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (response.ok && answer !== undefined) return answer;
  const said = answer?.error;
  const error = new ApiError(response.status, typeof said === 'string' && said ? said : `The server answered ${response.status}.`, {
    code: answer?.code,
    field: answer?.field,
  });
  if (response.status === 401 || error.code === 'forbidden') {
    gate.dispatchEvent(new CustomEvent('denied', { detail: error }));
  }
  throw error;
}

/**
 * @param {string} path
 * @param {Query} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const get = (path, query, signal) => call('GET', address(path, query), { signal });

/**
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export const post = (path, body = {}) => call('POST', address(path), { body });

/**
 * @param {string} path
 * @param {Query} [query]
 * @returns {Promise<any>}
 */
export const remove = (path, query) => call('DELETE', address(path, query), {});
