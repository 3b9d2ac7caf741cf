// What an application does with the module, by its public names and nothing else: the
// types are checked with those of the page (`npm run typecheck`), the rest runs here.
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FakePusher } from '../test/fakePusher'
import {
  closeConnection,
  getConnectionStatus,
  listenToActivity,
  listenToMessages,
  listenToTyping,
  listenToUserStatus,
  onConnectionDisconnected,
  onConnectionError,
} from '@/lib/websocket'

vi.mock('pusher-js', () => ({ default: FakePusher }))
vi.mock('@carillon-rt/pusher-resume', () => ({ resume: (pusher: unknown) => pusher }))

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('requestAnimationFrame', (run: () => void) => void queueMicrotask(run))
})
afterEach(() => {
  closeConnection()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('a page shows a room', async () => {
  const roomId = 7
  const shown: string[] = []

  const unsubscribeMessages = listenToMessages(roomId, (message) => {
    const sent: Date = new Date(message.created_at)
    const kind: 'text' | 'image' | 'file' | 'system' = message.type
    shown.push(`${message.id} ${message.room_id} ${message.sender_name} (${message.sender_role}), ${sent.getUTCFullYear()}, ${kind}: ${message.message}`)
  })
  const unsubscribeStatus = listenToUserStatus(roomId, (status) => {
    const seen: string | null = status.last_seen
    shown.push(`${status.user_id} ${status.user_name} (${status.role}) ${status.is_online ? 'came' : `was seen ${seen}`} in ${status.room_id}, ${status.timestamp}`)
  })
  const unsubscribeActivity = listenToActivity(roomId, (activity) => {
    shown.push(`${activity.action} by ${activity.user_name} (${activity.role}) in ${activity.room_id}: ${activity.description}, ${activity.timestamp}`)
  })
  const unsubscribeTyping = listenToTyping(roomId, (typing) => {
    shown.push(`${typing.user_id} ${typing.user_name} ${typing.is_typing ? 'types' : 'stopped'}`)
  })

  FakePusher.last.state('connected')
  const room = FakePusher.last.channel(`room-${roomId}`)!
  const presence = FakePusher.last.channel(`presence-room-${roomId}`)!
  presence.members.all.set('2', { id: '2', info: { id: 2, name: 'Bob' } })
  for (const channel of [room, presence]) channel.enter()
  const by = { room_id: roomId, role: 'student', timestamp: '2026-11-24T09:00:00Z' }
  const emit = () => {
    room.emit('new-message', { id: 1, room_id: roomId, sender_role: 'student', sender_name: 'Bob', message: 'hello', type: 'text', created_at: '2026-11-24T09:00:00Z' })
    room.emit('user-status-changed', { ...by, user_id: 2, user_name: 'Bob', is_online: true, last_seen: null })
    room.emit('new-activity', { ...by, action: 'joined', user_name: 'Bob', description: 'Bob joined' })
    presence.emit('client-typing', { active: true }, { user_id: '2' })
  }
  emit()
  await vi.advanceTimersByTimeAsync(20)
  const all = [
    '1 7 Bob (student), 2026, text: hello',
    '2 Bob (student) came in 7, 2026-11-24T09:00:00Z',
    'joined by Bob (student) in 7: Bob joined, 2026-11-24T09:00:00Z',
    '2 Bob types',
  ]
  expect(shown).toEqual(all)

  unsubscribeMessages()
  unsubscribeStatus()
  unsubscribeActivity()
  unsubscribeTyping()
  emit()
  await vi.advanceTimersByTimeAsync(20)
  expect(shown).toEqual(all)
  expect([...FakePusher.last.channels.keys()]).toEqual([])
})

test('a page says how its connection is', async () => {
  const said: string[] = []
  expect(getConnectionStatus()).toBe('disconnected')
  const stops = [
    onConnectionError((error) => {
      const code: number = error.code
      said.push(`${code}: ${error.message}`)
    }),
    onConnectionDisconnected(() => {
      const status: 'connected' | 'connecting' | 'disconnected' = getConnectionStatus()
      said.push(`lost, ${status}`)
    }),
    listenToMessages(7, () => undefined),
  ]
  expect(getConnectionStatus()).toBe('connecting')
  FakePusher.last.state('connected')
  FakePusher.last.channel('room-7')!.enter()
  await vi.advanceTimersByTimeAsync(0)
  expect(getConnectionStatus()).toBe('connected')
  FakePusher.last.connection.emit('error', { error: { data: { code: 4009, message: 'sign in first' } } })
  FakePusher.last.state('connecting')
  await vi.advanceTimersByTimeAsync(0)
  expect(said[0]).toMatch(/^4009: /)
  expect(said.at(-1)).toMatch(/^lost, (connecting|disconnected)$/)
  for (const stop of stops) stop()
})
