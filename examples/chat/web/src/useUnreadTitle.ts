import { useEffect, useRef } from 'react'
import type { Message, User } from './api'

const title = 'Lobby · Carillon chat'

/** Counts in the page's title what others wrote while the tab was hidden. */
export function useUnreadTitle(messages: Message[], me: User) {
  const seen = useRef(0)
  useEffect(() => {
    const update = () => {
      if (!document.hidden || seen.current === 0) seen.current = messages.at(-1)?.sent_at ?? 0
      const unread = messages.filter((m) => m.sent_at > seen.current && m.user_id !== me.id).length
      document.title = unread > 0 ? `(${unread}) ${title}` : title
    }
    update()
    document.addEventListener('visibilitychange', update)
    return () => document.removeEventListener('visibilitychange', update)
  }, [messages, me])
  useEffect(
    () => () => {
      document.title = title
    },
    [],
  )
}
