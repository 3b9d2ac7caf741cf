// Console: send an event, and see which session got it and when.

import { get, post } from '../api.js';
import { fill, h, skeleton } from '../dom.js';
import { appField } from '../filters.js';
import { href } from '../router.js';
import { plain, plural, say } from '../text.js';
import { verdict } from './kinds.js';
import { notRecorded, steps, ways } from './trace.js';

/** @type {(world: import('../main.js').World) => import('../main.js').View} */
export function send({ info, live, signal }) {
  /** @param {string} name @param {string} label @param {object} more */
  const field = (name, label, more = {}) => {
    const input = h('input.input', { name, id: `send-${name}`, autocomplete: 'off', spellcheck: 'false', autocapitalize: 'off', ...more });
    return { input, element: h('div.field', null, h('label', { for: `send-${name}` }, label), input) };
  };
  const [several] = appField(info);
  const app = several && h('select.input', { id: 'send-app', name: 'app' }, several.choices?.slice(1).map(([value, text]) => h('option', { value }, text)));
  const known = h('datalist', { id: 'send-known' });
  const channel = field('channel', 'Channel', { required: true, list: 'send-known', placeholder: 'room-1' });
  const event = field('event', 'Event', { required: true, placeholder: 'message' });
  const exclude = field('exclude', 'Without session (may be empty)', { placeholder: '1234.5678' });
  const data = h('textarea.input.code', { id: 'send-data', rows: 8, spellcheck: 'false', 'aria-describedby': 'send-note' });
  data.value = '{\n  "text": "Hello"\n}';
  const note = h('p.note-line.quiet', { id: 'send-note' });
  const error = h('p.error', { role: 'alert' });
  const button = h('button.button.primary', { type: 'submit', disabled: info.readOnly }, 'Send');
  const form = h(
    'form.send-form',
    { onsubmit: (/** @type {Event} */ e) => (e.preventDefault(), publish()) },
    app && h('div.field', null, h('label', { for: 'send-app' }, 'App'), app),
    channel.element,
    known,
    event.element,
    h('div.field', null, h('label', { for: 'send-data' }, 'Data'), data, note),
    exclude.element,
    error,
    h('div.actions', null, button, h('span.quiet', null, 'Ctrl Enter')),
  );
  const result = h('div.result', { role: 'region', 'aria-live': 'polite', 'aria-label': 'What became of it' }, idle());
  const element = h('div.view.send', null, h('header.view-head', null, h('h1', null, 'Console')), h('div.scrolling', null, h('div.pair', null, form, result)));

  const check = () => {
    const text = data.value.trim();
    try {
      if (text) JSON.parse(text);
      fill(note, text ? 'JSON.' : 'Empty.');
      return Boolean(text);
    } catch {
      fill(note, 'Not JSON: it is sent as a plain string.');
      return false;
    }
  };
  data.addEventListener('input', check);
  form.addEventListener('keydown', (e) => {
    if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) (e.preventDefault(), form.requestSubmit());
  });
  let timer = 0;
  channel.input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = window.setTimeout(async () => {
      const answer = await get('channels', { app: app?.value ?? info.apps[0]?.id, q: channel.input.value.trim(), limit: 20 }, signal).catch(() => undefined);
      if (answer) fill(known, answer.items.map((/** @type {import('../types.js').Channel} */ c) => h('option', { value: c.name })));
    }, 150);
  });

  /** @type {Record<string, string | number | undefined> | undefined} */
  let question;
  let looks = 0;

  async function publish() {
    button.disabled = true;
    button.setAttribute('aria-busy', 'true');
    fill(error);
    question = undefined;
    for (const { input } of [channel, event, exclude]) input.removeAttribute('aria-invalid');
    try {
      const at = app?.value ?? info.apps[0]?.id;
      const body = { app: at, channel: channel.input.value.trim(), event: event.input.value, data: data.value, json: check(), exclude: exclude.input.value.trim(), trace: true };
      const done = /** @type {import('../types.js').Published} */ (await post('publish', body));
      if (done.refused) return fill(result, h('section.verdict-head.not-got', null, h('h2', null, verdict('stop', 'Refused')), h('p', null, say(done.refused.text))), h('p.quiet', null, 'Code ', say(done.refused.code)));
      question = { app: at, channel: body.channel, event: done.id, seq: done.seq };
      looks = 0;
      fill(result, skeleton(4));
      await look(done);
      if (result.offsetTop > form.offsetTop) result.scrollIntoView({ block: 'start' });
    } catch (e) {
      const { message, field: wrong } = /** @type {import('../api.js').ApiError} */ (e);
      fill(error, message);
      const at = { channel, event, exclude }[/** @type {'channel'} */ (wrong ?? '')];
      at?.input.setAttribute('aria-invalid', 'true');
      at?.input.focus();
    } finally {
      button.disabled = info.readOnly;
      button.removeAttribute('aria-busy');
    }
  }

  /** @param {import('../types.js').Published} [done] */
  async function look(done) {
    const mine = question;
    if (!mine) return;
    try {
      const t = /** @type {import('../types.js').Trace} */ (await get('trace', { ...mine, event: mine.seq ? '' : mine.event }, signal));
      if (mine !== question) return;
      const all = t.sessions.length + t.moreSessions;
      fill(
        result,
        h('section.verdict-head', { class: t.verdict }, h('h2', null, verdict(t.verdict === 'unknown' ? 'ok' : t.verdict, all ? `${plural(t.got, 'session')} of ${all} got it` : 'Sent')), t.verdict !== 'unknown' && h('p', null, say(t.text))),
        h('p.which.quiet', null, t.event?.id && ['ID ', h('code', null, plain(t.event.id)), ' '], t.event?.position && ['Position ', h('code', null, plain(t.event.position)), ' '], h('a', { href: href(['why'], mine) }, 'More about it')),
        t.common.length > 0 && steps(t.common),
        t.sessions.length > 0 && ways(t, mine),
        !t.sessions.length && t.verdict !== 'unknown' && h('p.quiet', null, 'Nobody was subscribed to the channel.'),
        notRecorded(t),
      );
      // What is on its way is looked at again for a while.
      if (looks++ < 10 && t.sessions.some((s) => s.verdict !== 'got' && s.verdict !== 'not-got')) setTimeout(() => signal.aborted || look(), 300);
    } catch (e) {
      if (signal.aborted || mine !== question) return;
      fill(result, h('section.verdict-head', null, h('h2', null, verdict('ok', 'Sent'))), done?.id && h('p', null, 'ID ', h('code', null, plain(done.id))), h('p.quiet', null, /** @type {Error} */ (e).message));
    }
  }
  live.addEventListener('trace', () => looks < 10 && look(), { signal });

  return {
    element,
    update({ query }) {
      if (app && query.app) app.value = query.app;
      for (const [name, { input }] of Object.entries({ channel, event, exclude })) if (query[name]) input.value = query[name];
      // An event that is sent again has its own data, which may be none.
      if (query.event) data.value = query.data ?? '';
      check();
    },
  };
}

const idle = () => h('div.empty', null, h('h2', null, 'Who gets it?'), h('p', null, 'Send an event, and here is what became of it: each session, and how long it took to its socket.'));
