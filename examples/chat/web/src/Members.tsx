import type { User } from './api'
import { Avatar } from './Avatar'

interface Props {
  members: User[]
  me: User
  open: boolean
  /** Who is here is what was known when the connection was lost. */
  stale: boolean
}

export function Members({ members, me, open, stale }: Props) {
  return (
    <aside
      id="members"
      className={`members${open ? ' open' : ''}${stale ? ' stale' : ''}`}
      aria-label={stale ? 'Who was here' : 'Who is here'}
    >
      <h2>
        {stale ? 'Here before' : 'Here now'} <span data-testid="member-count">{members.length}</span>
      </h2>
      <ul data-testid="members">
        {members.map((m) => (
          <li key={m.id} data-testid="member">
            <Avatar user={m} />
            <span className="name">{m.name}</span>
            {m.id === me.id && <span className="muted">you</span>}
          </li>
        ))}
      </ul>
    </aside>
  )
}
