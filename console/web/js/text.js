// How names, numbers, sizes and times are written.

import { h } from './dom.js';

// What has no look of its own, or changes how its neighbours look: controls, direction
// marks, zero width, tags, lone halves of pairs, and spaces that pass for others.
const hidden =
  /[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb\u{e0000}-\u{e0fff}\p{Cs}\p{Co}]/gu;
const picture = /[\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f]/u;

/** @param {string} c */
const code = (c) => `U+${/** @type {number} */ (c.codePointAt(0)).toString(16).toUpperCase().padStart(4, '0')}`;

/** @type {Record<string, string>} */
const names = {
  'U+0009': 'tab', 'U+000A': 'line break', 'U+000D': 'carriage return', 'U+00A0': 'no-break space',
  'U+200B': 'zero width space', 'U+200C': 'zero width non-joiner', 'U+200D': 'zero width joiner',
  'U+200E': 'left-to-right mark', 'U+200F': 'right-to-left mark', 'U+202A': 'left-to-right embedding',
  'U+202B': 'right-to-left embedding', 'U+202C': 'end of direction', 'U+202D': 'left-to-right override',
  'U+202E': 'right-to-left override', 'U+2066': 'left-to-right isolate', 'U+2067': 'right-to-left isolate',
  'U+2068': 'first strong isolate', 'U+2069': 'end of isolate', 'U+FEFF': 'byte order mark',
};

/**
 * parts cuts a text into what may be shown as it is and what has to be spelt.
 * @param {string} text
 * @param {boolean} lines Whether line breaks and tabs may stay.
 * @returns {{ text: string, hidden: boolean }[]}
 */
function parts(text, lines) {
  /** @type {{ text: string, hidden: boolean }[]} */
  const out = [];
  let from = 0;
  for (const { 0: c, index } of text.matchAll(hidden)) {
    if (lines && (c === '\n' || c === '\t')) continue;
    // Within an emoji the joiner is no trick.
    if (c === '\u200d' && picture.test(text.slice(0, index).slice(-3)) && picture.test(text.slice(index + 1, index + 3))) continue;
    if (index > from) out.push({ text: text.slice(from, index), hidden: false });
    out.push({ text: c, hidden: true });
    from = index + c.length;
  }
  if (from < text.length) out.push({ text: text.slice(from), hidden: false });
  return out;
}

/**
 * say shows a text that somebody else chose: apart from its surroundings in direction,
 * and with everything in it that cannot be seen spelt out.
 * @param {unknown} value
 * @param {{ lines?: boolean }} [options]
 */
export function say(value, { lines = false } = {}) {
  const text = String(value ?? '');
  if (text === '') return h('span.quiet', null, 'empty');
  const shown = h('bdi', { dir: 'auto' });
  for (const part of parts(text, lines)) {
    shown.append(part.hidden ? h('span.spelt', { title: names[code(part.text)] }, code(part.text)) : part.text);
  }
  const [space] = text.match(/^ | $/g) ?? [];
  if (space) shown.classList.add('spaced');
  return shown;
}

/**
 * plain is what say shows, for titles and labels, which have no elements.
 * @param {unknown} value
 */
export function plain(value) {
  return parts(String(value ?? ''), false)
    .map((p) => (p.hidden ? `[${code(p.text)}]` : p.text))
    .join('');
}

/**
 * json writes a value on several lines, and says so where it is none.
 * @param {unknown} value A string that holds JSON is written as what it holds.
 */
export function json(value) {
  if (typeof value !== 'string') return JSON.stringify(value, null, 2) ?? '';
  try {
    return JSON.stringify(JSON.parse(value), null, 2);
  } catch {
    return value;
  }
}

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** @param {number | null | undefined} n */
export const count = (n) => (n === null || n === undefined ? '–' : whole.format(n));

/** @param {number | null | undefined} n Small numbers have a tenth. */
export function rate(n) {
  if (n === null || n === undefined) return '–';
  return n > 0 && n < 9.95 ? tenths.format(n) : whole.format(n);
}

/** @param {number | null | undefined} n */
export function bytes(n) {
  if (n === null || n === undefined) return '–';
  if (n < 1000) return `${whole.format(n)} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let i = -1;
  for (; n >= 999.5 && i < units.length - 1; i++) n /= 1000;
  return `${n < 99.95 ? tenths.format(n) : whole.format(n)} ${units[i]}`;
}

/** @param {number | null | undefined} n */
export function ms(n) {
  if (n === null || n === undefined) return '–';
  if (n >= 10_000) return `${tenths.format(n / 1000)} s`;
  if (n < 0.1 && n > 0) return `${whole.format(n * 1000)} µs`;
  return `${n < 99.95 ? tenths.format(n) : whole.format(n)} ms`;
}

/**
 * plural says how many of what: `plural(2, 'session')`.
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export const plural = (n, one, many = `${one}s`) => `${count(n)} ${n === 1 ? one : many}`;

/**
 * age says how long something has been, in one unit.
 * @param {number} since
 * @param {number} [now]
 */
export function age(since, now = Date.now()) {
  const s = Math.max(0, Math.round((now - since) / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86_400) return `${Math.floor(s / 3600)} h`;
  return `${Math.floor(s / 86_400)} d`;
}

/** @param {number} n @param {number} [width] */
const two = (n, width = 2) => String(n).padStart(width, '0');

/** @param {number} at */
export function clock(at) {
  const d = new Date(at);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

/** @param {number} at */
export const clockMs = (at) => `${clock(at)}.${two(new Date(at).getMilliseconds(), 3)}`;

/** @param {number} at */
export function dateTime(at) {
  const d = new Date(at);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${clockMs(at)}`;
}
