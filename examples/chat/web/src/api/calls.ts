import { request } from './request'
import type { Activity, Banned, Hit, Member, Message, Page, Reaction, ReadState, Role, Room, Session, User } from './types'

/** The tabs of a browser have one session: each tells the others when it changes it. */
const tabs = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('chat-session')

/** Calls changed when another tab has signed in or out. */
export function onSessionChange(changed: () => void): () => void {
  tabs?.addEventListener('message', changed)
  return () => tabs?.removeEventListener('message', changed)
}

export const getSession = (invite = '') => request<Session>('GET', `/api/session${invite ? `?invite=${encodeURIComponent(invite)}` : ''}`)

export async function signIn(form: { name: string; passphrase: string; role?: Role; invite?: string }): Promise<Session> {
  const session = await request<Session>('POST', '/api/session', form)
  tabs?.postMessage('changed')
  return session
}

export async function signOut(): Promise<void> {
  await request<void>('DELETE', '/api/session')
  tabs?.postMessage('changed')
}

export const invite = (role: Role) => request<{ url: string; role: Role; expires_at: string }>('POST', '/api/invitations', { role })

export const changeAccount = (change: { name?: string; passphrase?: string; current?: string }) =>
  request<{ user: User }>('PATCH', '/api/account', change)

export async function deleteAccount(current: string): Promise<void> {
  await request<void>('DELETE', '/api/account', { current })
  tabs?.postMessage('changed')
}

export const getBans = () => request<{ bans: Banned[] }>('GET', '/api/bans')
export const ban = (user: number, on: boolean) => request<void>(on ? 'PUT' : 'DELETE', `/api/users/${user}/ban`)

export const getRooms = () => request<{ rooms: Room[] }>('GET', '/api/rooms')
export const createRoom = (room: { name: string; kind: 'open' | 'private'; topic?: string; member_ids?: number[] }) =>
  request<{ room: Room }>('POST', '/api/rooms', room)
export const openDirect = (user_id: number) => request<{ room: Room }>('POST', '/api/direct', { user_id })
export const changeRoom = (id: number, change: { name?: string; topic?: string }) =>
  request<{ room: Room }>('PATCH', `/api/rooms/${id}`, change)
export const joinRoom = (id: number) => request<{ room: Room }>('POST', `/api/rooms/${id}/join`)
export const leaveRoom = (id: number) => request<void>('POST', `/api/rooms/${id}/leave`)
export const getMembers = (id: number) => request<{ members: Member[] }>('GET', `/api/rooms/${id}/members`)
export const addMember = (id: number, user_id: number) => request<{ member: Member }>('POST', `/api/rooms/${id}/members`, { user_id })
export const removeMember = (id: number, user: number) => request<void>('DELETE', `/api/rooms/${id}/members/${user}`)
export const findUsers = (q: string, signal?: AbortSignal) =>
  request<{ users: (User & { is_online: boolean })[] }>('GET', `/api/users?q=${encodeURIComponent(q)}`, undefined, signal)
export const markRead = (id: number, message_id: number) => request<ReadState>('PUT', `/api/rooms/${id}/read`, { message_id })
export const getActivity = (id: number, before: number) =>
  request<{ activity: Activity[]; has_before: boolean }>('GET', `/api/rooms/${id}/activity?limit=50${before ? `&before=${before}` : ''}`)

export type From = { before?: number; after?: number; around?: number }

export function getMessages(room: number, from: From = {}, limit = 50): Promise<Page> {
  const query = new URLSearchParams({ limit: String(limit) })
  for (const [key, value] of Object.entries(from)) if (value !== undefined) query.set(key, String(value))
  return request<Page>('GET', `/api/rooms/${room}/messages?${query}`)
}

/** Sending again with the same client_id sends nothing twice. */
export const postMessage = (room: number, body: { client_id: string; message: string; reply_to?: number; file_id?: number }) =>
  request<{ message: Message; duplicate: boolean }>('POST', `/api/rooms/${room}/messages`, body)

const path = (m: { id: number; room_id: number }) => `/api/rooms/${m.room_id}/messages/${m.id}`

export const editMessage = (m: Message, message: string) => request<{ message: Message }>('PATCH', path(m), { message, rev: m.rev })
export const deleteMessage = (m: Message) => request<{ message: Message }>('DELETE', path(m))
export const react = (m: Message, emoji: string, on: boolean) =>
  request<{ reactions: Reaction[]; rev: number }>(on ? 'PUT' : 'DELETE', `${path(m)}/reactions/${encodeURIComponent(emoji)}`)

export function search(q: string, room: number | null, before: number, signal: AbortSignal) {
  const query = new URLSearchParams({ q, limit: '20' })
  if (room) query.set('room_id', String(room))
  if (before) query.set('before', String(before))
  return request<{ hits: Hit[]; has_before: boolean }>('GET', `/api/search?${query}`, undefined, signal)
}

export const dropUpload = (id: number) => request<void>('DELETE', `/api/uploads/${id}`)
export const setLooking = (socket_id: string, looking: boolean) => request<void>('PUT', '/api/looking', { socket_id, looking })
export const addPush = (subscription: PushSubscriptionJSON) => request<void>('POST', '/api/push/subscriptions', subscription)
export const removePush = (endpoint: string) => request<void>('DELETE', '/api/push/subscriptions', { endpoint })
