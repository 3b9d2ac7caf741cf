import { useEffect } from 'react'
import type { Room } from '../api/types'

/** Says in the tab's title which room it is, and how much is unread in all. */
export function useTitle(name: string, rooms: Room[]) {
  const unread = rooms.reduce((sum, r) => sum + r.unread, 0)
  useEffect(() => {
    document.title = `${unread > 0 ? `(${unread}) ` : ''}${name ? `${name} · ` : ''}Carillon chat`
  }, [name, unread])
}
