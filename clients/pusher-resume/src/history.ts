// Pages of the past.

import type { State } from './state.js';
import type { Channel, HistoryEvent, HistoryOptions, HistoryPage } from './types.js';

/** Settle takes a page or what an error says; nothing if there is no answer. */
export type Settle = (answer?: HistoryPage & { error?: string }) => void;

const answerWithin = 10_000;

type View = (event: HistoryEvent) => HistoryEvent;

/** parse does with an event's data as pusher-js does. */
export const parse: View = (event) => {
  try {
    event.data = JSON.parse(event.data);
  } catch {
    // It is a text.
  }
  return event;
};

/** open gives an event's data as callbacks get it: a channel opens what is sealed, and emits it. */
export const open = (channel: Channel | undefined, sealed: HistoryEvent): HistoryEvent => {
  const event = parse(sealed);
  const borrowed = {
    __proto__: channel,
    emit: (_: string, opened: any) => (event.data = opened),
    // Asking for another key takes longer than a page may.
    authorize() {},
  } as unknown as Partial<Channel>;
  borrowed.handleEvent?.(event);
  return event;
};

/** pager returns how to ask for a page. waiting gets who has asked, by the IDs of the requests. */
export const pager =
  (states: Map<string, State>, waiting: Settle[], send: (event: string, data: object) => boolean) =>
  (channel: string, { before, limit }: HistoryOptions, view: View) =>
    new Promise<HistoryPage>((resolve, reject) => {
      const settle: Settle = (answer) => {
        clearTimeout(timer);
        delete waiting[id];
        if (answer?.events) resolve({ events: answer.events.map(view), more: answer.more });
        else reject(Object.assign(new Error(answer?.error ?? `no history of ${channel}`), answer));
      };
      const timer = setTimeout(settle, answerWithin);
      const id = waiting.push(settle) - 1;
      const s = states.get(channel);
      // Who does not speak this may close a connection over an event that it does not know.
      const sent = s?.live && send('pusher:history', { id, channel, limit, ...(before ? { before } : s.first) });
      if (!sent) settle();
    });
