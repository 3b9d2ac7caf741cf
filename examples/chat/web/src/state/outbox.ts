import { postMessage } from '../api/calls'
import { ApiError, words } from '../api/request'
import type { FileInfo, Message, ReplyTo } from '../api/types'
import { Store } from './store'

/** A message that the server has not confirmed yet. It survives a reload. */
export interface Outgoing {
  /** Made here; the server knows by it what it has already. */
  clientId: string
  roomId: number
  text: string
  replyTo: ReplyTo | null
  file: FileInfo | null
  /** Milliseconds since 1970, rising within a tab. */
  at: number
  state: 'waiting' | 'failed'
  /** Why it is not sent yet, or why it will not be; "" at first. */
  problem: string
}

const backOffFirst = 1_000
const backOffMost = 15_000
/** What another tab has not sent by then is sent by this one too. */
const adoptAfter = 20_000

/**
 * Sends what was written, room by room in the order written, again and again until
 * the server has it or refuses it for good. What is in it lies in the storage of
 * the browser, where a reload or another tab finds it.
 */
export class Outbox extends Store<{ all: Outgoing[] }> {
  private readonly prefix: string
  private readonly timers = new Map<number, ReturnType<typeof setTimeout>>()
  private readonly delays = new Map<number, number>()
  private readonly sending = new Set<number>()
  private lastAt = 0
  private stopped = false

  constructor(
    userId: number,
    private readonly onSent: (message: Message) => void,
    private readonly storage: Storage = localStorage,
    private readonly post = postMessage,
  ) {
    super({ all: [] })
    this.prefix = `chat/outbox/${userId}/`
  }

  start() {
    this.stopped = false
    addEventListener('storage', this.storageChanged)
    this.adopt()
  }

  stop() {
    this.stopped = true
    removeEventListener('storage', this.storageChanged)
    for (const timer of this.timers.values()) clearTimeout(timer)
    this.timers.clear()
  }

  add(roomId: number, text: string, replyTo: ReplyTo | null, file: FileInfo | null) {
    this.lastAt = Math.max(Date.now(), this.lastAt + 1)
    const out: Outgoing = { clientId: newId(), roomId, text, replyTo, file, at: this.lastAt, state: 'waiting', problem: '' }
    this.keep(out)
    this.set({ all: [...this.get().all, out] })
    void this.run(roomId)
  }

  retry(clientId: string) {
    const out = this.get().all.find((o) => o.clientId === clientId)
    if (!out) return
    this.change(clientId, { state: 'waiting', problem: '' })
    this.kick(out.roomId)
  }

  discard(clientId: string) {
    this.forget(clientId)
  }

  /** Tries at once what waits: the connection is there again. */
  kickAll() {
    for (const roomId of new Set(this.get().all.map((o) => o.roomId))) this.kick(roomId)
  }

  /** A message came from the server: it is no longer to be sent. */
  arrived(message: Message) {
    this.forget(message.client_id)
  }

  private kick(roomId: number) {
    clearTimeout(this.timers.get(roomId))
    this.timers.delete(roomId)
    this.delays.delete(roomId)
    void this.run(roomId)
  }

  /** One at a time in a room: requests side by side may change places. */
  private async run(roomId: number) {
    if (this.sending.has(roomId) || this.timers.has(roomId)) return
    this.sending.add(roomId)
    try {
      for (let out = this.next(roomId); out && !this.stopped; out = this.next(roomId)) {
        if (!(await this.send(out))) break
      }
    } finally {
      this.sending.delete(roomId)
    }
  }

  private next(roomId: number) {
    return this.get().all.find((o) => o.roomId === roomId && o.state === 'waiting')
  }

  /** Says whether to go on with the next one. */
  private async send(out: Outgoing): Promise<boolean> {
    try {
      const { message } = await this.post(out.roomId, {
        client_id: out.clientId,
        message: out.text,
        reply_to: out.replyTo?.id,
        file_id: out.file?.id,
      })
      this.delays.delete(out.roomId)
      this.onSent(message)
      this.forget(out.clientId)
      return true
    } catch (err) {
      // Signed out: what is here waits for the same user to come back.
      if (this.stopped || (err instanceof ApiError && err.status === 401)) return false
      if (err instanceof ApiError && err.temporary) {
        const delay = this.delays.get(out.roomId) ?? backOffFirst
        this.delays.set(out.roomId, Math.min(delay * 2, backOffMost))
        const wait = err.retryAfter ? err.retryAfter * 1_000 : delay * (0.75 + Math.random() / 2)
        // An outage is told by the page's banner; a limit is about this message.
        if (err.status === 429) this.change(out.clientId, { problem: err.message })
        this.timers.set(out.roomId, setTimeout(() => this.again(out.roomId), wait))
        return false
      }
      this.change(out.clientId, { state: 'failed', problem: words(err) })
      return true
    }
  }

  private again(roomId: number) {
    this.timers.delete(roomId)
    void this.run(roomId)
  }

  private change(clientId: string, change: Partial<Outgoing>) {
    const all = this.get().all.map((o) => (o.clientId === clientId ? { ...o, ...change } : o))
    this.set({ all })
    const out = all.find((o) => o.clientId === clientId)
    if (out) this.keep(out)
  }

  private keep(out: Outgoing) {
    try {
      this.storage.setItem(this.prefix + out.clientId, JSON.stringify(out))
    } catch {
      // A full or forbidden storage: it is sent all the same, but does not survive a reload.
    }
  }

  private forget(clientId: string) {
    if (!clientId) return
    this.storage.removeItem(this.prefix + clientId)
    const { all } = this.get()
    if (all.some((o) => o.clientId === clientId)) this.set({ all: all.filter((o) => o.clientId !== clientId) })
  }

  /** Takes over what lies in the storage: of this tab before a reload, or of one that is gone. */
  private adopt = () => {
    if (this.stopped) return
    const known = new Set(this.get().all.map((o) => o.clientId))
    const found: Outgoing[] = []
    for (let i = 0; i < this.storage.length; i++) {
      const key = this.storage.key(i)!
      if (!key.startsWith(this.prefix)) continue
      const out = parse(this.storage.getItem(key))
      if (out && !known.has(out.clientId)) found.push(out)
    }
    if (found.length === 0) return
    this.set({ all: [...this.get().all, ...found].sort((a, b) => a.at - b.at) })
    for (const roomId of new Set(found.map((o) => o.roomId))) void this.run(roomId)
  }

  private storageChanged = (event: StorageEvent) => {
    if (!event.key?.startsWith(this.prefix)) return
    if (event.newValue === null) this.forget(event.key.slice(this.prefix.length))
    else setTimeout(this.adopt, adoptAfter)
  }
}

/** A name that no other message has. Not randomUUID, which pages over plain HTTP do not have. */
function newId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(12)), (b) => b.toString(16).padStart(2, '0')).join('')
}

function parse(text: string | null): Outgoing | null {
  try {
    const out = JSON.parse(text ?? 'null') as Outgoing | null
    return out && typeof out.clientId === 'string' && typeof out.roomId === 'number' && typeof out.text === 'string' ? out : null
  } catch {
    return null
  }
}
