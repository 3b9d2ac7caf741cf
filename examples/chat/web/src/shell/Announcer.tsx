import { useEffect, useRef, useState } from 'react'
import type { Conversation } from '../state/conversation'
import { useChat } from '../state/context'

/** Tells screen readers what comes into the room that is open. */
export function Announcer({ conversation }: { conversation: Conversation | null }) {
  const { me } = useChat()
  const [said, setSaid] = useState('')
  const last = useRef(0)
  useEffect(() => {
    setSaid('')
    if (!conversation) return
    last.current = Infinity
    const told = () => {
      const { timeline, loaded } = conversation.get()
      const newest = timeline.messages.at(-1)
      if (!loaded || !newest || timeline.hasAfter) return
      const fresh = timeline.messages.filter((m) => m.id > last.current && m.sender_id !== me.id)
      last.current = newest.id
      if (fresh.length === 1) setSaid(fresh[0]!.type === 'system' ? fresh[0]!.message : `${fresh[0]!.sender_name}: ${fresh[0]!.message || 'a file'}`)
      else if (fresh.length > 1) setSaid(`${fresh.length} new messages`)
    }
    told()
    return conversation.subscribe(told) as () => void
  }, [conversation, me.id])
  return (
    <p className="hidden" role="status" aria-live="polite" data-testid="announcer">
      {said}
    </p>
  )
}
