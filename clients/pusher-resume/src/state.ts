import type { Position } from './position.js';

/** State is what is known of a channel, by its name: pusher-js makes some channels anew. */
export interface State {
  name: string;
  /** last is the position that the next event has to follow. */
  last?: Position | undefined;
  /** first says which events came before the first that was delivered. */
  first?: { until: Position } | { before: Position } | undefined;
  /** known: the server has answered before, so that a start without a position is a gap. */
  known?: boolean;
  /** live: the server has answered, and nothing was lost since. */
  live?: boolean;
  /** request is the subscribe that pusher-js sent. */
  request?: object;
  /** timer runs while an answer is due. */
  timer?: ReturnType<typeof setTimeout>;
  /** holes counts those in a row that new answers have not closed. */
  holes?: number;
  /** held is what waits until the channel is rewound. */
  held?: [Message, string][] | undefined;
}

/** Message is a frame as pusher-js takes it apart. */
export interface Message {
  event: string;
  channel?: string;
  data?: any;
  user_id?: string | undefined;
}
