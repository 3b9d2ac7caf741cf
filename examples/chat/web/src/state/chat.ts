import { getRooms, markRead, setLooking } from '../api/calls'
import { words } from '../api/request'
import type { Message, ReadState, Room, Session, User } from '../api/types'
import {
  closeConnection,
  configureConnection,
  listenToMessages,
  listenToRoomEvent,
  listenToUserEvent,
  onConnectionStatus,
  openConnection,
  onRoomEntered,
  socketId,
} from '@/lib/websocket'
import { Conversation } from './conversation'
import { Outbox } from './outbox'
import { navigate, roomPath } from './route'
import { Store } from './store'

const readAfter = 400
/** Rooms that stay ready to be looked at again. */
const keptConversations = 6

export interface Notice {
  id: number
  text: string
  /** Of a notice that asks for nothing and goes by itself. */
  passing: boolean
}

export interface ChatState {
  rooms: Room[]
  loaded: boolean
  problem: string
  roomId: number | null
  notices: Notice[]
}

/** All that one signed-in user sees in one tab. */
export class Chat extends Store<ChatState> {
  readonly me: User
  readonly outbox: Outbox
  private readonly conversations = new Map<number, Conversation>()
  private stops: (() => void)[] = []
  private readonly roomStops = new Map<number, () => void>()
  private readTimer: ReturnType<typeof setTimeout> | undefined
  private readonly toRead = new Map<number, number>()
  private lastNotice = 0
  private reloading = false
  private running = false

  constructor(
    readonly session: Session,
    user: User,
  ) {
    super({ rooms: [], loaded: false, problem: '', roomId: null, notices: [] })
    this.me = user
    this.outbox = new Outbox(user.id, (message) => this.sent(message))
  }

  start() {
    this.running = true
    const { realtime } = this.session
    configureConnection({
      key: realtime.key,
      path: realtime.path,
      authEndpoint: realtime.auth_endpoint,
      userAuthEndpoint: realtime.user_auth_endpoint,
    })
    this.stops = [
      listenToUserEvent<{ room: Room }>('room-added', ({ room }) => this.put(room)),
      listenToUserEvent<{ room_id: number; message: string; reason: string }>('room-removed', (gone) => {
        this.remove(gone.room_id)
        if (gone.reason === 'removed') this.notify(gone.message, false)
      }),
      listenToUserEvent<ReadState>('room-read', (read) => this.change(read.room_id, read)),
      onConnectionStatus((status) => {
        if (status !== 'connected') return
        this.outbox.kickAll()
        this.tellLooking()
      }),
    ]
    openConnection()
    document.addEventListener('visibilitychange', this.tellLooking)
    addEventListener('focus', this.tellLooking)
    addEventListener('blur', this.tellLooking)
    this.outbox.start()
    void this.reload()
    if ('Notification' in window && Notification.permission === 'granted') {
      import('../notifications/push').then((push) => push.renew()).catch(() => undefined)
    }
  }

  stop() {
    this.running = false
    document.removeEventListener('visibilitychange', this.tellLooking)
    removeEventListener('focus', this.tellLooking)
    removeEventListener('blur', this.tellLooking)
    clearTimeout(this.readTimer)
    this.outbox.stop()
    for (const stop of this.stops) stop()
    for (const stop of this.roomStops.values()) stop()
    for (const conversation of this.conversations.values()) conversation.stop()
    this.roomStops.clear()
    this.conversations.clear()
    closeConnection()
  }

  /** Reads the list of rooms; what is known stays if that fails. */
  async reload() {
    if (this.reloading) return
    this.reloading = true
    try {
      const { rooms } = await getRooms()
      if (!this.running) return
      this.set({ rooms: sorted(rooms), loaded: true, problem: '' })
      for (const room of rooms) this.follow(room)
      for (const id of this.roomStops.keys()) if (!rooms.some((r) => r.id === id && r.joined && !r.full)) this.unfollow(id)
    } catch (err) {
      this.set({ problem: words(err) })
    } finally {
      this.reloading = false
    }
  }

  room(id: number | null): Room | undefined {
    return this.get().rooms.find((r) => r.id === id)
  }

  /** The conversation of a joined room, which begins when it is first asked for. */
  conversation(room: Room, messageId?: number): Conversation {
    let conversation = this.conversations.get(room.id)
    if (conversation && !conversation.get().refused) {
      this.conversations.delete(room.id)
      this.conversations.set(room.id, conversation)
      if (messageId) void conversation.jumpTo(messageId)
      return conversation
    }
    conversation?.stop()
    conversation = new Conversation(room, this.me, (m) => this.outbox.arrived(m), this.read)
    this.conversations.set(room.id, conversation)
    conversation.start(messageId)
    const [oldest] = this.conversations.keys()
    if (this.conversations.size > keptConversations && oldest !== undefined) {
      this.conversations.get(oldest)?.stop()
      this.conversations.delete(oldest)
    }
    return conversation
  }

