import { expect, test } from 'vitest'
import { isEmojiOnly, isLong, isPlain } from './text'

test.each([
  ['🎉', true],
  ['👩‍💻 🇩🇪 👍🏽', true],
  ['❤️', true],
  ['🎉 x', false],
  ['12', false],
  ['#', false],
  ['', false],
  ['  ', false],
  ['🎉'.repeat(7), false],
])('%j is emoji only: %s', (text, want) => expect(isEmojiOnly(text)).toBe(want))

test.each([
  ['Hello there, 5 < 6 & (so on) - yes.', true],
  ['a\nb', true],
  ['**b**', false],
  ['- item', false],
  ['1. item', false],
  ['https://x.y', false],
  ['`c`', false],
  ['> q', false],
  ['@Ann', false],
])('%j is plain: %s', (text, want) => expect(isPlain(text)).toBe(want))

test('long texts are folded', () => {
  expect(isLong('x\n'.repeat(60))).toBe(true)
  expect(isLong('x'.repeat(3_000))).toBe(true)
  expect(isLong('short')).toBe(false)
})
