/**
 * Gap-free resume for pusher-js: after a reconnect every channel gets what it has
 * missed, once and in order, or is told that this is not possible.
 */

import { open, pager, parse, type Settle } from './history.js';
import { follows, isAfter, type Position } from './position.js';
import type { Message, State } from './state.js';
import { keep } from './storage.js';
import type { Options, PusherLike, Resumable } from './types.js';

export type { Position } from './position.js';
export type { HistoryEvent, HistoryOptions, HistoryPage, Options, PusherLike, Resumable, Told } from './types.js';

interface Frame {
  resume?: { status: string; missed: number };
  pos?: Position;
  prev?: Position;
}

const answerWithin = 10_000;
const maxHoles = 9;
const maxSockets = 5;

/**
 * resume makes a Pusher resume its channels, and returns it. Wrap it before it
 * subscribes; wrapping it again does nothing. Against servers that do not speak
 * this, nothing changes.
 *
 * Channels then emit `pusher:resumed` or `pusher:gap`, with {@link Told}, directly
 * after `pusher:subscription_succeeded`; a server-to-user channel does on
 * `pusher.user`.
 */
export function resume<P extends PusherLike>(pusher: P, options: Options = {}): P & Resumable {
  const wrapped = pusher as P & Partial<Resumable>;
  if (wrapped.history) return wrapped as P & Resumable;

  const manager = pusher.connection;
  const emit = manager.emit.bind(manager);
  const send = pusher.send_event.bind(pusher);
  const unsubscribe = pusher.unsubscribe.bind(pusher);
  const states = new Map<string, State>();
  /** sockets are the IDs that the page has had, newest first. */
  const sockets: string[] = [];
  /** raw is the text of the message that pusher-js handles now. */
  let raw: string | undefined;
  /** waiting are those who have asked for a page, by the IDs of their requests. */
  const waiting: Settle[] = [];

  const ask = pager(states, waiting, send);
  wrapped.history = (name, page = {}) => ask(name, page, (event) => open(pusher.channel(name), event));

  const subscribe = (s: State) => {
    s.live = false;
    clearTimeout(s.timer);
    const asked = { v: 1, after: s.last, sockets: sockets.slice(1) };
    const sent = send('pusher:subscribe', { ...s.request, resume: asked });
    // Requests over plain HTTP get lost without a word.
    if (sent && s.known) s.timer = setTimeout(subscribe, answerWithin, s);
    return sent;
  };

  /** guard calls callbacks. One that throws keeps nothing from the rest of a batch. */
  const guard = (call: () => void) => {
    try {
      call();
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  };
  /** pass hands on to pusher-js. */
  const pass = (message: Message) => guard(() => emit('message', message));
  const tell = ({ name }: State, event: string, missed = 0) => {
    if (name[0] === '#') guard(() => pusher.user?.emit(event, { missed }));
    else pass({ event, channel: name, data: { missed } });
  };
  /** startAt says behind which position the channel starts. */
  const startAt = (s: State, pos: Position | undefined) => {
    s.last = pos;
    s.first = pos ? { until: pos } : undefined;
  };

  const rewind = async (s: State, limit = 0) => {
    if (!limit) return;
    const held: typeof s.held = (s.held = []);
    const page = await ask(s.name, { limit }, parse).catch(() => undefined);
    s.held = undefined;
    if (states.get(s.name) !== s) return;
    if (!page) tell(s, 'pusher:gap');
    page?.events.reverse().forEach(({ event, data, user_id, retracted, pos }, i) => {
      // A page of history ends before what is here by this.
      if (!i) s.first = { before: pos };
      if (!retracted) pass({ event, channel: s.name, data, user_id });
    });
    for (const [message, text] of held) receive(message, text);
  };

  const succeed = (s: State, message: Message, { resume: answer, pos }: Frame) => {
    clearTimeout(s.timer);
    const { known } = s;
    const resumed = answer?.status === 'resumed';
    s.live = !!answer;
    s.known ||= s.live;
    if (!resumed || !s.first) startAt(s, pos);
    // A request that was sent twice is answered twice.
    else if (pos && isAfter(pos, s.last!)) s.last = pos;
    pass(message);
    if (states.get(s.name) !== s) return;
    if (known) {
      tell(s, resumed ? 'pusher:resumed' : 'pusher:gap', answer?.missed);
    } else if (pos) {
      void rewind(s, options.rewind?.(s.name));
    }
  };

  const receive = (message: Message, text: string | undefined): void => {
    const { event, channel, data } = message;
    const s = channel && states.get(channel);
    const success = event === 'pusher_internal:subscription_succeeded';
    if (event === 'pusher_internal:history') {
      waiting[data.id]?.(data);
      return;
    }
    if (!s || !text || !(success || s.known)) {
      emit('message', message);
      return;
    }
    if (s.held) {
      s.held.push([message, text]);
      return;
    }
    const frame: Frame = JSON.parse(text);
    const { pos, prev } = frame;
    if (success) {
      succeed(s, message, frame);
      return;
    }
    if (event === 'pusher_internal:gap') {
      if (s.live) {
        startAt(s, pos);
        tell(s, 'pusher:gap');
      }
      return;
    }
    if (pos) {
      // What is withheld comes again behind the answer.
      if (!s.live) return;
      if (s.last && !follows(pos, prev, s.last)) {
        if (!isAfter(pos, s.last)) return;
        if (s.holes!++ < maxHoles) {
          subscribe(s);
          return;
        }
        tell(s, 'pusher:gap');
      }
      s.first ??= { before: pos };
      s.last = pos;
      s.holes = 0;
      if (event === 'pusher_internal:position') return;
    }
    // Refused for good, unless it was too often.
    if (event === 'pusher:subscription_error' && data?.status !== 429) clearTimeout(s.timer);
    pass(message);
  };

  const connected = () => {
    states.forEach((s) => {
      clearTimeout(s.timer);
      s.live = false;
      // Who was not rewound yet starts anew.
      if (s.held) states.delete(s.name);
    });
    waiting.forEach((settle) => settle());
    sockets.unshift(manager.socket_id);
    sockets.splice(maxSockets + 1);
    manager.connection!.transport.bind_global((_, message) => {
      raw = message?.data;
    });
  };

  manager.emit = (event: string, data?: any) => {
    if (event === 'connected') connected();
    if (event !== 'message') return emit(event, data);
    receive(data, raw);
    raw = undefined;
  };
  pusher.send_event = (event: string, data: any, channel?: string) => {
    if (event !== 'pusher:subscribe') return send(event, data, channel);
    const s: State = { ...states.get(data.channel), name: data.channel, request: data, holes: 0 };
    states.set(s.name, s);
    return subscribe(s);
  };
  pusher.unsubscribe = (name: string) => {
    unsubscribe(name);
    // One that is pending stays until it is answered, and may be wanted again by then.
    if (!pusher.channel(name)) {
      clearTimeout(states.get(name)?.timer);
      states.delete(name);
    }
  };

  if (options.storage) keep(options.storage, pusher.key, states, sockets);
  if (manager.connection) connected();
  return wrapped as P & Resumable;
}
