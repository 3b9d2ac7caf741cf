import type { Room } from '../api/types'

export const promptKey = 'chat/push-asked'

/** Whether to ask for notifications: once, when there is something to be notified of, a conversation of two. */
export const promptNow = (rooms: Room[]) =>
  localStorage.getItem(promptKey) === null && rooms.some((r) => r.kind === 'direct' && r.joined && r.last !== null)
