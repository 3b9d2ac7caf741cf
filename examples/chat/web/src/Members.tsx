import type { User } from './api'
import { Avatar } from './Avatar'

export function Members({ members, me, open }: { members: User[]; me: User; open: boolean }) {
  return (
    <aside id="members" className={open ? 'members open' : 'members'} aria-label="Who is here">
      <h2>
        Here now <span data-testid="member-count">{members.length}</span>
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
