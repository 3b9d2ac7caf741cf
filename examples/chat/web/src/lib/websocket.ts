/**
 * Live updates of chat rooms, over one connection that is opened when the first
 * listener comes. Copy this folder into an application of your own.
 *
 *     const stop = listenToMessages(roomId, (message) => show(message))
 *     …
 *     stop()
 *
 * Callbacks run once per animation frame with all that has come until then, in the
 * order of the room. A private room is told by `{ private: true }`.
 */
import type { PresenceChannel } from 'pusher-js'
import { Connection, ConnectionError, type ConnectionSettings, type ConnectionStatus, type Entered } from './connection'
import { FrameQueue } from './frames'

export { ConnectionError, type ConnectionStatus, type Entered }
export type Unsubscribe = () => void
export type RoomId = number | string

export interface RoomOptions {
  /** A private room or a direct message: on "private-room-{id}" rather than "room-{id}". */
  private?: boolean
}

export interface ChatMessage {
  id: number
  room_id: number
  sender_role: string
  sender_name: string
  message: string
  type: 'text' | 'image' | 'file' | 'system'
  created_at: string
}

export interface UserStatus {
  room_id: number
  user_id: number
  user_name: string
  role: string
  is_online: boolean
  last_seen: string | null
  timestamp: string
}

export interface ActivityEntry {
  room_id: number
  action: string
  user_name: string
  role: string
  description: string
  timestamp: string
}

export interface TypingStatus {
  room_id: RoomId
  user_id: string
  user_name: string
  is_typing: boolean
}

/** Who is in a room at this moment, by what the server says of them. */
export interface OnlineMember {
  id: number
  name: string
  role: string
}

/** A sender tells that they go on typing this often, and that they stopped after as long without a key. */
const typingEvery = 2_000
/** Who has not told again within this time has stopped typing. */
const typingLasts = 5_000

const frames = new FrameQueue()
let settings: Partial<ConnectionSettings> = {}
let connection: Connection | null = null
const statusListeners = new Set<(status: ConnectionStatus) => void>()
const errorListeners = new Set<(err: ConnectionError) => void>()
const disconnectListeners = new Set<() => void>()
/** What was told of a user's own channel, which every new connection listens to. */
const userListeners = new Set<{ event: string; cb: (data: never) => void }>()

/** Says where the server is, before the first listener. The default is the one that the page came from. */
export function configureConnection(changed: Partial<ConnectionSettings>) {
  settings = changed
}

function open(): Connection {
  if (connection) return connection
  const secure = location.protocol === 'https:'
  connection = new Connection(
    {
      key: 'chat-key',
      path: '/realtime',
      authEndpoint: '/pusher/auth',
      userAuthEndpoint: '/pusher/user-auth',
      signIn: true,
      hostname: location.hostname,
      port: Number(location.port) || (secure ? 443 : 80),
      secure,
      ...settings,
    },
    (status, before) => {
      for (const told of statusListeners) told(status)
      if (before === 'connected') for (const told of disconnectListeners) told()
    },
    (err) => {
      for (const told of errorListeners) told(err)
    },
  )
  for (const { event, cb } of userListeners) connection.pusher.user.bind(event, cb)
  return connection
}

/** Connects before anything is listened to: for what comes to the user, and to be seen as online. */
export function openConnection() {
  open()
}

/** Closes the connection, after signing out. The next listener opens another. */
export function closeConnection() {
  const closing = connection
  connection = null
  closing?.close()
}

const roomChannel = (roomId: RoomId, options?: RoomOptions) => `${options?.private ? 'private-' : ''}room-${roomId}`
const presenceChannel = (roomId: RoomId) => `presence-room-${roomId}`

/** Calls cb with the data of each event of a channel, once per frame, until the answer is called. */
function listen<T>(channel: string, event: string, cb: (data: T) => void): Unsubscribe {
  const used = open().use(channel)
  let listening = true
  const received = (data: T) => frames.add(() => listening && cb(data))
  used.channel.bind(event, received)
  return () => {
    if (!listening) return
    listening = false
    used.channel.unbind(event, received)
    used.leave()
  }
}

