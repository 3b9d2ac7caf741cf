import { useState } from 'react'
import { joinRoom } from '../api/calls'
import { words } from '../api/request'
import type { Room } from '../api/types'
import { useChat } from '../state/context'
import { Icon } from '../ui/Icon'

/** A room that this user is not in yet, or has no place in. */
export default function JoinRoom({ room, onBack }: { room: Room; onBack(): void }) {
  const chat = useChat()
  const [problem, setProblem] = useState(room.full ? `This room is full (${room.capacity} people). Try again in a minute.` : '')
  const [busy, setBusy] = useState(false)
  const join = async () => {
    setBusy(true)
    try {
      chat.put((await joinRoom(room.id)).room)
    } catch (err) {
      setProblem(words(err))
    }
    setBusy(false)
  }
  return (
    <section className="room" aria-label={room.name}>
      <header className="room-header">
        <button type="button" className="icon-button back" aria-label="Back to the rooms" onClick={onBack}>
          <Icon name="back" />
        </button>
        <span className="room-icon">
          <Icon name="room" />
        </span>
        <div className="room-title">
          <h2 className="cut">
            <bdi>{room.name}</bdi>
          </h2>
        </div>
      </header>
      <div className="empty">
        {room.topic && <p>{room.topic}</p>}
        {!room.joined && (
          <p className="quiet">
            {room.members === 0 ? 'Nobody is in here yet.' : room.members === 1 ? 'One person is in here.' : `${room.members} people are in here.`} Join to read and write.
          </p>
        )}
        {problem && (
          <p className="warning" role="alert" data-testid="join-problem">
            <Icon name="warn" size={16} /> {problem}
          </p>
        )}
        <button type="button" className="button primary" data-testid="join" aria-busy={busy} disabled={busy} onClick={() => void join()}>
          {problem ? 'Try again' : `Join ${room.name}`}
        </button>
      </div>
    </section>
  )
}
