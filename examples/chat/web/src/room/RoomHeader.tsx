import { lazy, Suspense, useState } from 'react'
import type { Member, Room } from '../api/types'
import { leaveRoom } from '../api/calls'
import { words } from '../api/request'
import { useChat } from '../state/context'
import { navigate } from '../state/route'
import { Avatar } from '../ui/Avatar'
import { Confirm } from '../ui/Dialog'
import { Icon } from '../ui/Icon'
import { Menu } from '../ui/Menu'
import { lastSeen } from '../ui/time'

const EditRoom = lazy(() => import('../rooms/EditRoom'))
const AddPeople = lazy(() => import('../rooms/AddPeople'))

interface Props {
  room: Room
  members: Member[] | null
  peopleOpen: boolean
  onPeople(): void
  onSearch(): void
  onBack(): void
}

export function RoomHeader({ room, members, peopleOpen, onPeople, onSearch, onBack }: Props) {
  const chat = useChat()
  const [menu, setMenu] = useState<HTMLElement | null>(null)
  const [dialog, setDialog] = useState<'edit' | 'add' | 'leave' | null>(null)
  const online = members?.filter((m) => m.is_online).length ?? 0
  const other = room.kind === 'direct' ? members?.find((m) => m.id === room.with?.id) : undefined

  const leave = async () => {
    try {
      await leaveRoom(room.id)
      chat.remove(room.id)
      navigate('/')
    } catch (err) {
      chat.notify(words(err))
    }
  }

  const here = room.kind !== 'direct' ? members && `${online} online` : other && (other.is_online ? 'online' : lastSeen(other.last_seen))

  return (
    <header className="room-header">
      <button type="button" className="icon-button back" data-testid="back" aria-label="Back to the rooms" onClick={onBack}>
        <Icon name="back" />
      </button>
      {room.kind === 'direct' && room.with ? (
        <Avatar id={room.with.id} name={room.with.name} online={other?.is_online ?? false} />
      ) : (
        <span className="room-icon">
          <Icon name={room.kind === 'private' ? 'lock' : 'room'} />
        </span>
      )}
      <div className="room-title">
        <h2 className="cut">
          <bdi>{room.name}</bdi>
        </h2>
        <p className="quiet tiny cut num" data-testid="online">
          <bdi>{here}</bdi>
          {here && room.topic ? ' · ' : '\u00a0'}
          <bdi>{room.topic}</bdi>
        </p>
      </div>
      <button type="button" className="icon-button" data-testid="search" aria-label="Search (Ctrl+K)" title="Search (Ctrl+K)" onClick={onSearch}>
        <Icon name="search" />
      </button>
      <button type="button" className="icon-button" data-testid="people" aria-label="People" title="People" aria-expanded={peopleOpen} onClick={onPeople}>
        <Icon name="people" />
      </button>
      {room.kind !== 'direct' && (
        <button type="button" className="icon-button" data-testid="room-menu" aria-label="More about this room" title="More" aria-expanded={menu !== null} aria-haspopup="menu" onClick={(e) => setMenu(e.currentTarget)}>
          <Icon name="more" />
        </button>
      )}
      {menu && (
        <Menu anchor={menu} label="This room" onClose={() => setMenu(null)}>
          {(room.manages || chat.me.role === 'admin') && (
            <button type="button" role="menuitem" className="menu-item" onClick={() => setDialog('edit')}>
              <Icon name="edit" size={18} /> Name and topic
            </button>
          )}
          {room.kind === 'private' && (
            <button type="button" role="menuitem" className="menu-item" onClick={() => setDialog('add')}>
              <Icon name="people" size={18} /> Add people
            </button>
          )}
          <button type="button" role="menuitem" className="menu-item danger" data-testid="leave-room" onClick={() => setDialog('leave')}>
            <Icon name="exit" size={18} /> Leave this room
          </button>
        </Menu>
      )}
      <Suspense>
        {dialog === 'edit' && <EditRoom room={room} onClose={() => setDialog(null)} />}
        {dialog === 'add' && <AddPeople room={room} onClose={() => setDialog(null)} />}
      </Suspense>
      {dialog === 'leave' && (
        <Confirm
          title={`Leave ${room.name}?`}
          text={room.kind === 'open' ? 'You can join again whenever you like.' : 'Somebody in it has to add you again.'}
          action="Leave"
          onConfirm={() => void leave()}
          onClose={() => setDialog(null)}
        />
      )}
    </header>
  )
}
