import type { Message, Page } from '../api/types'

/** Messages of a room that follow each other without a hole, oldest first. */
export interface Timeline {
  messages: Message[]
  hasBefore: boolean
  /** There are newer ones than these: the reader has jumped back. */
  hasAfter: boolean
}

export const nothing: Timeline = { messages: [], hasBefore: false, hasAfter: false }

/** Puts messages to those known, each once, in the order of their ids, which is the room's. */
export function merge(known: Message[], more: Message[]): Message[] {
  if (more.length === 0) return known
  const last = known.at(-1)
  // What comes is nearly always newer than all that is there.
  if (more.length === 1 && (!last || more[0]!.id > last.id)) return [...known, more[0]!]
  const all = new Map(known.map((m) => [m.id, m]))
  for (const m of more) all.set(m.id, newer(all.get(m.id), m))
  return [...all.values()].sort((a, b) => a.id - b.id)
}

/** The later state of one message. */
function newer(known: Message | undefined, m: Message): Message {
  return known && known.rev > m.rev ? known : m
}

/** Says whether a message is older than all that are shown, which do not go back to it. */
export function isBefore(t: Timeline, m: Message): boolean {
  return t.hasBefore && m.id < (t.messages[0]?.id ?? 0)
}

/**
 * A message came live: it is shown only where it follows what is there. One that is said
 * again, since what it answers is gone, may be older than that.
 */
export function arrived(t: Timeline, m: Message): Timeline {
  const known = t.messages.some((k) => k.id === m.id)
  if ((t.hasAfter && !known) || isBefore(t, m)) return t
  return { ...t, messages: merge(t.messages, [m]) }
}

/** A message is another now. One that is not shown is none of the reader's business. */
export function changed(t: Timeline, m: Message): Timeline {
  const i = t.messages.findIndex((k) => k.id === m.id)
  const known = t.messages[i]
  let messages = t.messages
  if (known && known.rev <= m.rev) messages = messages.with(i, m)
  // Quotes of it say what it says now.
  const quote = m.deleted_at ? '' : m.message.slice(0, 200)
  messages = messages.map((k) =>
    k.reply_to?.id === m.id && (k.reply_to.message !== quote || k.reply_to.deleted !== (m.deleted_at !== null))
      ? { ...k, reply_to: { ...k.reply_to, message: quote, deleted: m.deleted_at !== null } }
      : k,
  )
  return messages === t.messages ? t : { ...t, messages }
}

export const withOlder = (t: Timeline, page: Page): Timeline => ({
  ...t,
  messages: merge(t.messages, page.messages),
  hasBefore: page.has_before,
})

export const withNewer = (t: Timeline, page: Page): Timeline => ({
  ...t,
  messages: merge(t.messages, page.messages),
  hasAfter: page.has_after,
})

export const fromPage = (page: Page): Timeline => ({
  messages: merge([], page.messages),
  hasBefore: page.has_before,
  hasAfter: page.has_after,
})
