import { lazy, Suspense, useCallback, useEffect, useRef, useState } from 'react'
import type { Session, User } from '../api/types'
import { RoomList } from '../rooms/RoomList'
import { Room } from '../room/Room'
import { Chat } from '../state/chat'
import { ChatContext } from '../state/context'
import { navigate, roomPath, useRoute } from '../state/route'
import { useStore } from '../state/store'
import { promptNow } from '../notifications/prompt'
import { Announcer } from './Announcer'
import { Banner } from './Banner'
import { Notices } from './Notices'
import './shell.css'
import { useTitle } from './useTitle'

const People = lazy(() => import('../people/People').then((m) => ({ default: m.People })))
const Search = lazy(() => import('../search/Search'))
const JoinRoom = lazy(() => import('../rooms/JoinRoom'))
const PushPrompt = lazy(() => import('../notifications/PushPrompt'))
const Help = lazy(() => import('./Help'))

const wide = '(min-width: 1100px)'
const peopleKey = 'chat/people'

interface Props {
  session: Session
  user: User
  onLeave(): void
}

/** The chat of somebody who is signed in. */
export function Shell({ session, user, onLeave }: Props) {
  const [chat] = useState(() => new Chat(session, user))
  useEffect(() => {
    chat.start()
    return () => chat.stop()
  }, [chat])
  return (
    <ChatContext value={chat}>
      <Screen chat={chat} onLeave={onLeave} />
    </ChatContext>
  )
}

function Screen({ chat, onLeave }: { chat: Chat; onLeave(): void }) {
  const route = useRoute()
  const rooms = useStore(chat, (s) => s.rooms)
  const loaded = useStore(chat, (s) => s.loaded)
  const [people, setPeople] = useState(() => matchMedia(wide).matches && localStorage.getItem(peopleKey) !== 'closed')
  const [dialog, setDialog] = useState<'search' | 'help' | null>(null)
  const [asked, setAsked] = useState(false)
  const asking = !asked && promptNow(rooms)
  const room = rooms.find((r) => r.id === route.room)
  const joined = (room?.joined && !room.full) ?? false

  // On a computer there is always a room to look at; on a phone there is the list first.
  useEffect(() => {
    if (!loaded || route.room || !matchMedia('(min-width: 700px)').matches) return
    const first = rooms.find((r) => r.joined) ?? rooms[0]
    if (first) navigate(roomPath(first.id), 'replace')
  }, [loaded, route.room, rooms])
  useEffect(() => {
    chat.set({ roomId: joined ? route.room : null })
  }, [chat, joined, route.room])

  const conversation = useConversation(chat, joined ? route.room : null, route)
  useTitle(room?.name ?? '', rooms)

  const openPeople = useCallback((open: boolean) => {
    setPeople(open)
    if (matchMedia(wide).matches) localStorage.setItem(peopleKey, open ? 'open' : 'closed')
  }, [])

  useEffect(() => {
    const keyDown = (event: KeyboardEvent) => {
      const typing = (event.target as HTMLElement).closest('input, textarea, dialog')
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault()
        setDialog('search')
      } else if (event.altKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) {
        event.preventDefault()
        const all = chat.get().rooms.filter((r) => r.joined)
        const i = all.findIndex((r) => r.id === chat.get().roomId)
        const next = all.at((i + (event.key === 'ArrowDown' ? 1 : -1) + all.length) % (all.length || 1))
        if (next) navigate(roomPath(next.id))
      } else if ((event.key === '?' && !typing) || (event.key === '/' && (event.ctrlKey || event.metaKey))) {
        event.preventDefault()
        setDialog('help')
      } else if (event.key === 'Escape' && !typing && !matchMedia(wide).matches) {
        setPeople(false)
      }
    }
    addEventListener('keydown', keyDown)
    return () => removeEventListener('keydown', keyDown)
  }, [chat])

  const back = () => navigate('/')
  return (
    <div className={`shell${room ? ' in-room' : ''}${people && conversation ? ' with-people' : ''}`}>
      <a className="skip" href="#main">
        Skip to the messages
      </a>
      <RoomList onSearch={() => setDialog('search')} onHelp={() => setDialog('help')} onLeave={onLeave} />
      <main id="main" tabIndex={-1}>
        <h1 className="hidden">Carillon chat</h1>
        <Banner />
        {room && conversation ? (
          <Room
            key={room.id}
            room={room}
            conversation={conversation}
            peopleOpen={people}
            onPeople={() => openPeople(!people)}
            onSearch={() => setDialog('search')}
            onBack={back}
          />
        ) : room && !joined ? (
          <Suspense>
            <JoinRoom key={room.id} room={room} onBack={back} />
          </Suspense>
        ) : (
          loaded && (
            <div className="empty" data-testid="no-room">
              <p>{route.room ? 'This room is not there, or not for you.' : 'Choose a room on the left, or make one.'}</p>
              {route.room && (
                <button type="button" className="button" onClick={back}>
                  To the rooms
                </button>
              )}
            </div>
          )
        )}
      </main>
      {people && room && conversation && (
        <Suspense fallback={<aside className="people" />}>
          <People key={room.id} room={room} conversation={conversation} onClose={() => openPeople(false)} />
        </Suspense>
      )}
      <Suspense>
        {dialog === 'search' && <Search onClose={() => setDialog(null)} />}
        {dialog === 'help' && <Help onClose={() => setDialog(null)} />}
      </Suspense>
      {asking && (
        <Suspense>
          <PushPrompt onDone={() => setAsked(true)} />
        </Suspense>
      )}
      <Notices />
      <Announcer conversation={conversation} />
    </div>
  )
}

/** The conversation of the room that the address names, and the message in it that it may name. */
function useConversation(chat: Chat, roomId: number | null, route: { message: number | null }) {
  const [conversation, setConversation] = useState<ReturnType<Chat['conversation']> | null>(null)
  const asked = useRef<object>(null)
  useEffect(() => {
    const room = chat.room(roomId)
    if (!room) return setConversation(null)
    // The same address may be asked for again: each asking is another route.
    const message = route.message !== null && asked.current !== route ? route.message : undefined
    asked.current = route
    setConversation(chat.conversation(room, message))
  }, [chat, roomId, route])
  return conversation && conversation.room.id === roomId ? conversation : null
}
