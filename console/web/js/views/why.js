// Why did this user (not) get this event?

import { get } from '../api.js';
import { failure, fill, h, icon, skeleton } from '../dom.js';
import { appField } from '../filters.js';
import { go, href } from '../router.js';
import { bytes, clockMs, count, say } from '../text.js';
import { arming } from './arm.js';
import { verdict } from './kinds.js';
import { notRecorded, steps, ways } from './trace.js';

const names = ['app', 'channel', 'event', 'seq', 'session', 'user'];

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function why({ info, live, signal }) {
  /** @type {Record<string, string>} */
  let query = {};
  /** @param {string} name @param {string} label @param {string} hint */
  const field = (name, label, hint) => {
    const input = h('input.input', { name, id: `why-${name}`, placeholder: hint, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off' });
    return { input, element: h('div.field', null, h('label', { for: `why-${name}` }, label), input) };
  };
  const channel = field('channel', 'Channel', 'room-1');
  const event = field('event', 'Event', 'Its ID, or its number in the log');
  const session = field('session', 'Session', 'All, where empty');
  const user = field('user', 'or user', '');
  const [several] = appField(info);
  const app = several && h('select.input', { id: 'why-app', name: 'app' }, several.choices?.slice(1).map(([value, text]) => h('option', { value }, text)));
  const form = h(
    'form.question',
    {
      onsubmit: (/** @type {Event} */ e) => {
        e.preventDefault();
        const wanted = event.input.value.trim();
        const number = /^\d+$/.test(wanted);
        const to = href(['why'], {
          app: app?.value ?? info.apps[0]?.id,
          channel: channel.input.value.trim(),
          event: number ? '' : wanted,
          seq: number ? wanted : '',
          session: session.input.value.trim(),
          user: user.input.value.trim(),
        });
        if (to === location.hash) ask();
        else go(to);
      },
    },
    app && h('div.field', null, h('label', { for: 'why-app' }, 'App'), app),
    channel.element,
    event.element,
    session.element,
    user.element,
    h('button.button.primary', { type: 'submit' }, 'Ask'),
  );
  const answer = h('div.answer', { role: 'region', 'aria-live': 'polite', 'aria-label': 'Answer' });
  const element = h(
    'div.view.why',
    null,
    h('header.view-head', null, h('a.icon-button.back', { href: href(['events']), 'aria-label': 'Back to events', title: 'Back to events' }, icon('back')), h('h1', null, 'Why did they (not) get it?')),
    h('div.scrolling', null, h('div.column', null, form, answer)),
  );

  async function ask({ quiet = false } = {}) {
    const question = Object.fromEntries(names.map((n) => [n, query[n]]));
    if (!names.some((n) => n !== 'app' && query[n])) return fill(answer, hint());
    if (!query.event && !query.seq) return fill(answer, chooseEvent(info, query, signal));
    if (!quiet) fill(answer, skeleton(5));
    try {
      const trace = /** @type {import('../types.js').Trace} */ (await get('trace', { ...question, event: query.seq ? '' : query.event }, signal));
      const now = names.map((n) => query[n]).join();
      if (now !== Object.values(question).join()) return;
      fill(answer, ...told(info, trace, question, signal));
    } catch (error) {
      if (!signal.aborted && !quiet) fill(answer, failure(error));
    }
  }

  // An event that is still on its way is looked at again.
  live.addEventListener('trace', () => ask({ quiet: true }), { signal });

  return {
    element,
    update({ query: wanted }) {
      query = wanted;
      if (app) app.value = query.app || info.apps[0]?.id;
      channel.input.value = query.channel ?? '';
      event.input.value = query.seq || query.event || '';
      session.input.value = query.session ?? '';
      user.input.value = query.user ?? '';
      ask();
    },
  };
}

const hint = () =>
  h('div.empty', null, h('p', null, 'Choose an event in ', h('a', { href: href(['events'], { kind: 'publish,client-event' }) }, 'the log'), ' or in the history of a channel: it leads here. Exact is what was recorded while a channel, session or user was armed.'));

/**
 * Where only a channel or a session is known: the last events, to choose from.
 * @param {import('../types.js').Info} info
 * @param {Record<string, string>} query
 * @param {AbortSignal} signal
 */
function chooseEvent(info, query, signal) {
  const list = h('ul.rows', null, h('li', null, h('span.skeleton')));
  get('events', { app: query.app, channel: query.channel, kind: 'publish,client-event', limit: 20 }, signal).then(
    (answer) =>
      fill(
        list,
        answer.events.length
          ? answer.events.map((/** @type {import('../types.js').LogEvent} */ e) =>
              h('li', null, h('a', { href: href(['why'], { ...query, channel: e.channel, event: e.id, seq: e.seq }) }, h('span.num', null, clockMs(e.at)), h('span.grow', null, say(e.event)), h('span.quiet', null, say(e.channel)))),
            )
          : h('li.quiet', null, 'Nothing was published since the start of the log.'),
      ),
    (error) => signal.aborted || fill(list, h('li', { role: 'alert' }, error.message)),
  );
  return h('section', null, h('h2', null, 'Which event?'), list, query.session && h('section', null, h('h2', null, 'Record what comes'), arming({ info, signal, target: { app: query.app, session: query.session } })));
}

/**
 * @param {import('../types.js').Info} info
 * @param {import('../types.js').Trace} t
 * @param {Record<string, string>} question
 * @param {AbortSignal} signal
 */
function told(info, t, question, signal) {
  const { event } = t;
  const one = question.session || question.user;
  const titles = /** @type {Record<string, string>} */ ({ got: one ? 'They got it' : 'All got it', 'not-got': one ? 'They did not get it' : 'Nobody got it', partly: 'Some got it', unknown: 'Not recorded' });
  const [way] = t.sessions;
  const target = { app: question.app, channel: question.channel || event?.channel };
  return [
    h('section.verdict-head', { class: t.verdict }, h('h2', null, verdict(t.verdict, titles[t.verdict] ?? t.verdict)), h('p', null, say(t.text))),
    event && h('p.which.quiet', null, h('strong', null, say(event.name)), ' on ', h('a', { href: href(['channels', target.app, event.channel]) }, say(event.channel)), event.at && ` at ${clockMs(event.at)}`, event.size !== undefined && `, ${bytes(event.size)}`),
    t.common.length > 0 && h('section', null, h('h3', null, 'For all'), steps(t.common)),
    t.sessions.length === 1 && one && h('section', null, h('h3', null, way.user ? ['For ', say(way.user), ' ', h('span.mono.quiet', null, say(way.session))] : ['For ', h('span.mono', null, say(way.session))]), steps(way.steps)),
    t.sessions.length > 0 && !(t.sessions.length === 1 && one) && h('section', null, h('h3', null, `Session by session ${count(t.sessions.length + t.moreSessions)}`), ways(t, question)),
    one && h('p', null, h('a', { href: href(['why'], { ...question, session: '', user: '' }) }, 'Who else got it?')),
    notRecorded(t),
    target.channel && (t.verdict === 'unknown' || t.notRecorded?.length > 0) && h('section', null, h('h3', null, 'Record what comes'), arming({ info, signal, target: { app: target.app, channel: target.channel } })),
  ];
}
