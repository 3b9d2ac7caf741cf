import type Echo from 'laravel-echo'
import { ApiError, postMessage, readMessages, type Message, type User } from './api'
import { connect } from './echo'
import { addNotice, emptyRoom, mergeMessages, messageKey, sortMembers, type Outgoing, type RoomState } from './state'

const channelName = 'room-lobby'
/** A channel of its own, which keeps no history. */
const typingChannel = 'typing-lobby'
const typingEvery = 2_000
const typingLasts = 4_000
/** How long those who were here before a lost connection have to come back. */
const returnWithin = 10_000
/** pusher-js alone waits up to 15 s for its next try, and asks for authorization once per connection. */
const retryFirst = 2_000
const retryMost = 15_000
const pageSize = 50
/** The server keeps 200 messages. */
const catchUpPages = 4

/** The room as one tab sees it. Give its state to useSyncExternalStore. */
export class Room {
  private state: RoomState = emptyRoom
  private listeners = new Set<() => void>()
  private echo: Echo<'pusher'> | null = null
  private joined = false
  /** Who was here when the connection was lost and is not back yet. */
  private returning = new Map<string, User>()
  private returnTimer = 0
  private retryTimer = 0
  private retryDelay = retryFirst
  private typingTimers = new Map<string, number>()
  private typedAt = 0
  /** Ends when all that was sent before is answered. */
  private sent = Promise.resolve()

  constructor(
    readonly me: User,
    private readonly onSignedOut: () => void,
  ) {}

  subscribe = (listener: () => void) => {
    this.listeners.add(listener)
    return () => this.listeners.delete(listener)
  }

  snapshot = () => this.state

  private set(change: Partial<RoomState>) {
    this.state = { ...this.state, ...change }
    for (const listener of this.listeners) listener()
  }

  start() {
    const echo = connect()
    this.echo = echo
    echo.connector.onConnectionChange(() => this.connectionChanged())
    echo
      .join(channelName)
      .here((members: User[]) => this.entered(members))
      .joining((user: User) => this.memberJoined(user))
      .leaving((user: User) => this.memberLeft(user))
      .error((err: { status?: number; error?: string }) => this.refused(err))
      .listen('message', (message: Message) => this.received(message))
    echo
      .join(typingChannel)
      .listenForWhisper('typing', (data: { active?: boolean }, from: { user_id?: string }) =>
        this.memberTyping(from.user_id ?? '', data.active === true),
      )
    addEventListener('online', this.connectionChanged)
    addEventListener('offline', this.connectionChanged)
    void this.catchUp()
  }

  stop() {
    removeEventListener('online', this.connectionChanged)
    removeEventListener('offline', this.connectionChanged)
    clearTimeout(this.returnTimer)
    for (const timer of this.typingTimers.values()) clearTimeout(timer)
    this.typingTimers.clear()
    clearTimeout(this.retryTimer)
    this.retryTimer = 0
    this.joined = false
    const echo = this.echo
    this.echo = null
    echo?.disconnect()
  }

  /** Connects now rather than at the next turn. */
  reconnect() {
    clearTimeout(this.retryTimer)
    this.retryTimer = 0
    this.echo?.disconnect()
    this.echo?.connector.pusher.connect()
  }

  /** Reconnects in a while unless the room has been entered by then. */
  private retryLater() {
    if (this.retryTimer) return
    // Spread, so that not everybody comes back at once.
    this.retryTimer = window.setTimeout(() => this.reconnect(), this.retryDelay * (0.75 + Math.random() / 2))
    this.retryDelay = Math.min(this.retryDelay * 2, retryMost)
  }

  private connectionChanged = () => {
    const status = this.echo?.connectionStatus()
    if (status === undefined) return
    if (status !== 'connected' && this.joined) {
      this.joined = false
      clearTimeout(this.returnTimer)
      for (const m of this.state.members) this.returning.set(m.id, m)
      this.set({ typing: [] })
    }
    if (!this.joined) this.retryLater()
    if (!navigator.onLine || status === 'failed') this.set({ status: 'offline' })
    // Connected is who has also entered the room: see entered.
    else if (this.joined) this.set({ status: 'connected' })
    else if (this.state.status !== 'connecting') this.set({ status: 'reconnecting' })
  }

  /** Runs after each subscription: the first and those after a lost connection. */
  private entered(members: User[]) {
    this.joined = true
    clearTimeout(this.retryTimer)
    this.retryTimer = 0
    this.retryDelay = retryFirst
    for (const m of members) this.returning.delete(m.id)
    clearTimeout(this.returnTimer)
    this.returnTimer = window.setTimeout(() => {
      for (const m of this.returning.values()) this.set(addNotice(this.state, `${m.name} left`))
      this.returning.clear()
    }, returnWithin)
    this.set({ members: sortMembers(members, this.me), status: 'connected', problem: '' })
    void this.catchUp()
    void this.resend()
  }

