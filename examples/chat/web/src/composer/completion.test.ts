import { expect, test } from 'vitest'
import { complete, matching, wordAt } from './completion'

test.each([
  ['@', { sign: '@', from: 0, query: '' }],
  ['hi @an', { sign: '@', from: 3, query: 'an' }],
  ['(@An', { sign: '@', from: 1, query: 'An' }],
  ['see :tad', { sign: ':', from: 4, query: 'tad' }],
  ['mail a@b', null],
  ['12:30', null],
  ['so :', null],
  ['so :)', null],
  ['so :t', null],
  ['@ann lee', null],
])('%s', (text, want) => expect(wordAt(text, text.length)).toEqual(want))

test('what is chosen takes the place of the word, and the cursor goes behind it', () => {
  expect(complete('hi @an there', 6, wordAt('hi @an', 6)!, '@Ann Lee')).toEqual({ text: 'hi @Ann Lee there', cursor: 12 })
  expect(complete(':tad', 4, wordAt(':tad', 4)!, '🎉')).toEqual({ text: '🎉 ', cursor: 3 })
})

test('what begins with the word comes before what has it inside', () => {
  expect(matching(['Joanna', 'Ann', 'Bob', 'Hannah'], 'an', (n) => n)).toEqual(['Ann', 'Joanna', 'Hannah'])
})
