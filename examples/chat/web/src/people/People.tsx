import { lazy, Suspense, useState } from 'react'
import { ban, openDirect, removeMember } from '../api/calls'
import { words } from '../api/request'
import type { Member, Room } from '../api/types'
import { moderates } from '../room/MessageRow'
import type { Conversation } from '../state/conversation'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { useStore } from '../state/store'
import { Avatar, RoleTag } from '../ui/Avatar'
import { Confirm } from '../ui/Dialog'
import { Icon } from '../ui/Icon'
import { Menu } from '../ui/Menu'
import { lastSeen } from '../ui/time'
import './people.css'

const Activity = lazy(() => import('./Activity'))

interface Props {
  room: Room
  conversation: Conversation
  onClose(): void
}

const rank = { admin: 2, teacher: 1, student: 0 }

/** Who is in a room, and what has happened in it. */
export function People({ room, conversation, onClose }: Props) {
  const members = useStore(conversation, (s) => s.members)
  const [tab, setTab] = useState<'people' | 'activity'>('people')
  const sorted = [...(members ?? [])].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }))
  const online = sorted.filter((m) => m.is_online)
  const offline = sorted.filter((m) => !m.is_online)
  return (
    <aside className="people" aria-label="People and activity">
      <header>
        <div className="tabs" role="tablist" aria-label="About this room">
          {(['people', 'activity'] as const).map((t) => (
            <button
              key={t}
              type="button"
              role="tab"
              id={`tab-${t}`}
              aria-selected={tab === t}
              aria-controls="people-panel"
              tabIndex={tab === t ? 0 : -1}
              data-testid={`tab-${t}`}
              onClick={() => setTab(t)}
              onKeyDown={(e) => {
                if (e.key !== 'ArrowLeft' && e.key !== 'ArrowRight') return
                const other = t === 'people' ? 'activity' : 'people'
                setTab(other)
                document.getElementById(`tab-${other}`)?.focus()
              }}
            >
              {t === 'people' ? 'People' : 'Activity'}
            </button>
          ))}
        </div>
        <button type="button" className="icon-button" data-testid="close-people" aria-label="Close" onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <div id="people-panel" role="tabpanel" aria-labelledby={`tab-${tab}`} className="people-panel inset" tabIndex={0}>
        {tab === 'activity' ? (
          <Suspense>
            <Activity room={room} conversation={conversation} />
          </Suspense>
        ) : !members ? (
          <div className="people-skeleton" role="status" aria-label="Loading people">
            <span className="skeleton" />
            <span className="skeleton" />
            <span className="skeleton" />
          </div>
        ) : (
          <>
            <h2>
              Here now <span className="quiet num">{online.length}</span>
            </h2>
            <ul data-testid="members">
              {online.map((m) => (
                <Person key={m.id} member={m} room={room} />
              ))}
            </ul>
            {offline.length > 0 && (
              <>
                <h2>
                  Away <span className="quiet num">{offline.length}</span>
                </h2>
                <ul data-testid="members-away">
                  {offline.map((m) => (
                    <Person key={m.id} member={m} room={room} />
                  ))}
                </ul>
              </>
            )}
          </>
        )}
      </div>
    </aside>
  )
}

function Person({ member, room }: { member: Member; room: Room }) {
  const chat = useChat()
  const [menu, setMenu] = useState<HTMLElement | null>(null)
  const [confirming, setConfirming] = useState<'remove' | 'ban' | null>(null)
  const self = member.id === chat.me.id
  const mayRemove = !self && room.kind !== 'direct' && moderates(chat.me.role, room.manages) && (rank[member.role] ?? 0) <= rank[chat.me.role]

  const attempt = async (act: () => Promise<void>) => {
    try {
      await act()
    } catch (err) {
      chat.notify(words(err))
    }
  }
  const direct = () =>
    attempt(async () => {
      const { room: opened } = await openDirect(member.id)
      chat.put(opened)
      navigate(roomPath(opened.id))
    })
  return (
    <li data-testid="member" data-online={member.is_online}>
      <button type="button" className="person" aria-haspopup={self ? undefined : 'menu'} disabled={self} onClick={(e) => setMenu(e.currentTarget)}>
        <Avatar id={member.id} name={member.name} online={member.is_online} />
        <span className="person-about">
          <span className="person-name">
            <bdi className="name cut">{member.name}</bdi>
            {self && <span className="quiet tiny">you</span>}
            <RoleTag role={member.role} />
          </span>
          {!member.is_online && <span className="person-seen quiet tiny">{lastSeen(member.last_seen)}</span>}
        </span>
      </button>
      {menu && (
        <Menu anchor={menu} label={member.name} onClose={() => setMenu(null)}>
          <button type="button" role="menuitem" className="menu-item" data-testid="direct" onClick={() => void direct()}>
            <Icon name="at" size={18} /> Write to {member.name}
          </button>
          {mayRemove && (
            <button type="button" role="menuitem" className="menu-item danger" data-testid="remove-member" onClick={() => setConfirming('remove')}>
              <Icon name="exit" size={18} /> Remove from {room.name}
            </button>
          )}
          {chat.me.role === 'admin' && (
            <button type="button" role="menuitem" className="menu-item danger" data-testid="ban" onClick={() => setConfirming('ban')}>
              <Icon name="lock" size={18} /> Ban from the chat
            </button>
          )}
        </Menu>
      )}
      {confirming === 'remove' && (
        <Confirm
          title={`Remove ${member.name}?`}
          text={`They can no longer read or write in ${room.name}.`}
          action="Remove"
          onConfirm={() => void attempt(() => removeMember(room.id, member.id))}
          onClose={() => setConfirming(null)}
        />
      )}
      {confirming === 'ban' && (
        <Confirm
          title={`Ban ${member.name}?`}
          text="They are signed out and cannot come back, until an admin lets them in again."
          action="Ban"
          onConfirm={() => void attempt(() => ban(member.id, true).then(() => chat.notify(`${member.name} is banned.`)))}
          onClose={() => setConfirming(null)}
        />
      )}
    </li>
  )
}