  private memberJoined(user: User) {
    this.set({ members: sortMembers([...this.state.members.filter((m) => m.id !== user.id), user], this.me) })
    if (!this.returning.delete(user.id)) this.set(addNotice(this.state, `${user.name} joined`))
  }

  private memberLeft(user: User) {
    this.memberTyping(user.id, false)
    this.set({ members: this.state.members.filter((m) => m.id !== user.id), ...addNotice(this.state, `${user.name} left`) })
  }

  private refused(err: { status?: number; error?: string }) {
    if (err.status === 401) return this.onSignedOut()
    this.set({ problem: `The room cannot be entered: ${err.error ?? 'unknown error'}` })
    this.retryLater()
  }

  private received(message: Message) {
    this.memberTyping(message.user_id, false)
    this.set({ messages: mergeMessages(this.state.messages, [message]) })
  }

  private memberTyping(userId: string, active: boolean) {
    clearTimeout(this.typingTimers.get(userId))
    this.typingTimers.delete(userId)
    const user = this.state.members.find((m) => m.id === userId)
    const others = this.state.typing.filter((m) => m.id !== userId)
    if (active && user && userId !== this.me.id) {
      this.typingTimers.set(userId, window.setTimeout(() => this.memberTyping(userId, false), typingLasts))
      this.set({ typing: [...others, user] })
    } else if (others.length !== this.state.typing.length) {
      this.set({ typing: others })
    }
  }

  /** Reads the newest messages, back to the first that is known already. */
  private async catchUp() {
    const known = new Set(this.state.messages.map(messageKey))
    let before = ''
    try {
      for (let i = 0; i < catchUpPages; i++) {
        const page = await readMessages(before, pageSize)
        const messages = mergeMessages(this.state.messages, page.messages)
        this.set(known.size === 0 ? { messages, older: page.next } : { messages })
        before = page.next
        if (!before || known.size === 0 || page.messages.some((m) => known.has(messageKey(m)))) break
      }
      this.set({ loading: false, problem: '' })
    } catch (err) {
      this.failed(err, 'Messages cannot be loaded')
    }
  }

  async loadOlder() {
    const before = this.state.older
    if (!before || this.state.loading) return
    this.set({ loading: true })
    try {
      const page = await readMessages(before, pageSize)
      this.set({ messages: mergeMessages(this.state.messages, page.messages), older: page.next, loading: false })
    } catch (err) {
      // 410: what comes before is no longer kept.
      if (err instanceof ApiError && err.status === 410) this.set({ older: '', loading: false })
      else this.failed(err, 'Older messages cannot be loaded')
    }
  }

  private failed(err: unknown, what: string) {
    if (err instanceof ApiError && err.status === 401) this.onSignedOut()
    else this.set({ loading: false, problem: `${what}: ${err instanceof Error ? err.message : String(err)}` })
  }

  send(text: string) {
    this.typed(false)
    const id = crypto.getRandomValues(new Uint8Array(12))
    const clientId = Array.from(id, (b) => b.toString(16).padStart(2, '0')).join('')
    this.set({ outbox: [...this.state.outbox, { clientId, text, state: 'pending', error: '', unreached: false }] })
    void this.post(clientId, text)
  }

  retry(clientId: string) {
    const out = this.state.outbox.find((o) => o.clientId === clientId && o.state === 'failed')
    if (!out) return
    this.mark(clientId, { state: 'pending', error: '' })
    return this.post(clientId, out.text)
  }

  discard(clientId: string) {
    this.set({ outbox: this.state.outbox.filter((o) => o.clientId !== clientId) })
  }

  private async resend() {
    for (const out of this.state.outbox) if (out.unreached) await this.retry(out.clientId)
  }

  private mark(clientId: string, change: Partial<Outgoing>) {
    this.set({ outbox: this.state.outbox.map((o) => (o.clientId === clientId ? { ...o, ...change } : o)) })
  }

  /** Posts after what was sent before: requests side by side may change places. */
  private post(clientId: string, text: string) {
    this.sent = this.sent.then(() => this.postNow(clientId, text))
    return this.sent
  }

  private async postNow(clientId: string, text: string) {
    try {
      const { message, duplicate } = await postMessage(text, clientId, this.echo?.socketId())
      this.received(message)
      this.discard(clientId)
      // The first try did arrive, at a time that only the history knows.
      if (duplicate) await this.catchUp()
    } catch (err) {
      const unreached = err instanceof ApiError && err.status === 0
      this.mark(clientId, { state: 'failed', unreached, error: err instanceof Error ? err.message : String(err) })
      if (err instanceof ApiError && err.status === 401) this.onSignedOut()
    }
  }

  /** Tells the others that the user is typing, or has stopped. */
  typed(active: boolean) {
    const now = Date.now()
    if (!this.joined || (active ? now - this.typedAt < typingEvery : this.typedAt === 0)) return
    this.typedAt = active ? now : 0
    this.echo?.join(typingChannel).whisper('typing', { active })
  }
}
