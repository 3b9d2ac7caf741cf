import type { Message, User } from './api'

export type Status = 'connecting' | 'connected' | 'reconnecting' | 'offline'

/** A message of this tab that the server has not confirmed yet. */
export interface Outgoing {
  clientId: string
  text: string
  state: 'pending' | 'failed'
  error: string
  /** The server was not reached: worth another try as soon as it is. */
  unreached: boolean
}

/** A line such as "Ada joined", shown after the messages that were there. */
export interface Notice {
  id: number
  after: number
  text: string
}

export interface RoomState {
  status: Status
  loading: boolean
  messages: Message[]
  notices: Notice[]
  outbox: Outgoing[]
  members: User[]
  typing: User[]
  /** Where older messages go on; empty if there are none. */
  older: string
  problem: string
}

export const emptyRoom: RoomState = {
  status: 'connecting',
  loading: true,
  messages: [],
  notices: [],
  outbox: [],
  members: [],
  typing: [],
  older: '',
  problem: '',
}

export const messageKey = (m: Message) => `${m.user_id}/${m.client_id}`

/** Adds messages, each once, in the order of the server's clock. */
export function mergeMessages(known: Message[], more: Message[]): Message[] {
  const all = new Map(known.map((m) => [messageKey(m), m]))
  for (const m of more) all.set(messageKey(m), m)
  return [...all.values()].sort((a, b) => a.sent_at - b.sent_at || (messageKey(a) < messageKey(b) ? -1 : 1))
}

const keptNotices = 50

export function addNotice(state: RoomState, text: string): Partial<RoomState> {
  const notice = { id: (state.notices.at(-1)?.id ?? 0) + 1, after: state.messages.at(-1)?.sent_at ?? 0, text }
  return { notices: [...state.notices, notice].slice(-keptNotices) }
}

export type Entry =
  | { kind: 'message'; message: Message }
  | { kind: 'notice'; notice: Notice }
  | { kind: 'day'; name: string }

const dayMs = 24 * 60 * 60_000

/** What to call the day of a time, in the user's own time zone. */
function dayName(time: number): string {
  const day = new Date(time).toDateString()
  const now = Date.now()
  if (day === new Date(now).toDateString()) return 'Today'
  if (day === new Date(now - dayMs).toDateString()) return 'Yesterday'
  return new Date(time).toLocaleDateString([], { weekday: 'long', day: 'numeric', month: 'long' })
}

/** Messages and notices as they are shown, with a line where a day begins. */
export function timeline(messages: Message[], notices: Notice[]): Entry[] {
  const entries: Entry[] = []
  let next = 0
  // Nobody needs to be told that what is here is from today.
  let day = 'Today'
  const noticesBefore = (time: number) => {
    for (let n = notices[next]; n && n.after < time; n = notices[++next]) entries.push({ kind: 'notice', notice: n })
  }
  for (const message of messages) {
    noticesBefore(message.sent_at)
    const name = dayName(message.sent_at)
    if (name !== day) entries.push({ kind: 'day', name })
    day = name
    entries.push({ kind: 'message', message })
  }
  noticesBefore(Infinity)
  return entries
}

/** The members in the order shown: oneself first, then by name. */
export function sortMembers(members: User[], me: User): User[] {
  const rank = (u: User) => (u.id === me.id ? 0 : 1)
  return [...members].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name, undefined, { numeric: true }) || (a.id < b.id ? -1 : 1))
}
