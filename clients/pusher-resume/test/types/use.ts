// What users write has to compile: with the types of the newest pusher-js and Echo,
// as an ES module and, by its copy, as CommonJS.

import Echo from 'laravel-echo';
import Pusher from 'pusher-js';
import { resume, type HistoryEvent, type HistoryPage, type Told } from '@carillon-rt/pusher-resume';

const pusher = resume(new Pusher('app-key', { cluster: '' }), {
  storage: sessionStorage,
  rewind: (channel) => (channel.startsWith('room-') ? 20 : 0),
});
pusher.subscribe('room-1').bind('pusher:gap', ({ missed }: Told) => missed.toFixed());
export const page: Promise<HistoryPage> = pusher.history('room-1', { limit: 20 });
export const older = page.then(({ events }) => pusher.history('room-1', { before: events.at(-1)!.pos }));
export const time = (event: HistoryEvent) => new Date(event.time);
export const echo = new Echo({ broadcaster: 'pusher', client: pusher });
resume(echo.connector.pusher);
// @ts-expect-error: limit is a number.
void pusher.history('room-1', { limit: '20' });
