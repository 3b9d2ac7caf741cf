// Elements from code. Text only ever becomes text nodes; styles are classes.

/** @typedef {Node | string | number | null | undefined | false} One */
/** @typedef {One | One[]} Child */

/**
 * h makes an element: `h('button.primary', { onclick, 'aria-label': … }, 'Send')`.
 * A property that is undefined, null or false is left out, true is an empty attribute.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K | `${K}.${string}`} tag
 * @param {Record<string, unknown> | null} [props]
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function h(tag, props, ...children) {
  const [name, ...classes] = tag.split('.');
  const element = /** @type {HTMLElementTagNameMap[K]} */ (document.createElement(name));
  if (classes.length) element.className = classes.join(' ');
  for (const [key, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), /** @type {EventListener} */ (value));
    else if (key === 'value') /** @type {HTMLInputElement} */ (/** @type {unknown} */ (element)).value = String(value);
    else if (key === 'class') element.classList.add(...String(value).split(' ').filter(Boolean));
    else element.setAttribute(key, value === true ? '' : String(value));
  }
  add(element, children);
  return element;
}

/**
 * @param {ParentNode} parent
 * @param {Child[]} children
 */
export function add(parent, children) {
  parent.append(...nodes(children));
}

/**
 * @param {ParentNode} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren(...nodes(children));
}

/**
 * @param {Child[]} children
 * @returns {(Node | string)[]}
 */
function nodes(children) {
  return children
    .flat()
    .filter((c) => c !== null && c !== undefined && c !== false)
    .map((c) => (typeof c === 'number' ? String(c) : /** @type {Node | string} */ (c)));
}

/**
 * setText changes an element's text only where it is another, so that nothing is laid out anew.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * skeleton is the shape of what comes.
 * @param {number} [lines]
 */
export const skeleton = (lines = 6) => h('div.skeleton-block', null, Array.from({ length: lines }, () => h('span.skeleton')));

/**
 * failure says what went wrong in the place of what was asked for.
 * @param {unknown} error
 * @param {() => void} [again] Where it can be asked for again.
 */
export const failure = (error, again) =>
  h('div.empty', { role: 'alert' }, h('p', null, /** @type {Error} */ (error).message), again && h('button.button', { type: 'button', onclick: () => again() }, 'Try again'));

/**
 * inUse tells whether somebody has the focus, or has marked text, in an element: it is
 * not the time to put anything else in its place.
 * @param {Element} element
 */
export function inUse(element) {
  const marked = getSelection();
  return element.contains(document.activeElement) || (marked !== null && !marked.isCollapsed && element.contains(marked.anchorNode));
}

const shapes = {
  now: 'M2.5 10.5h3.5l2-6 4 11 2.2-5h3.3',
  channels: 'M8 3 6 17M14 3l-2 14M3.5 7h14M2.5 13h14',
  sessions: 'M10 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3.5 17c.6-3 3.3-4 6.5-4s5.9 1 6.5 4',
  events: 'M3 5h1M7 5h10M3 10h1M7 10h10M3 15h1M7 15h10',
  console: 'M3 4.5h14v11H3zM6 8l2.5 2L6 12M10.5 12.5H14',
  webhooks: 'M10 6.5 7 12M10 6.5a2.5 2.5 0 1 1 2.3-1.5M7 12a2.5 2.5 0 1 1-2.400-1.2M7 13.5h6.5M13.5 13.5a2.5 2.5 0 1 0 1.2-2.2M10 6.5l3 5',
  close: 'm5 5 10 10M15 5 5 15',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4',
  pause: 'M7 4.5v11M13 4.5v11',
  play: 'm6.5 4.5 9 5.5-9 5.5z',
  copy: 'M7.5 7.5h9v9h-9zM12.5 7.5v-4h-9v9h4',
  help: 'M7.5 7.5a2.5 2.5 0 1 1 3.600 2.2c-.8.4-1.1.9-1.1 1.800M10 14.5v.1',
  back: 'M11.5 4.5 6 10l5.5 5.5',
  yes: 'm4.5 10.5 3.5 3.5 7.5-8',
  no: 'm5.5 5.5 9 9M14.5 5.5l-9 9',
  wait: 'M10 4v6l3.5 2.5M10 17a7 7 0 1 0 0-14 7 7 0 0 0 0 14Z',
  ask: 'M7.5 7.5a2.5 2.5 0 1 1 3.600 2.2c-.8.4-1.1.9-1.1 1.800M10 14.5v.1',
  warn: 'M10 3.5 17.5 16.5h-15zM10 8.5v4M10 14.5v.1',
  filter: 'M3 5h14M6 10h8M8.5 15h3',
  out: 'M8 3.5H3.5v13H8M8.5 10h8M13 6.5l3.5 3.5-3.5 3.5',
};

/** @typedef {keyof typeof shapes} IconName */

/**
 * icon draws one of the page's signs; words beside it, or a label, say what it means.
 * @param {IconName} name
 */
export function icon(name) {
  const space = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(space, 'svg');
  svg.setAttribute('viewBox', '0 0 20 20');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const path = document.createElementNS(space, 'path');
  path.setAttribute('d', shapes[name]);
  svg.append(path);
  return svg;
}