/** Tells of each message that comes into a room. */
export function listenToMessages<T extends ChatMessage = ChatMessage>(
  roomId: RoomId,
  cb: (message: T) => void,
  options?: RoomOptions,
): Unsubscribe {
  return listen(roomChannel(roomId, options), 'new-message', cb)
}

/** Tells of each message of a room that was edited, deleted or reacted to, as it is now. */
export function listenToMessageChanges<T extends ChatMessage = ChatMessage>(
  roomId: RoomId,
  cb: (message: T) => void,
  options?: RoomOptions,
): Unsubscribe {
  const channel = roomChannel(roomId, options)
  // An amendment of the message's event comes with the data that it has now.
  const stops = [
    listen<{ data: string }>(channel, 'message-edited', ({ data }) => cb(JSON.parse(data) as T)),
    listen(channel, 'message-changed', cb),
  ]
  return () => stops.forEach((stop) => stop())
}

/** Tells who comes online and goes offline in a room. */
export function listenToUserStatus(roomId: RoomId, cb: (status: UserStatus) => void, options?: RoomOptions): Unsubscribe {
  return listen(roomChannel(roomId, options), 'user-status-changed', cb)
}

/** Tells what happens in a room: who joins, leaves, writes, uploads. */
export function listenToActivity(roomId: RoomId, cb: (activity: ActivityEntry) => void, options?: RoomOptions): Unsubscribe {
  return listen(roomChannel(roomId, options), 'new-activity', cb)
}

/** Tells of any other event of a room's channel, by its name. */
export function listenToRoomEvent<T>(roomId: RoomId, event: string, cb: (data: T) => void, options?: RoomOptions): Unsubscribe {
  return listen(roomChannel(roomId, options), event, cb)
}

/** Tells of events on the presence channel of a room. */
export function listenToPresenceEvent<T>(roomId: RoomId, event: string, cb: (data: T) => void): Unsubscribe {
  return listen(presenceChannel(roomId), event, cb)
}

/** Tells who begins and stops typing in a room. Who falls silent has stopped after 5 s. */
export function listenToTyping(roomId: RoomId, cb: (typing: TypingStatus) => void): Unsubscribe {
  const used = open().use(presenceChannel(roomId))
  const { members } = used.channel as PresenceChannel
  const timers = new Map<string, ReturnType<typeof setTimeout>>()
  let listening = true

  const tell = (user_id: string, user_name: string, is_typing: boolean) => {
    clearTimeout(timers.get(user_id))
    const before = timers.delete(user_id)
    if (is_typing) timers.set(user_id, setTimeout(() => tell(user_id, user_name, false), typingLasts))
    // Each is told once: what repeats itself is no news.
    if (before !== is_typing) frames.add(() => listening && cb({ room_id: roomId, user_id, user_name, is_typing }))
  }
  const told = (data: { active?: boolean } | undefined, from?: { user_id?: string }) => {
    // The name is the server's: a client could claim any.
    const id = from?.user_id
    const member = id === undefined ? null : (members.get(id) as { info?: { name?: string } } | null)
    if (id !== undefined && member?.info?.name) tell(id, member.info.name, data?.active === true)
  }
  used.channel.bind('client-typing', told)
  return () => {
    if (!listening) return
    listening = false
    for (const timer of timers.values()) clearTimeout(timer)
    used.channel.unbind('client-typing', told)
    used.leave()
  }
}

/** Tells the others in a room of typing: give it every key, it tells at most every 2 s, and the stop. */
export function typingSender(roomId: RoomId): { typed(): void; stopped(): void } {
  let toldAt = -Infinity
  let timer: ReturnType<typeof setTimeout> | undefined
  const whisper = (active: boolean) => {
    const channel = connection?.pusher.channel(presenceChannel(roomId))
    if (channel?.subscribed) channel.trigger('client-typing', { active })
  }
  const stopped = () => {
    clearTimeout(timer)
    if (toldAt > -Infinity) whisper(false)
    toldAt = -Infinity
  }
  const typed = () => {
    clearTimeout(timer)
    timer = setTimeout(stopped, typingEvery * 2)
    if (performance.now() - toldAt < typingEvery) return
    toldAt = performance.now()
    whisper(true)
  }
  return { typed, stopped }
}

