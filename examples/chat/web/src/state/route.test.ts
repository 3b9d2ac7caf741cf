import { expect, test } from 'vitest'
import { parseRoute, roomPath } from './route'

test.each([
  ['/', { room: null, message: null, invite: '' }],
  ['/room/7', { room: 7, message: null, invite: '' }],
  ['/room/7/message/123', { room: 7, message: 123, invite: '' }],
  ['/?room=3&message=17', { room: 3, message: 17, invite: '' }],
  ['/invite/ABC', { room: null, message: null, invite: 'ABC' }],
  ['/room/x', { room: null, message: null, invite: '' }],
])('%s', (path, want) => expect(parseRoute(new URL(path, 'http://chat.test'))).toEqual(want))

test('an address says what it was made from', () => {
  expect(parseRoute(new URL(roomPath(7, 9), 'http://chat.test'))).toMatchObject({ room: 7, message: 9 })
})
