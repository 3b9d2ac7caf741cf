import { expect, test } from 'vitest'
import type { Message } from '../api/types'
import { aMessage } from '../test/messages'
import { arrived, changed, fromPage, merge, nothing, withNewer, withOlder } from './timeline'

const ids = (messages: Message[]) => messages.map((m) => m.id)
const page = (from: number, to: number, has_before = false, has_after = false) => ({
  messages: Array.from({ length: to - from + 1 }, (_, i) => aMessage({ id: from + i })),
  has_before,
  has_after,
})

test('whatever order they come in, messages are in the order of the room, once each', () => {
  const all = [5, 1, 3, 3, 2, 9, 1].map((id) => aMessage({ id }))
  expect(ids(all.reduce((known, m) => merge(known, [m]), [] as Message[]))).toEqual([1, 2, 3, 5, 9])
  expect(ids(merge([], all))).toEqual([1, 2, 3, 5, 9])
})

test('the latest state of a message stays, whenever it comes', () => {
  const later = aMessage({ id: 1, rev: 3, message: 'later' })
  for (const order of [[later, aMessage({ id: 1, rev: 2 })], [aMessage({ id: 1, rev: 2 }), later]]) {
    expect(order.reduce((known, m) => merge(known, [m]), [] as Message[])[0]!.message).toBe('later')
  }
  expect(changed(fromPage({ ...page(1, 1), messages: [later] }), aMessage({ id: 1, rev: 2 })).messages[0]).toBe(later)
})

test('pages go on before and after what is there', () => {
  let t = fromPage(page(51, 100, true, true))
  t = withOlder(t, page(1, 50))
  t = withNewer(t, page(101, 120, true, false))
  expect(ids(t.messages)).toEqual(Array.from({ length: 120 }, (_, i) => i + 1))
  expect([t.hasBefore, t.hasAfter]).toEqual([false, false])
})

test('a live message is not put behind a hole', () => {
  const back = fromPage(page(1, 50, false, true))
  expect(arrived(back, aMessage({ id: 900 }))).toBe(back)
  expect(ids(arrived(fromPage(page(1, 2)), aMessage({ id: 3 })).messages)).toEqual([1, 2, 3])
  expect(ids(arrived(nothing, aMessage({ id: 3 })).messages)).toEqual([3])
})

test('a message that is said again is not put before a hole', () => {
  const newest = fromPage(page(51, 100, true))
  expect(arrived(newest, aMessage({ id: 7, rev: 2 }))).toBe(newest)
  expect(arrived(newest, aMessage({ id: 60, rev: 2, message: 'again' })).messages[9]!.message).toBe('again')
  expect(ids(arrived(fromPage(page(8, 9)), aMessage({ id: 7 })).messages)).toEqual([7, 8, 9])
})

test('quotes say what the message says now', () => {
  const quote = aMessage({ id: 2, reply_to: { id: 1, sender_id: 1, sender_name: 'Ann', message: 'helo', type: 'text', deleted: false } })
  const t = fromPage({ messages: [aMessage({ id: 1, message: 'helo' }), quote], has_before: false, has_after: false })
  expect(changed(t, aMessage({ id: 1, rev: 2, message: 'hello' })).messages[1]!.reply_to!.message).toBe('hello')
  expect(changed(t, aMessage({ id: 1, rev: 2, message: '', deleted_at: '2026-01-01T00:00:00Z' })).messages[1]!.reply_to!.deleted).toBe(true)
  expect(changed(t, aMessage({ id: 77 })).messages).toEqual(t.messages)
})
