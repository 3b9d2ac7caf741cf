// What the server's kinds, states and reasons are called in front of people.

import { h, icon } from '../dom.js';
import { say } from '../text.js';

/** @type {Record<string, [string, string]>} Words and tone. */
const kinds = {
  connect: ['connected', 'in'],
  'refuse-connect': ['connection refused', 'bad'],
  disconnect: ['disconnected', 'out'],
  subscribe: ['subscribed', 'in'],
  'refuse-subscribe': ['subscription refused', 'bad'],
  unsubscribe: ['unsubscribed', 'out'],
  publish: ['published', 'event'],
  'client-event': ['client event', 'event'],
  'refuse-publish': ['publish refused', 'bad'],
  join: ['member joined', 'in'],
  leave: ['member left', 'out'],
  online: ['user online', 'in'],
  offline: ['user offline', 'out'],
  occupied: ['channel occupied', 'in'],
  vacated: ['channel vacated', 'out'],
  slow: ['cut off as slow', 'bad'],
  gap: ['gap', 'warn'],
  hook: ['hook', 'other'],
  store: ['store', 'warn'],
  api: ['API call', 'other'],
  webhook: ['webhook', 'other'],
};

/** allKinds are those that the log knows, as one would look for them. */
export const allKinds = Object.keys(kinds);

/** @param {string} kind */
export const kindWords = (kind) => (Object.hasOwn(kinds, kind) ? kinds[kind][0] : kind);

/** @param {string} kind */
export const kindTone = (kind) => (Object.hasOwn(kinds, kind) ? kinds[kind][1] : 'other');

/** @param {import('../types.js').LogEvent} e */
export function tone(e) {
  if (e.kind === 'webhook' || e.kind === 'api') return (e.status ?? 200) >= 400 || (e.kind === 'webhook' && !e.status) ? 'bad' : 'other';
  return kindTone(e.kind);
}

/** @type {Record<string, string>} */
const acts = { connect: 'Connection', subscribe: 'Subscription', publish: 'Publish', 'client-event': 'Client event', api: 'API call' };

/**
 * refusal says what was refused and why.
 * @param {string} what
 * @param {string} reason
 */
export const refusal = (what, reason) => [
  Object.hasOwn(acts, what) ? acts[what] : say(what),
  ': ',
  say(reason),
];

/** @type {Record<string, ['good' | 'bad' | 'warn' | 'quiet', import('../dom.js').IconName]>} */
const signs = {
  ok: ['good', 'yes'], got: ['good', 'yes'], delivered: ['good', 'yes'],
  stop: ['bad', 'no'], 'not-got': ['bad', 'no'], failed: ['bad', 'no'],
  wait: ['warn', 'wait'], partly: ['warn', 'wait'], retrying: ['warn', 'wait'],
};

/**
 * verdict is a sign with words.
 * @param {string} value
 * @param {import('../dom.js').Child} [text]
 */
export function verdict(value, text = value) {
  const [colour, sign] = Object.hasOwn(signs, value) ? signs[value] : /** @type {const} */ (['quiet', 'ask']);
  return h('span.verdict', { class: colour }, icon(sign), h('span', null, text));
}

/** @type {Record<string, string>} */
const channelKinds = { 'server-to-user': 'to one user' };

/** @param {import('../types.js').Channel | import('../types.js').ChannelDetail} c */
export const channelKind = (c) => (channelKinds[c.kind] ?? c.kind) + (c.cache ? ', cache' : '');

/** @type {Record<string, string>} */
const transports = { websocket: 'WebSocket', xhr_streaming: 'HTTP streaming', xhr_polling: 'HTTP polling', sse: 'EventSource', memory: 'in process' };

/** @param {string} name */
export const transport = (name) => (Object.hasOwn(transports, name) ? transports[name] : name);
