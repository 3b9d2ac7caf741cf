import { useState } from 'react'
import { invite } from '../api/calls'
import { words } from '../api/request'
import type { Role } from '../api/types'
import { usePush } from '../notifications/usePush'
import { useChat } from '../state/context'
import { Avatar, RoleTag } from '../ui/Avatar'
import { copyText } from '../ui/copy'
import { Icon } from '../ui/Icon'
import { Menu } from '../ui/Menu'
import { getTheme, setTheme, type Theme } from './theme'

interface Props {
  onHelp(): void
  onLeave(): void
}

const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }

export function UserMenu({ onHelp, onLeave }: Props) {
  const chat = useChat()
  const [menu, setMenu] = useState<HTMLElement | null>(null)
  const [theme, changeTheme] = useState(getTheme)
  const push = usePush()

  const copyInvitation = async (role: Role) => {
    try {
      const { url } = await invite(role)
      await copyText(new URL(url, location.origin).href)
      chat.notify(`Invitation for a ${role} copied.`)
    } catch (err) {
      chat.notify(words(err))
    }
  }
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
      {menu && (
        <Menu anchor={menu} label="You" onClose={() => setMenu(null)}>
          <button
            type="button"
            role="menuitem"
            className="menu-item"
            data-testid="theme"
            onClick={(e) => {
              // The menu stays: whoever looks for a theme may want the next one.
              e.stopPropagation()
              setTheme(next[theme])
              changeTheme(next[theme])
            }}
          >
            <Icon name="edit" size={18} /> Colours: {{ system: 'as your device', light: 'light', dark: 'dark' }[theme]}
          </button>
          {push.possible && (
            <button type="button" role="menuitem" className="menu-item" data-testid="push" onClick={() => void push.toggle().then((text) => text && chat.notify(text))}>
              <Icon name="bell" size={18} /> {push.on ? 'Stop notifications' : 'Get notifications'}
            </button>
          )}
          {chat.me.role === 'admin' && (
            <>
              <hr />
              <button type="button" role="menuitem" className="menu-item" onClick={() => void copyInvitation('teacher')}>
                <Icon name="people" size={18} /> Invite a teacher
              </button>
              <button type="button" role="menuitem" className="menu-item" onClick={() => void copyInvitation('admin')}>
                <Icon name="people" size={18} /> Invite an admin
              </button>
            </>
          )}
          <hr />
          <button type="button" role="menuitem" className="menu-item" onClick={onHelp}>
            <Icon name="help" size={18} /> Keys and marks
          </button>
          <button type="button" role="menuitem" className="menu-item" data-testid="leave" onClick={onLeave}>
            <Icon name="exit" size={18} /> Sign out
          </button>
        </Menu>
      )}
    </footer>
  )
}
