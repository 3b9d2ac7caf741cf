import type { Position } from './position.js';

interface Emitter {
  emit(event: string, data?: any, metadata?: any): any;
}

interface Connection {
  transport: { bind_global(callback: (event: string, data: any) => void): any };
}

interface ConnectionManager extends Emitter {
  connection: Connection | null;
  socket_id: string;
}

/** Channel is what resume uses of a channel of pusher-js. */
export interface Channel extends Emitter {
  handleEvent(message: any): any;
}

/** PusherLike is what resume uses of a Pusher, which every pusher-js since 4.4 has. */
export interface PusherLike {
  key: string;
  connection: ConnectionManager;
  channel(name: string): Channel | undefined;
  send_event(event: string, data: any, channel?: string): boolean;
  unsubscribe(name: string): void;
  user?: Emitter;
}

export interface Options {
  /**
   * Where to keep positions over reloads: `sessionStorage`, which is of one tab.
   * They are written when the page is left and taken when it is back, so that a
   * duplicate of the tab has none. Without it a reload starts anew.
   */
  storage?: Pick<Storage, 'getItem' | 'setItem' | 'removeItem'> | undefined;
  /**
   * How many past events a channel starts with, 100 at most; none by default. They
   * arrive as if they were live, oldest first, before what is live, and not again
   * when the channel resumes.
   */
  rewind?: ((channel: string) => number) | undefined;
}

export interface HistoryEvent {
  /** The event's name. */
  event: string;
  /** As callbacks get it: parsed and, on encrypted channels, opened. What no key at hand opens stays sealed. */
  data: any;
  /** Who sent it, if a member of a presence channel did. */
  user_id?: string;
  id: string;
  /** When it was published, RFC 3339. */
  time: string;
  /** How often it was amended since, if it was. */
  version?: number;
  /** It was retracted since, and its data is empty. */
  retracted?: boolean;
  /** To ask for what came before it. */
  pos: Position;
}

export interface HistoryPage {
  /** Newest first. */
  events: HistoryEvent[];
  /** Whether there are older ones. */
  more: boolean;
}

export interface HistoryOptions {
  /** The `pos` of the oldest event that is here already. */
  before?: Position | undefined;
  /** 50 by default, 100 at most. */
  limit?: number | undefined;
}

export interface Resumable {
  /**
   * history reads past events of a channel that is subscribed: with `before`, those
   * before that event; without, those before the first that came or comes live, so
   * that together nothing is missing and nothing is there twice.
   *
   * It rejects with an Error that has the server's `status` (403 not allowed, 404
   * lost, 429 too often), or without one if the channel has no resume or the
   * connection is lost.
   */
  history(channel: string, options?: HistoryOptions): Promise<HistoryPage>;
}

/** Told is what `pusher:resumed` and `pusher:gap` come with. */
export interface Told {
  /** How many missed events follow; 0 where the server cannot know. */
  missed: number;
}
