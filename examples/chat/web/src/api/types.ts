/** What the server says, as it says it. Times are RFC 3339 in UTC, ids are numbers. */

export type Role = 'student' | 'teacher' | 'admin'

export interface User {
  id: number
  name: string
  role: Role
}

export interface Member extends User {
  is_online: boolean
  last_seen: string | null
  joined_at: string
  /** Made this room. */
  manages: boolean
}

export interface Banned extends User {
  by: string
  banned_at: string
}

export interface Limits {
  message_chars: number
  name_chars: number
  room_name_chars: number
  topic_chars: number
  passphrase_chars: number
  upload_bytes: number
  messages: number
  per_seconds: number
  page: number
}

export interface Session {
  user: User | null
  demo: boolean
  /** Those that a newcomer may choose from; none outside a demo. */
  roles: Role[]
  invite_role: Role | ''
  realtime: { key: string; path: string; auth_endpoint: string; user_auth_endpoint: string }
  limits: Limits
  push_key: string
}

export type RoomKind = 'open' | 'private' | 'direct'

export interface LastMessage {
  id: number
  sender_name: string
  message: string
  type: MessageType
  created_at: string
}

export interface Room {
  id: number
  name: string
  topic: string
  kind: RoomKind
  capacity: number
  members: number
  joined: boolean
  /** There is no place in it for this user now, member or not. */
  full: boolean
  manages: boolean
  unread: number
  mentions: number
  read_id: number
  last: LastMessage | null
  /** Of a direct room: the other one. */
  with: User | null
  channel: string
  presence: string
  created_at: string
}

export type MessageType = 'text' | 'image' | 'file' | 'system'

export interface Reaction {
  emoji: string
  count: number
  users: { id: number; name: string }[]
}

export interface FileInfo {
  id: number
  name: string
  size: number
  content_type: string
  kind: 'image' | 'text' | 'other'
  url: string
  thumb_url: string
  width: number
  height: number
  thumb_width: number
  thumb_height: number
  preview: string
}

export interface ReplyTo {
  id: number
  sender_id: number
  sender_name: string
  message: string
  type: MessageType
  deleted: boolean
}

export interface Message {
  id: number
  room_id: number
  client_id: string
  sender_id: number
  sender_name: string
  sender_role: Role
  message: string
  type: MessageType
  created_at: string
  edited_at: string | null
  deleted_at: string | null
  deleted_by: string
  /** Rises with every change of the message. */
  rev: number
  reply_to: ReplyTo | null
  file: FileInfo | null
  reactions: Reaction[]
  mentions: number[]
  action: string
}

/** Messages that follow each other, oldest first. */
export interface Page {
  messages: Message[]
  has_before: boolean
  has_after: boolean
}

export interface Activity {
  id: number
  room_id: number
  action: string
  user_id: number
  user_name: string
  role: Role
  description: string
  timestamp: string
}

export interface Hit {
  message: Message
  room_name: string
  /** Where the words are in the message, in UTF-16 units. */
  highlights: [number, number][]
}

export interface ReadState {
  room_id: number
  read_id: number
  unread: number
  mentions: number
}

export interface ReadMarker {
  room_id: number
  user_id: number
  user_name: string
  message_id: number
  timestamp: string
}
