import { useChat } from '../state/context'
import type { Conversation, ConversationState } from '../state/conversation'
import { useStore } from '../state/store'
import { names } from '../ui/people'

/** Who is typing; while nobody is, who has read what this user wrote last. */
export function TypingLine({ conversation }: { conversation: Conversation }) {
  const { me } = useChat()
  const typing = useStore(conversation, (s) => s.typing)
  const read = useStore(conversation, (s) => readBy(s, me.id))
  return (
    <p className="typing quiet tiny" data-testid="typing">
      {typing.length > 0 ? (
        <>
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <bdi className="cut">{names(typing.map((t) => t.name))}</bdi>
          <span>&nbsp;{typing.length === 1 ? 'is' : 'are'} typing…</span>
        </>
      ) : (
        read && <span className="cut" data-testid="read-by">Read by {read}</span>
      )}
    </p>
  )
}

/** The names of those who have read the newest message, if this user wrote it; "" else. */
function readBy({ timeline, readers }: ConversationState, me: number): string {
  const last = timeline.messages.findLast((m) => m.type !== 'system')
  if (!last || last.sender_id !== me || timeline.hasAfter) return ''
  return names(readers.filter((r) => r.message_id >= last.id).map((r) => r.user_name))
}