  /** A room that was made, joined or changed. */
  put(room: Room) {
    const { rooms } = this.get()
    this.set({ rooms: sorted([...rooms.filter((r) => r.id !== room.id), room]), loaded: true })
    if (room.joined) this.follow(room)
    else this.unfollow(room.id)
  }

  change(id: number, change: Partial<Room>) {
    this.set({ rooms: sorted(this.get().rooms.map((r) => (r.id === id ? { ...r, ...change } : r))) })
  }

  /** A room that this user is no longer in: an open one stays to be joined again. */
  remove(id: number) {
    this.unfollow(id)
    const room = this.room(id)
    const rooms = this.get().rooms.filter((r) => r.id !== id)
    this.set({ rooms: sorted(room?.kind === 'open' ? [...rooms, { ...room, joined: false, unread: 0, mentions: 0, last: null }] : rooms) })
    if (this.get().roomId === id) this.set({ roomId: null })
  }

  /** Tries again to get into a room that the server has refused. */
  async retry(id: number) {
    this.unfollow(id)
    await this.reload()
    navigate(roomPath(id), 'replace')
  }

  notify(text: string, passing = true) {
    const id = ++this.lastNotice
    this.set({ notices: [...this.get().notices, { id, text, passing }].slice(-3) })
    if (passing) setTimeout(() => this.dismiss(id), 6_000)
  }

  dismiss(id: number) {
    this.set({ notices: this.get().notices.filter((n) => n.id !== id) })
  }

  private sent(message: Message) {
    this.conversations.get(message.room_id)?.sent(message)
    this.lastIs(message)
  }

  private follow(room: Room) {
    if (!room.joined || room.full || this.roomStops.has(room.id)) return
    const options = { private: room.kind !== 'open' }
    const stops = [
      listenToMessages<Message>(room.id, (message) => this.received(message), options),
      listenToRoomEvent<{ name: string; topic: string; members: number }>(
        room.id,
        'room-changed',
        ({ name, topic, members }) => this.change(room.id, room.kind === 'direct' ? { members } : { name, topic, members }),
        options,
      ),
      onRoomEntered(room.id, (how) => how === 'gap' && void this.reload(), options),
    ]
    this.roomStops.set(room.id, () => {
      for (const stop of stops) stop()
    })
  }

  private unfollow(id: number) {
    this.roomStops.get(id)?.()
    this.roomStops.delete(id)
    this.conversations.get(id)?.stop()
    this.conversations.delete(id)
  }

  private received(message: Message) {
    const room = this.room(message.room_id)
    if (!room || message.id <= (room.last?.id ?? 0)) return
    this.outbox.arrived(message)
    const unread = message.sender_id !== this.me.id && message.type !== 'system' && message.id > room.read_id
    this.lastIs(message)
    if (!unread) return
    this.change(room.id, {
      unread: this.room(room.id)!.unread + 1,
      mentions: this.room(room.id)!.mentions + (message.mentions.includes(this.me.id) ? 1 : 0),
    })
  }

  private lastIs(m: Message) {
    if ((this.room(m.room_id)?.last?.id ?? 0) > m.id) return
    this.change(m.room_id, {
      last: { id: m.id, sender_name: m.sender_name, message: m.message, type: m.type, created_at: m.created_at },
    })
  }

  /** The reader has seen everything up to a message. */
  private read = (roomId: number, messageId: number) => {
    const room = this.room(roomId)
    if (!room || (room.read_id >= messageId && room.unread === 0)) return
    this.toRead.set(roomId, messageId)
    this.change(roomId, { read_id: Math.max(room.read_id, messageId), unread: 0, mentions: 0 })
    clearTimeout(this.readTimer)
    this.readTimer = setTimeout(() => this.flushRead(), readAfter)
  }

  private flushRead() {
    // What cannot be told now is told with the next message that is read.
    for (const [roomId, messageId] of this.toRead) markRead(roomId, messageId).catch(() => undefined)
    this.toRead.clear()
  }

  /** The server sends notifications only to those who look at no tab. */
  private tellLooking = () => {
    const id = socketId()
    if (id) setLooking(id, document.visibilityState === 'visible' && document.hasFocus()).catch(() => undefined)
  }
}

/** Those of the user first, by what happened last; then those to join, by name. */
function sorted(rooms: Room[]): Room[] {
  const time = (r: Room) => r.last?.created_at ?? r.created_at
  return [...rooms].sort(
    (a, b) => Number(b.joined) - Number(a.joined) || (a.joined ? (time(b) < time(a) ? -1 : time(b) > time(a) ? 1 : a.id - b.id) : a.name.localeCompare(b.name)),
  )
}
