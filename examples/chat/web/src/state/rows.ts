import type { Message } from '../api/types'
import type { Outgoing } from './outbox'
import type { Timeline } from './timeline'

/** What the list of a room shows, from top to bottom. */
export type Row =
  | { kind: 'more'; key: string }
  | { kind: 'start'; key: string }
  | { kind: 'day'; key: string; label: string }
  | { kind: 'new'; key: string }
  | { kind: 'system'; key: string; message: Message }
  | { kind: 'message'; key: string; message: Message; head: boolean }
  | { kind: 'unsent'; key: string; out: Outgoing; head: boolean }

/** Messages of one author this close are a burst, under one name. */
const burstWithin = 5 * 60_000
const dayMs = 24 * 60 * 60_000

/** One name for a message from the moment it is typed, so that nothing is drawn anew when the server has it. */
export const messageKey = (sender: number, clientId: string, id: number) => (clientId ? `${sender}/${clientId}` : `#${id}`)

export function rowsOf(t: Timeline, outbox: Outgoing[], me: number, unreadFrom: number | null): Row[] {
  const rows: Row[] = [t.hasBefore ? { kind: 'more', key: 'more' } : { kind: 'start', key: 'start' }]
  let day = ''
  let before: Message | null = null
  let marked = unreadFrom === null
  for (const message of t.messages) {
    const today = new Date(message.created_at).toDateString()
    let apart = before === null || before.type === 'system'
    if (today !== day) {
      rows.push({ kind: 'day', key: `day ${today}`, label: dayLabel(message.created_at) })
      day = today
      apart = true
    }
    if (!marked && message.id > unreadFrom! && message.sender_id !== me) {
      rows.push({ kind: 'new', key: 'new' })
      marked = true
      apart = true
    }
    const key = messageKey(message.sender_id, message.client_id, message.id)
    if (message.type === 'system') {
      rows.push({ kind: 'system', key: `#${message.id}`, message })
    } else {
      const head = apart || before!.sender_id !== message.sender_id || message.reply_to !== null || since(before!, message) >= burstWithin
      rows.push({ kind: 'message', key, message, head })
    }
    before = message
  }
  // What is not sent yet comes after all that is.
  if (!t.hasAfter) {
    let head = before === null || before.type === 'system' || before.sender_id !== me || Date.now() - Date.parse(before.created_at) >= burstWithin
    for (const out of outbox) {
      rows.push({ kind: 'unsent', key: messageKey(me, out.clientId, 0), out, head: head || out.replyTo !== null })
      head = false
    }
  }
  return rows
}

const since = (a: Message, b: Message) => Date.parse(b.created_at) - Date.parse(a.created_at)

const longDay = new Intl.DateTimeFormat([], { weekday: 'long', day: 'numeric', month: 'long' })
const otherYear = new Intl.DateTimeFormat([], { weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' })

/** What to call the day of a time, in the reader's own time zone. */
export function dayLabel(time: string, now = Date.now()): string {
  const date = new Date(time)
  const day = date.toDateString()
  if (day === new Date(now).toDateString()) return 'Today'
  if (day === new Date(now - dayMs).toDateString()) return 'Yesterday'
  return date.getFullYear() === new Date(now).getFullYear() ? longDay.format(date) : otherYear.format(date)
}
