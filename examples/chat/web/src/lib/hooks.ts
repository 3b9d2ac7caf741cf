import { useEffect, useState, useSyncExternalStore } from 'react'
import {
  getConnectionStatus,
  listenToActivity,
  listenToMessages,
  listenToTyping,
  listenToUserStatus,
  onConnectionStatus,
  type ActivityEntry,
  type ChatMessage,
  type ConnectionStatus,
  type RoomId,
  type RoomOptions,
  type TypingStatus,
  type UserStatus,
} from './websocket'

/** Whether messages arrive at this moment. */
export const useConnectionStatus = (): ConnectionStatus => useSyncExternalStore(onConnectionStatus, getConnectionStatus)

/** The messages that came into a room since it is looked at, by id, in the order of the room. */
export function useMessages<T extends ChatMessage = ChatMessage>(roomId: RoomId, { private: closed }: RoomOptions = {}): T[] {
  const [messages, setMessages] = useState<T[]>([])
  useEffect(() => {
    setMessages([])
    return listenToMessages<T>(
      roomId,
      (message) => setMessages((known) => [...known.filter((m) => m.id !== message.id), message].sort((a, b) => a.id - b.id)),
      { private: closed },
    )
  }, [roomId, closed])
  return messages
}

/** What was last told of each user of a room, by user id. */
export function useUserStatus(roomId: RoomId, { private: closed }: RoomOptions = {}): ReadonlyMap<number, UserStatus> {
  const [users, setUsers] = useState<ReadonlyMap<number, UserStatus>>(new Map())
  useEffect(() => {
    setUsers(new Map())
    return listenToUserStatus(roomId, (status) => setUsers((known) => new Map(known).set(status.user_id, status)), { private: closed })
  }, [roomId, closed])
  return users
}

/** What happened in a room since it is looked at, newest first, at most this many. */
export function useActivity(roomId: RoomId, most = 50, { private: closed }: RoomOptions = {}): ActivityEntry[] {
  const [feed, setFeed] = useState<ActivityEntry[]>([])
  useEffect(() => {
    setFeed([])
    return listenToActivity(roomId, (entry) => setFeed((known) => [entry, ...known].slice(0, most)), { private: closed })
  }, [roomId, most, closed])
  return feed
}

/** Who is typing in a room now. */
export function useTyping(roomId: RoomId): TypingStatus[] {
  const [typing, setTyping] = useState<TypingStatus[]>([])
  useEffect(() => {
    setTyping([])
    return listenToTyping(roomId, (status) =>
      setTyping((known) => [...known.filter((t) => t.user_id !== status.user_id), ...(status.is_typing ? [status] : [])]),
    )
  }, [roomId])
  return typing
}
