import type { Message } from '../api/types'

/** For tests: a message, with what matters to the test. */
export function aMessage(more: Partial<Message> = {}): Message {
  return {
    id: 1,
    room_id: 1,
    client_id: `c${more.id ?? 1}`,
    sender_id: 2,
    sender_name: 'Bob',
    sender_role: 'student',
    message: 'hello',
    type: 'text',
    created_at: '2026-11-24T09:00:00.000Z',
    edited_at: null,
    deleted_at: null,
    deleted_by: '',
    rev: 1,
    reply_to: null,
    file: null,
    reactions: [],
    mentions: [],
    action: '',
    ...more,
  }
}
