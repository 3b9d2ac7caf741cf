import type { Conversation } from '../state/conversation'
import { useStore } from '../state/store'
import { names } from '../ui/people'

export function TypingLine({ conversation }: { conversation: Conversation }) {
  const typing = useStore(conversation, (s) => s.typing)
  return (
    <p className="typing quiet tiny cut" data-testid="typing">
      {typing.length > 0 && (
        <>
          <span className="dots" aria-hidden="true">
            <i />
            <i />
            <i />
          </span>
          <bdi>{names(typing.map((t) => t.name))}</bdi> {typing.length === 1 ? 'is' : 'are'} typing…
        </>
      )}
    </p>
  )
}
