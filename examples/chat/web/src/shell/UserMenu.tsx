import { lazy, Suspense, useState } from 'react'
import { useChat } from '../state/context'
import { Avatar, RoleTag } from '../ui/Avatar'

const Items = lazy(() => import('./UserMenuItems'))
const Account = lazy(() => import('./Account'))
const Bans = lazy(() => import('./Bans'))

interface Props {
  onHelp(): void
  onLeave(): void
}

export function UserMenu({ onHelp, onLeave }: Props) {
  const chat = useChat()
  const [menu, setMenu] = useState<HTMLElement | null>(null)
  const [dialog, setDialog] = useState<'account' | 'bans' | null>(null)
  return (
    <footer className="self">
      <button type="button" className="person" data-testid="me" aria-haspopup="menu" aria-expanded={menu !== null} onClick={(e) => setMenu(e.currentTarget)}>
        <Avatar id={chat.me.id} name={chat.me.name} />
        <span className="person-about">
          <span className="person-name">
            <bdi className="name cut">{chat.me.name}</bdi>
            <RoleTag role={chat.me.role} />
          </span>
        </span>
      </button>
      <Suspense>
        {menu && (
          <Items
            anchor={menu}
            onAccount={() => setDialog('account')}
            onBans={() => setDialog('bans')}
            onHelp={onHelp}
            onLeave={onLeave}
            onClose={() => setMenu(null)}
          />
        )}
        {dialog === 'account' && <Account onClose={() => setDialog(null)} />}
        {dialog === 'bans' && <Bans onClose={() => setDialog(null)} />}
      </Suspense>
    </footer>
  )
}
