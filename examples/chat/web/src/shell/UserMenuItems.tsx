import { useState } from 'react'
import { invite } from '../api/calls'
import { words } from '../api/request'
import type { Role } from '../api/types'
import { usePush } from '../notifications/usePush'
import { useChat } from '../state/context'
import { copyText } from '../ui/copy'
import { Icon } from '../ui/Icon'
import { Menu } from '../ui/Menu'
import { getTheme, setTheme, type Theme } from './theme'

interface Props {
  anchor: HTMLElement
  onAccount(): void
  onBans(): void
  onHelp(): void
  onLeave(): void
  onClose(): void
}

const next: Record<Theme, Theme> = { system: 'light', light: 'dark', dark: 'system' }

/** What users can do with their account and their browser. */
export default function UserMenuItems({ anchor, onAccount, onBans, onHelp, onLeave, onClose }: Props) {
  const chat = useChat()
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
    <Menu anchor={anchor} label="You" onClose={onClose}>
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
      <button type="button" role="menuitem" className="menu-item" data-testid="account" onClick={onAccount}>
        <Icon name="at" size={18} /> Your name and passphrase
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
          <button type="button" role="menuitem" className="menu-item" data-testid="bans" onClick={onBans}>
            <Icon name="lock" size={18} /> Who is banned
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
  )
}
