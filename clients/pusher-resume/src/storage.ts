// Positions over reloads.

import type { State } from './state.js';
import type { Options } from './types.js';

/** keep takes what the page before has left, and leaves it when the page goes. */
export const keep = (
  storage: NonNullable<Options['storage']>,
  app: string,
  states: Map<string, State>,
  sockets: string[],
) => {
  const key = `pusher-resume:${app}`;
  const take = () => storage.removeItem(key);
  try {
    const [ids, positions] = JSON.parse(storage.getItem(key)!);
    take();
    sockets.push(...ids);
    for (const [name, last] of positions) states.set(name, { name, last, known: true });
  } catch {
    // Nothing was left, or not by this, or the browser keeps its storage to itself.
  }
  globalThis.addEventListener?.('pagehide', () => {
    const positions = [...states.values()].filter((s) => s.known).map((s) => [s.name, s.last]);
    storage.setItem(key, JSON.stringify([sockets, positions]));
  });
  // The page has come back with all that it knew.
  globalThis.addEventListener?.('pageshow', take);
};
