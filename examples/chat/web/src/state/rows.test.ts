import { expect, test } from 'vitest'
import { aMessage } from '../test/messages'
import type { Outgoing } from './outbox'
import { dayLabel, rowsOf } from './rows'

const at = (minute: number) => new Date(Date.parse('2026-11-24T09:00:00Z') + minute * 60_000).toISOString()
const timeline = (...messages: ReturnType<typeof aMessage>[]) => ({ messages, hasBefore: false, hasAfter: false })
const shape = (rows: ReturnType<typeof rowsOf>) => rows.map((r) => ('head' in r && r.head ? `${r.kind}+` : r.kind))
const out = (clientId: string): Outgoing => ({ clientId, roomId: 1, text: 'x', replyTo: null, file: null, at: 1, state: 'waiting', problem: '' })

test('messages of one author within five minutes are a burst', () => {
  const rows = rowsOf(timeline(aMessage({ id: 1, created_at: at(0) }), aMessage({ id: 2, created_at: at(4) }), aMessage({ id: 3, created_at: at(9) }), aMessage({ id: 4, created_at: at(9), sender_id: 3 })), [], 1, null)
  expect(shape(rows)).toEqual(['start', 'day', 'message+', 'message', 'message+', 'message+'])
})

test('days part with a line, and so does what is new, from others only', () => {
  const rows = rowsOf(timeline(aMessage({ id: 1, created_at: at(0) }), aMessage({ id: 2, created_at: at(1), sender_id: 1 }), aMessage({ id: 3, created_at: at(24 * 60) })), [], 1, 1)
  expect(shape(rows)).toEqual(['start', 'day', 'message+', 'message+', 'day', 'new', 'message+'])
})

test('what is not sent comes last, and keeps its name when it is', () => {
  const before = rowsOf(timeline(aMessage({ id: 1 })), [out('a')], 1, null)
  expect(shape(before).at(-1)).toBe('unsent+')
  const after = rowsOf(timeline(aMessage({ id: 1 }), aMessage({ id: 2, sender_id: 1, client_id: 'a' })), [], 1, null)
  expect(after.at(-1)!.key).toBe(before.at(-1)!.key)
  expect(rowsOf({ ...timeline(aMessage()), hasAfter: true }, [out('a')], 1, null).some((r) => r.kind === 'unsent')).toBe(false)
})

test('all rows have names of their own', () => {
  const rows = rowsOf({ ...timeline(aMessage({ id: 1 }), aMessage({ id: 2, type: 'system', client_id: '' }), aMessage({ id: 3, client_id: '' })), hasBefore: true }, [out('a'), out('b')], 1, 0)
  expect(new Set(rows.map((r) => r.key)).size).toBe(rows.length)
})

test.each([
  ['2026-11-24T12:00:00', 'Today'],
  ['2026-11-23T12:00:00', 'Yesterday'],
])('%s is %s', (time, label) => expect(dayLabel(time, Date.parse('2026-11-24T15:00:00'))).toBe(label))
