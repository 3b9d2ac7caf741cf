// Positions of a channel's events: an epoch, a colon, and an offset that may pass
// 2^53. Epochs are ordered as their texts are.

/** Position is where an event stands in its channel's history: to be kept, not to be read. */
export type Position = string;

const offset = /\d+$/;
const sortable = (p: Position) => p.replace(offset, (n) => n.padStart(20, '0'));
const start = (p: Position) => p.replace(offset, '0');

/** isAfter tells whether a comes after b. */
export const isAfter = (a: Position, b: Position): boolean => sortable(a) > sortable(b);

/**
 * follows tells whether nothing lies between last and the event at pos, which names
 * the position before it unless that is the offset before. The first event of an
 * epoch may name the last one of the epoch before.
 */
export const follows = (pos: Position, prev: Position | undefined, last: Position): boolean =>
  (prev ?? pos.replace(offset, (n) => `${BigInt(n) - 1n}`)) === last ||
  (!!prev && start(pos) === last && start(prev) !== last);
