// Where the page is: everything that can be opened has a URL of its own, behind the #,
// so that the console can be mounted anywhere.

/**
 * @typedef {{ path: string[], query: Record<string, string> }} Route
 */

/** decode reads what encodeURIComponent writes, and takes what it does not as it is. @param {string} part */
export function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

/**
 * parse reads what stands behind the #.
 * @param {string} hash
 * @returns {Route}
 */
export function parse(hash) {
  const [path, query = ''] = hash.replace(/^#?\/?/, '').split(/\?(.*)/s);
  return {
    path: path === '' ? [] : path.split('/').map(decode),
    query: Object.fromEntries(new URLSearchParams(query)),
  };
}

/** @typedef {Record<string, string | number | undefined>} Query */

/**
 * search writes a query with its ?; what is empty in it is left out.
 * @param {Query} query
 */
export function search(query) {
  const params = new URLSearchParams();
  for (const [key, value] of Object.entries(query)) {
    if (value !== undefined && value !== '') params.set(key, String(value));
  }
  const text = params.toString();
  return text && `?${text}`;
}

/**
 * href writes what parse reads.
 * @param {string[]} path
 * @param {Query} [query]
 */
export const href = (path, query = {}) => `#/${path.map(encodeURIComponent).join('/')}${search(query)}`;

export const here = () => parse(location.hash);

/**
 * go goes to an address; with replace, Back does not lead to where one was.
 * @param {string} address
 * @param {{ replace?: boolean }} [options]
 */
export function go(address, { replace = false } = {}) {
  if (address === location.hash) return;
  if (!replace) {
    location.hash = address;
    return;
  }
  history.replaceState(null, '', address);
  window.dispatchEvent(new HashChangeEvent('hashchange'));
}

/**
 * setQuery changes the query of where the page is, as filters do.
 * @param {Record<string, string | undefined>} change
 */
export function setQuery(change) {
  const { path, query } = here();
  go(href(path, { ...query, ...change }), { replace: true });
}
