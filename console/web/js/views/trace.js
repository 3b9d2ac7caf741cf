// An event's way: each step from the publish to the socket, with its verdict.

import { h } from '../dom.js';
import { href } from '../router.js';
import { ms, say } from '../text.js';
import { verdict } from './kinds.js';

/** @typedef {import('../types.js').Step} Step */

/** @type {Record<string, string>} */
const names = {
  accepted: 'Accepted', refused: 'Refused', stored: 'Stored', order: 'In order', 'handed-out': 'Handed out', subscribed: 'Subscribed',
  'not-subscribed': 'Not subscribed', excluded: 'Excluded', parked: 'Waits for others', 'already-had': 'Had it already', queued: 'Queued',
  written: 'Written to the socket', 'cut-off': 'Cut off as slow', closed: 'Closed',
};

/**
 * steps is the list of what happened, in order.
 * @param {Step[]} list
 */
export function steps(list) {
  return h(
    'ol.steps',
    null,
    list.map((s) =>
      h(
        'li',
        null,
        verdict(s.verdict, h('strong', null, Object.hasOwn(names, s.step) ? names[s.step] : s.step)),
        h('span.quiet.num', null, s.afterMs === undefined ? '' : `+${ms(s.afterMs)}`),
        h('p', null, say(s.text), s.tookMs !== undefined && h('span.quiet', null, ` took ${ms(s.tookMs)}`)),
      ),
    ),
  );
}

/**
 * ways is a table of who got the event and when.
 * @param {import('../types.js').Trace} trace
 * @param {Record<string, string | number | undefined>} question Goes on into the links.
 */
export function ways({ sessions, moreSessions }, question) {
  const rows = sessions.map((way) => {
    const last = [...way.steps].reverse().find((s) => s.afterMs !== undefined);
    return h(
      'tr',
      null,
      h('td', null, h('a', { href: href(['why'], { ...question, session: way.session, user: undefined }) }, h('span.mono', null, say(way.session)))),
      h('td', null, way.user ? say(way.user) : ''),
      h('td', null, verdict(way.verdict, say(way.text))),
      h('td.num', null, last ? `+${ms(last.afterMs)}` : '–'),
    );
  });
  return h(
    'div.scroll',
    { tabindex: 0, role: 'region', 'aria-label': 'Sessions' },
    h('table.plain', null, h('thead', null, h('tr', null, ['Session', 'User', 'What became of it'].map((t) => h('th', { scope: 'col' }, t)), h('th.num', { scope: 'col' }, 'After'))), h('tbody', null, rows)),
    moreSessions > 0 && h('p.quiet', null, `and ${moreSessions} more`),
  );
}

/** @param {import('../types.js').Trace} trace */
export const notRecorded = ({ notRecorded: list }) =>
  list?.length > 0 && h('section.unrecorded', null, h('h3', null, 'Not recorded'), h('ul', null, list.map(({ what, why }) => h('li', null, h('strong', null, say(what)), ': ', say(why)))));
