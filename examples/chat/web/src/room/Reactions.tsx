import type { Message } from '../api/types'
import { Icon } from '../ui/Icon'
import { names } from '../ui/people'

interface Props {
  message: Message
  me: number
  onToggle(emoji: string): void
  onPick(anchor: HTMLElement): void
}

export function Reactions({ message, me, onToggle, onPick }: Props) {
  if (message.reactions.length === 0) return null
  return (
    <div className="reactions" role="group" aria-label="Reactions">
      {message.reactions.map(({ emoji, count, users }) => {
        const mine = users.some((u) => u.id === me)
        const who = names(users.map((u) => (u.id === me ? 'you' : u.name)))
        return (
          <button
            key={emoji}
            type="button"
            className="reaction"
            data-testid="reaction"
            aria-pressed={mine}
            title={`${who} reacted with ${emoji}`}
            aria-label={`${emoji} ${count}, ${who}`}
            onClick={() => onToggle(emoji)}
          >
            <span aria-hidden="true">{emoji}</span>
            <span className="num">{count}</span>
          </button>
        )
      })}
      <button type="button" className="reaction" aria-label="Add a reaction" onClick={(e) => onPick(e.currentTarget)}>
        <Icon name="smile" size={16} />
      </button>
    </div>
  )
}
