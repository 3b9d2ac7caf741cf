import { useEffect, useState, useSyncExternalStore } from 'react'
import type { User } from './api'
import { Composer } from './Composer'
import { Members } from './Members'
import { MessageList } from './MessageList'
import { Room } from './room'
import { StatusBadge } from './StatusBadge'
import { useUnreadTitle } from './useUnreadTitle'

interface Props {
  me: User
  onSignedOut: () => void
  onLeave: () => void
}

export function ChatRoom({ me, onSignedOut, onLeave }: Props) {
  const [room] = useState(() => new Room(me, onSignedOut))
  const state = useSyncExternalStore(room.subscribe, room.snapshot)
  const [showMembers, setShowMembers] = useState(false)
  useEffect(() => {
    room.start()
    return () => room.stop()
  }, [room])
  useUnreadTitle(state.messages, me)

  return (
    <div className="room">
      <header>
        <img src="/icon.svg" alt="" width="28" height="28" />
        <div className="title">
          <h1>Lobby</h1>
          <StatusBadge status={state.status} onReconnect={() => room.reconnect()} />
        </div>
        <button
          className="quiet members-toggle"
          aria-expanded={showMembers}
          aria-controls="members"
          onClick={() => setShowMembers(!showMembers)}
        >
          {state.members.length} here
        </button>
        <button className="quiet" data-testid="leave" onClick={onLeave}>
          Leave
        </button>
      </header>
      <Members members={state.members} me={me} open={showMembers} stale={state.status !== 'connected'} />
      <main>
        {state.problem && (
          <p className="banner error" role="alert" data-testid="problem">
            {state.problem}
          </p>
        )}
        <MessageList state={state} me={me} room={room} />
        <p className="typing" role="status" data-testid="typing">
          {typingText(state.typing)}
        </p>
        <Composer onSend={(text) => room.send(text)} onTyping={(active) => room.typed(active)} />
      </main>
    </div>
  )
}

function typingText(typing: User[]): string {
  const names = typing.map((u) => u.name)
  if (names.length === 0) return ''
  if (names.length === 1) return `${names[0]} is typing…`
  if (names.length === 2) return `${names[0]} and ${names[1]} are typing…`
  return 'Several people are typing…'
}
