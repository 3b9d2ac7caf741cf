import { expect, test } from 'vitest'
import { names } from './people'
import { fileSize, lastSeen, shortAgo } from './time'

test.each([
  [[], ''],
  [['Ann'], 'Ann'],
  [['Ann', 'Bob'], 'Ann and Bob'],
  [['Ann', 'Bob', 'Cy'], 'Ann, Bob and Cy'],
  [['Ann', 'Bob', 'Cy', 'Dana'], 'Ann, Bob and 2 others'],
])('%j are %j', (all, want) => expect(names(all)).toBe(want))

const now = Date.parse('2026-11-25T12:00:00Z')
test.each([
  ['2026-11-25T11:59:30Z', 'now', 'last seen just now'],
  ['2026-11-25T11:57:00Z', '3 min', 'last seen 3 min ago'],
  ['2026-11-25T10:00:00Z', '2 h', 'last seen 2 h ago'],
])('%s is %s', (time, ago, seen) => {
  expect(shortAgo(time, now)).toBe(ago)
  expect(lastSeen(time, now)).toBe(seen)
})

test.each([
  [12, '12 B'],
  [4_213, '4 KB'],
  [2_482_113, '2.5 MB'],
])('%d bytes are %s', (bytes, want) => expect(fileSize(bytes)).toBe(want))
