import { lazy, Suspense, useState } from 'react'
import type { Room } from '../api/types'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { useStore } from '../state/store'
import { Avatar } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import { shortAgo, wholeTime } from '../ui/time'
import { UserMenu } from '../shell/UserMenu'
import './rooms.css'

const NewRoom = lazy(() => import('./NewRoom'))
const NewDirect = lazy(() => import('./NewDirect'))

interface Props {
  onSearch(): void
  onHelp(): void
  onLeave(): void
}

export function RoomList({ onSearch, onHelp, onLeave }: Props) {
  const chat = useChat()
  const rooms = useStore(chat, (s) => s.rooms)
  const loaded = useStore(chat, (s) => s.loaded)
  const problem = useStore(chat, (s) => s.problem)
  const current = useStore(chat, (s) => s.roomId)
  const [dialog, setDialog] = useState<'room' | 'direct' | null>(null)
  const mine = rooms.filter((r) => r.joined && r.kind !== 'direct')
  const direct = rooms.filter((r) => r.joined && r.kind === 'direct')
  const open = rooms.filter((r) => !r.joined)

  return (
    <nav className="rooms" aria-label="Rooms">
      <header>
        <img src="/icon.svg" alt="" width="28" height="28" />
        <p className="brand">Carillon</p>
        <button type="button" className="icon-button" data-testid="search-all" aria-label="Search all rooms (Ctrl+K)" title="Search (Ctrl+K)" onClick={onSearch}>
          <Icon name="search" />
        </button>
      </header>
      <div className="rooms-scroll">
        {problem && (
          <p className="warning rooms-problem" role="alert">
            {problem}{' '}
            <button type="button" className="button bare" onClick={() => void chat.reload()}>
              Try again
            </button>
          </p>
        )}
        {!loaded && !problem && (
          <div className="rooms-skeleton" role="status" aria-label="Loading rooms">
            <span className="skeleton" />
            <span className="skeleton" />
            <span className="skeleton" />
          </div>
        )}
        <Section title="Rooms" action="Make a room" testid="new-room" onAction={() => setDialog('room')}>
          {mine.map((room) => (
            <RoomLink key={room.id} room={room} current={room.id === current} />
          ))}
          {loaded && mine.length === 0 && <li className="quiet small none">Join a room below, or make one.</li>}
        </Section>
        <Section title="Direct messages" action="Write to somebody" testid="new-direct" onAction={() => setDialog('direct')}>
          {direct.map((room) => (
            <RoomLink key={room.id} room={room} current={room.id === current} />
          ))}
        </Section>
        {open.length > 0 && (
          <Section title="Open to join">
            {open.map((room) => (
              <Joinable key={room.id} room={room} current={room.id === current} />
            ))}
          </Section>
        )}
      </div>
      <UserMenu onHelp={onHelp} onLeave={onLeave} />
      <Suspense>
        {dialog === 'room' && <NewRoom onClose={() => setDialog(null)} />}
        {dialog === 'direct' && <NewDirect onClose={() => setDialog(null)} />}
      </Suspense>
    </nav>
  )
}

interface SectionProps {
  title: string
  action?: string
  testid?: string
  onAction?(): void
  children: React.ReactNode
}

function Section({ title, action, testid, onAction, children }: SectionProps) {
  return (
    <section>
      <div className="rooms-head">
        <h2>{title}</h2>
        {action && (
          <button type="button" className="icon-button" data-testid={testid} aria-label={action} title={action} onClick={onAction}>
            <Icon name="add" size={18} />
          </button>
        )}
      </div>
      <ul>{children}</ul>
    </section>
  )
}

/** What the last message of a room is about, in one line. */
export function lastLine(room: Room, me: string): string {
  const { last } = room
  if (!last) return room.topic || 'No messages yet'
  if (last.type === 'system') return last.message
  const text = last.message || (last.type === 'image' ? 'a picture' : last.type === 'file' ? 'a file' : 'a deleted message')
  if (room.kind === 'direct' && last.sender_name !== me) return text
  return `${last.sender_name === me ? 'You' : last.sender_name}: ${text}`
}

function RoomLink({ room, current }: { room: Room; current: boolean }) {
  const { me } = useChat()
  return (
    <li>
      <a
        href={roomPath(room.id)}
        className={`room-link inset${room.unread > 0 ? ' unread' : ''}`}
        aria-current={current ? 'page' : undefined}
        data-testid="room"
        data-room={room.id}
        onClick={(e) => {
          if (e.ctrlKey || e.metaKey || e.shiftKey) return
          e.preventDefault()
          navigate(roomPath(room.id))
        }}
      >
        {room.kind === 'direct' && room.with ? <Avatar id={room.with.id} name={room.with.name} /> : <span className="room-icon"><Icon name={room.kind === 'private' ? 'lock' : 'room'} size={18} /></span>}
        <span className="room-name cut">
          <bdi>{room.name}</bdi>
        </span>
        {room.last && (
          <time className="quiet tiny num" dateTime={room.last.created_at} title={wholeTime(room.last.created_at)}>
            {shortAgo(room.last.created_at)}
          </time>
        )}
        <span className="room-last quiet small cut" data-testid="last">
          {lastLine(room, me.name)}
        </span>
        {room.unread > 0 && (
          <span className="badge" data-testid="unread">
            {room.mentions > 0 && '@'}
            {room.unread > 99 ? '99+' : room.unread}
            <span className="hidden"> unread</span>
          </span>
        )}
      </a>
    </li>
  )
}

function Joinable({ room, current }: { room: Room; current: boolean }) {
  return (
    <li>
      <a
        href={roomPath(room.id)}
        className="room-link inset"
        aria-current={current ? 'page' : undefined}
        data-testid="open-room"
        data-room={room.id}
        onClick={(e) => {
          if (e.ctrlKey || e.metaKey || e.shiftKey) return
          e.preventDefault()
          navigate(roomPath(room.id))
        }}
      >
        <span className="room-icon">
          <Icon name="room" size={18} />
        </span>
        <span className="room-name cut">
          <bdi>{room.name}</bdi>
        </span>
        <span className="room-last quiet small cut">
          {room.topic || (room.members === 1 ? '1 person' : `${room.members} people`)}
        </span>
      </a>
    </li>
  )
}
