import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { ApiError } from '../api/request'
import type { Message } from '../api/types'
import { aMessage } from '../test/messages'
import { Outbox } from './outbox'

type Post = ConstructorParameters<typeof Outbox>[3]
const outage = new ApiError(0, 'unreached', 'The server cannot be reached.')
let sent: Message[]
let id: number

beforeEach(() => {
  vi.useFakeTimers()
  localStorage.clear()
  sent = []
  id = 0
})
afterEach(() => vi.useRealTimers())

const store = (): Post => (room_id, body) => Promise.resolve({ message: aMessage({ id: ++id, room_id, client_id: body.client_id, message: body.message }), duplicate: false })

function outbox(post: NonNullable<Post>) {
  const box = new Outbox(1, (m) => sent.push(m), localStorage, post)
  box.start()
  return box
}

test('messages go out one after the other, in the order written', async () => {
  const asked: string[] = []
  let answer: (() => void)[] = []
  const box = outbox((room, body) => {
    asked.push(body.message)
    return new Promise((resolve) => answer.push(() => resolve({ message: aMessage({ id: ++id, room_id: room, client_id: body.client_id, message: body.message }), duplicate: false })))
  })
  for (const text of ['one', 'two']) box.add(1, text, null, null)
  box.add(2, 'elsewhere', null, null)
  expect(asked).toEqual(['one', 'elsewhere'])
  answer.splice(0).forEach((a) => a())
  await vi.advanceTimersByTimeAsync(0)
  expect(asked).toEqual(['one', 'elsewhere', 'two'])
  answer.forEach((a) => a())
  await vi.advanceTimersByTimeAsync(0)
  expect(box.get().all).toEqual([])
  expect(localStorage).toHaveLength(0)
  box.stop()
})

test('an outage is waited out with back-off, and ends at once when the connection is there', async () => {
  let up = false
  const tries: number[] = []
  const ids = new Set<string>()
  const box = outbox((room, body) => {
    tries.push(Date.now())
    ids.add(body.client_id)
    return up ? store()!(room, body) : Promise.reject(outage)
  })
  vi.spyOn(Math, 'random').mockReturnValue(0.5)
  box.add(1, 'late', null, null)
  await vi.advanceTimersByTimeAsync(40_000)
  const waits = tries.slice(1).map((t, i) => Math.round((t - tries[i]!) / 1_000))
  expect(waits).toEqual([1, 2, 4, 8, 15])
  expect(box.get().all[0]).toMatchObject({ state: 'waiting', problem: '' })
  up = true
  box.kickAll()
  await vi.advanceTimersByTimeAsync(0)
  expect(sent.map((m) => m.message)).toEqual(['late'])
  expect(ids.size).toBe(1)
  box.stop()
})

test('a limit says how long, and is waited for', async () => {
  let free = false
  const box = outbox((room, body) => (free ? store()!(room, body) : Promise.reject(new ApiError(429, 'rate_limited', 'Try again in 4 seconds.', '', 4))))
  box.add(1, 'fast', null, null)
  await vi.advanceTimersByTimeAsync(3_900)
  expect(box.get().all[0]).toMatchObject({ state: 'waiting', problem: 'Try again in 4 seconds.' })
  free = true
  await vi.advanceTimersByTimeAsync(200)
  expect(sent).toHaveLength(1)
  box.stop()
})

test('what is refused stays with its reason and does not hold up the next', async () => {
  const box = outbox((room, body) => (body.message === 'bad' ? Promise.reject(new ApiError(422, 'filtered', 'Not that word.')) : store()!(room, body)))
  box.add(1, 'bad', null, null)
  box.add(1, 'good', null, null)
  await vi.advanceTimersByTimeAsync(0)
  expect(sent.map((m) => m.message)).toEqual(['good'])
  expect(box.get().all).toMatchObject([{ text: 'bad', state: 'failed', problem: 'Not that word.' }])
  box.discard(box.get().all[0]!.clientId)
  expect(localStorage).toHaveLength(0)
  box.stop()
})

test('what was being sent when the page was left is sent by the next page, under the same name', async () => {
  const first = outbox(() => new Promise(() => undefined))
  first.add(1, 'one', null, null)
  first.add(1, 'two', null, null)
  const names = first.get().all.map((o) => o.clientId)
  first.stop()
  const used: string[] = []
  const second = outbox((room, body) => {
    used.push(body.client_id)
    return store()!(room, body)
  })
  await vi.advanceTimersByTimeAsync(0)
  expect(used).toEqual(names)
  expect(sent.map((m) => m.message)).toEqual(['one', 'two'])
  second.stop()
})

test('who is signed out keeps what was written for when they are back', async () => {
  const box = outbox(() => Promise.reject(new ApiError(401, 'signed_out', 'Sign in.')))
  box.add(1, 'kept', null, null)
  await vi.advanceTimersByTimeAsync(60_000)
  box.stop()
  expect(localStorage).toHaveLength(1)
})

test('a message that comes another way is not sent again', () => {
  const box = outbox(() => new Promise(() => undefined))
  box.add(1, 'x', null, null)
  box.arrived(aMessage({ client_id: box.get().all[0]!.clientId }))
  expect(box.get().all).toEqual([])
  box.stop()
})

test('a spoilt entry of the storage is left alone', () => {
  for (const text of ['', '{', 'null', '{"clientId":1}']) localStorage.setItem(`chat/outbox/1/${text.length}`, text)
  const box = outbox(store()!)
  expect(box.get().all).toEqual([])
  box.stop()
})
