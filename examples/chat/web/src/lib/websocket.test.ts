import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { FakePusher } from '../test/fakePusher'
import * as websocket from './websocket'

vi.mock('pusher-js', () => ({ default: FakePusher }))
vi.mock('@carillon-rt/pusher-resume', () => ({ resume: (pusher: unknown) => pusher }))

let frames: (() => void)[] = []
const frame = () => {
  const due = frames
  frames = []
  due.forEach((run) => run())
}

beforeEach(() => {
  vi.useFakeTimers()
  frames = []
  vi.stubGlobal('requestAnimationFrame', (run: () => void) => frames.push(run))
  vi.stubGlobal('cancelAnimationFrame', () => undefined)
})
afterEach(() => {
  websocket.closeConnection()
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

/** Everything is entered, as after a good connect. */
async function connected() {
  FakePusher.last.state('connected')
  for (const c of FakePusher.last.channels.values()) c.enter()
  await Promise.resolve()
  await Promise.resolve()
}

test('messages of one frame are told together, in their order, once each', async () => {
  const got: number[] = []
  websocket.listenToMessages(1, (m) => got.push(m.id))
  await connected()
  const channel = FakePusher.last.channel('room-1')!
  for (const id of [1, 2, 3]) channel.emit('new-message', { id })
  expect(got).toEqual([])
  expect(frames).toHaveLength(1)
  frame()
  expect(got).toEqual([1, 2, 3])
})

test('in a hidden tab, where no frame comes, messages come all the same', async () => {
  const got: number[] = []
  websocket.listenToMessages(1, (m) => got.push(m.id))
  FakePusher.last.channel('room-1')!.emit('new-message', { id: 1 })
  vi.advanceTimersByTime(300)
  expect(got).toEqual([1])
  frame()
  expect(got).toEqual([1])
})

test('a listener that throws keeps nothing from the others', () => {
  const reported = vi.fn()
  vi.stubGlobal('reportError', reported)
  const got: number[] = []
  websocket.listenToMessages(1, () => {
    throw new Error('mine')
  })
  websocket.listenToMessages(1, (m) => got.push(m.id))
  FakePusher.last.channel('room-1')!.emit('new-message', { id: 1 })
  frame()
  expect(got).toEqual([1])
  expect(reported).toHaveBeenCalledOnce()
})

test('whoever has stopped listening hears nothing, and the last one leaves the channel', () => {
  const got: number[] = []
  const stops = [websocket.listenToMessages(1, (m) => got.push(m.id)), websocket.listenToActivity(1, () => got.push(-1))]
  const channel = FakePusher.last.channel('room-1')!
  channel.emit('new-message', { id: 1 })
  stops[0]!()
  stops[0]!()
  frame()
  expect(got).toEqual([])
  expect(FakePusher.last.channel('room-1')).toBe(channel)
  stops[1]!()
  expect(FakePusher.last.channel('room-1')).toBeUndefined()
  expect(channel.count('new-message') + channel.count('new-activity')).toBe(0)
})

test.each([
  [{}, 'room-7'],
  [{ private: true }, 'private-room-7'],
])('a room with %o is on %s', (options, name) => {
  for (const listen of [websocket.listenToMessages, websocket.listenToUserStatus, websocket.listenToActivity]) listen(7, () => undefined, options)
  expect([...FakePusher.last.channels.keys()]).toEqual([name])
})

test('connected is said only when all channels are entered, on every connection', async () => {
  const told: string[] = []
  const lost = vi.fn()
  websocket.onConnectionStatus((s) => told.push(s))
  websocket.onConnectionDisconnected(lost)
  expect(websocket.getConnectionStatus()).toBe('disconnected')
  websocket.listenToMessages(1, () => undefined)
  expect(websocket.getConnectionStatus()).toBe('connecting')
  FakePusher.last.state('connected')
  expect(websocket.getConnectionStatus()).toBe('connecting')
  await connected()
  expect(websocket.getConnectionStatus()).toBe('connected')
  FakePusher.last.state('connecting')
  expect(websocket.getConnectionStatus()).toBe('connecting')
  expect(lost).toHaveBeenCalledOnce()
  FakePusher.last.state('unavailable')
  expect(websocket.getConnectionStatus()).toBe('disconnected')
  await connected()
  expect(told).toEqual(['connected', 'connecting', 'disconnected', 'connecting', 'connected'])
})

test('a new room does not make a good connection look bad', async () => {
  websocket.listenToMessages(1, () => undefined)
  await connected()
  websocket.listenToMessages(2, () => undefined)
  expect(websocket.getConnectionStatus()).toBe('connected')
})

test('a browser that is offline is not connected, whatever the socket says', async () => {
  websocket.listenToMessages(1, () => undefined)
  await connected()
  vi.spyOn(navigator, 'onLine', 'get').mockReturnValue(false)
  dispatchEvent(new Event('offline'))
  expect(websocket.getConnectionStatus()).toBe('disconnected')
})

test('a request without an answer asks the connection for a sign of life', async () => {
  websocket.listenToMessages(1, () => undefined)
  await connected()
  websocket.checkConnection()
  websocket.checkConnection()
  expect(FakePusher.last.sent).toEqual(['pusher:ping'])
  FakePusher.last.connection.emit('message', {})
  vi.advanceTimersByTime(6_000)
  expect(FakePusher.last.connects).toBe(0)
  websocket.checkConnection()
  vi.advanceTimersByTime(5_001)
  expect(FakePusher.last.connects).toBe(1)
})

test('connecting is tried again and again, ever more slowly', () => {
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  websocket.listenToMessages(1, () => undefined)
  const tries: number[] = []
  for (let s = 0; s < 60; s++) {
    const before = FakePusher.last.connects
    vi.advanceTimersByTime(1_000)
    if (FakePusher.last.connects > before) tries.push(s + 1)
  }
  expect(tries).toEqual([2, 4, 8, 16, 31, 46])
})

test.each([
  ['first', []],
  ['gap', ['again']],
  ['resumed', ['again', 'resumed']],
])('whether anything was missed is told: %s', async (want, steps) => {
  const how: string[] = []
  websocket.onRoomEntered(1, (h) => how.push(h))
  await connected()
  if (steps.length > 0) {
    FakePusher.last.state('connecting')
    FakePusher.last.state('connected')
    const channel = FakePusher.last.channel('room-1')!
    channel.enter()
    if (steps.includes('resumed')) channel.emit('pusher:resumed', { missed: 2 })
    await Promise.resolve()
  }
  expect(how.at(-1)).toBe(want)
})

test('a refusal for good is told, and does not keep the rest from being connected', async () => {
  const refused: [string, number][] = []
  const errors: number[] = []
  websocket.onConnectionError((err) => errors.push(err.code))
  websocket.onRoomRefused(1, (err) => refused.push([err.message, err.code]))
  websocket.listenToMessages(2, () => undefined)
  FakePusher.last.state('connected')
  FakePusher.last.channel('room-2')!.enter()
  FakePusher.last.channel('room-1')!.emit('pusher:subscription_error', { status: 403, error: 'You are not in this room.' })
  await Promise.resolve()
  expect(refused).toEqual([['You are not in this room.', 403]])
  expect(errors).toEqual([403])
  expect(websocket.getConnectionStatus()).toBe('connected')
})

test('an authorization that failed for a moment is tried again', async () => {
  websocket.listenToMessages(1, () => undefined)
  FakePusher.last.state('connected')
  FakePusher.last.channel('room-1')!.emit('pusher:subscription_error', { status: 503, error: '' })
  expect(websocket.getConnectionStatus()).toBe('connecting')
  vi.advanceTimersByTime(3_000)
  expect(FakePusher.last.connects).toBeGreaterThan(0)
})

test('typing is told when it begins and ends, by the name that the server knows', async () => {
  const got: [string, boolean][] = []
  const stop = websocket.listenToTyping(1, (t) => got.push([t.user_name, t.is_typing]))
  await connected()
  const channel = FakePusher.last.channel('presence-room-1')!
  channel.members.all.set('2', { id: '2', info: { id: 2, name: 'Bob' } })
  const typing = (active: boolean, user_id = '2') => channel.emit('client-typing', { active, user_name: 'Ann' }, { user_id })
  typing(true)
  typing(true)
  typing(true, '9')
  channel.emit('client-typing', undefined, undefined)
  frame()
  expect(got).toEqual([['Bob', true]])
  vi.advanceTimersByTime(4_000)
  typing(true)
  vi.advanceTimersByTime(4_000)
  frame()
  expect(got).toHaveLength(1)
  vi.advanceTimersByTime(1_001)
  frame()
  expect(got).toEqual([
    ['Bob', true],
    ['Bob', false],
  ])
  typing(true)
  stop()
  frame()
  expect(got).toHaveLength(2)
})

test('keys are told at most every two seconds, and the stop after them', async () => {
  websocket.listenToTyping(1, () => undefined)
  await connected()
  const channel = FakePusher.last.channel('presence-room-1')!
  const sender = websocket.typingSender(1)
  for (let i = 0; i < 50; i++) {
    sender.typed()
    vi.advanceTimersByTime(100)
  }
  expect(channel.triggered).toHaveLength(3)
  vi.advanceTimersByTime(4_000)
  sender.stopped()
  expect(channel.triggered.map(([, data]) => (data as { active: boolean }).active)).toEqual([true, true, true, false])
})

test('the user’s own events are heard on this connection and the next', () => {
  const got: unknown[] = []
  const stop = websocket.listenToUserEvent('room-added', (data) => got.push(data))
  websocket.openConnection()
  FakePusher.last.user.emit('room-added', 1)
  websocket.closeConnection()
  websocket.openConnection()
  FakePusher.last.user.emit('room-added', 2)
  stop()
  FakePusher.last.user.emit('room-added', 3)
  frame()
  expect(got).toEqual([])
  const again = websocket.listenToUserEvent('room-added', (data) => got.push(data))
  FakePusher.last.user.emit('room-added', 4)
  frame()
  expect(got).toEqual([4])
  again()
})

test('an edit and a deletion are both a change of a message', () => {
  const got: unknown[] = []
  websocket.listenToMessageChanges(1, (m) => got.push(m.id))
  const channel = FakePusher.last.channel('room-1')!
  channel.emit('message-edited', { id: 'x', version: 2, data: '{"id":5}' })
  channel.emit('message-changed', { id: 6 })
  frame()
  expect(got).toEqual([5, 6])
})