/** Tells who is in a room now, at once and whenever that changes. */
export function listenToOnline(roomId: RoomId, cb: (members: OnlineMember[]) => void): Unsubscribe {
  const used = open().use(presenceChannel(roomId))
  const channel = used.channel as PresenceChannel
  let listening = true
  let waiting = false
  const changed = () => {
    if (waiting) return
    waiting = true
    frames.add(() => {
      waiting = false
      if (!listening) return
      const members: OnlineMember[] = []
      channel.members.each(({ info }: { info: OnlineMember }) => members.push(info))
      cb(members)
    })
  }
  const events = ['pusher:subscription_succeeded', 'pusher:member_added', 'pusher:member_removed']
  for (const event of events) channel.bind(event, changed)
  if (channel.subscribed) changed()
  return () => {
    if (!listening) return
    listening = false
    for (const event of events) channel.unbind(event, changed)
    used.leave()
  }
}

/** Tells of events on the signed-in user's own channel, on this connection and later ones. */
export function listenToUserEvent<T>(event: string, cb: (data: T) => void): Unsubscribe {
  const received = (data: T) => frames.add(() => userListeners.has(entry) && cb(data))
  const entry = { event, cb: received as (data: never) => void }
  userListeners.add(entry)
  connection?.pusher.user.bind(event, received)
  return () => {
    userListeners.delete(entry)
    connection?.pusher.user.unbind(event, received)
  }
}

/**
 * Tells when a room's channel was entered: 'first', or after a lost connection
 * 'resumed' (nothing is missing) or 'gap' (read again what may have been missed).
 */
export function onRoomEntered(roomId: RoomId, cb: (how: Entered) => void, options?: RoomOptions): Unsubscribe {
  const link = open()
  const name = roomChannel(roomId, options)
  const { leave } = link.use(name)
  const stop = link.onEntered(name, cb)
  return () => {
    stop()
    leave()
  }
}

/** Tells when the server does not let this user into a room any more. */
export function onRoomRefused(roomId: RoomId, cb: (err: ConnectionError) => void, options?: RoomOptions): Unsubscribe {
  const link = open()
  const name = roomChannel(roomId, options)
  const { leave } = link.use(name)
  const stop = link.onRefused(name, cb)
  return () => {
    stop()
    leave()
  }
}

/**
 * 'connected' only if messages do arrive: the socket is open, answers, and has
 * entered every channel. 'connecting' for a moment, 'disconnected' after that.
 */
export function getConnectionStatus(): ConnectionStatus {
  return connection?.status ?? 'disconnected'
}

/** Tells of each change of the status. */
export function onConnectionStatus(cb: (status: ConnectionStatus) => void): Unsubscribe {
  statusListeners.add(cb)
  return () => statusListeners.delete(cb)
}

/** Tells why connecting failed or a channel was refused. The connection goes on trying. */
export function onConnectionError(cb: (err: ConnectionError) => void): Unsubscribe {
  errorListeners.add(cb)
  return () => errorListeners.delete(cb)
}

/** Tells when a connection that was there is lost. */
export function onConnectionDisconnected(cb: () => void): Unsubscribe {
  disconnectListeners.add(cb)
  return () => disconnectListeners.delete(cb)
}

/** Connects now rather than at the next turn. */
export function reconnectNow() {
  connection?.reconnect()
}

/** Finds out soon whether the connection lives: call it when a request was not answered. */
export function checkConnection() {
  connection?.probe()
}

/** The connection's name for the header X-Socket-ID, which keeps one's own events from coming back. */
export function socketId(): string | undefined {
  return connection?.socketId
}
