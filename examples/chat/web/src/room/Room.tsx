import { lazy, Suspense, useCallback, useEffect, useMemo, useRef, useState, type DragEvent } from 'react'
import { deleteMessage, editMessage, react } from '../api/calls'
import { words } from '../api/request'
import type { FileInfo, Message, Room as RoomInfo } from '../api/types'
import { Composer, type ComposerHandle } from '../composer/Composer'
import type { Conversation } from '../state/conversation'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { useStore } from '../state/store'
import { Confirm } from '../ui/Dialog'
import { copyText } from '../ui/copy'
import { Icon } from '../ui/Icon'
import type { Actions } from './MessageRow'
import './room.css'
import './message.css'
import './text.css'
import './attachment.css'
import { RoomHeader } from './RoomHeader'
import { Timeline } from './Timeline'
import { TypingLine } from './TypingLine'

const EmojiPicker = lazy(() => import('../composer/EmojiPicker'))
const Lightbox = lazy(() => import('./Lightbox'))

interface Props {
  room: RoomInfo
  conversation: Conversation
  peopleOpen: boolean
  onPeople(): void
  onSearch(): void
  onBack(): void
}

/** A room that this user is in. */
export function Room({ room, conversation, peopleOpen, onPeople, onSearch, onBack }: Props) {
  const chat = useChat()
  const { me } = chat
  const members = useStore(conversation, (s) => s.members)
  const refused = useStore(conversation, (s) => s.refused)
  const messages = useStore(conversation, (s) => s.timeline.messages)
  const composer = useRef<ComposerHandle>(null)
  const [deleting, setDeleting] = useState<Message | null>(null)
  const [reacting, setReacting] = useState<{ message: Message; anchor: HTMLElement } | null>(null)
  const [shown, setShown] = useState<FileInfo | null>(null)
  const [dropping, setDropping] = useState(false)

  const toggle = useCallback(
    async (message: Message, emoji: string) => {
      const mine = message.reactions.some((r) => r.emoji === emoji && r.users.some((u) => u.id === me.id))
      conversation.messageChanged({ ...message, reactions: toggled(message, emoji, me, !mine) })
      try {
        const { reactions, rev } = await react(message, emoji, !mine)
        conversation.messageChanged({ ...message, reactions, rev })
      } catch (err) {
        conversation.messageChanged(message)
        chat.notify(words(err))
      }
    },
    [chat, conversation, me],
  )

  const actions = useMemo(
    (): Actions => ({
      react: (message, emoji) => void toggle(message, emoji),
      pick: (message, anchor) => setReacting({ message, anchor }),
      reply: (message) => composer.current?.reply(message),
      edit: (message) => composer.current?.edit(message),
      remove: setDeleting,
      copy: (message) => void copyText(message.message).then(() => chat.notify('Copied.')),
      copyLink: (message) =>
        void copyText(location.origin + roomPath(message.room_id, message.id)).then(() => chat.notify('Link copied.')),
      jump: (id) => navigate(roomPath(room.id, id)),
      open: setShown,
    }),
    [chat, room.id, toggle],
  )

  // Whoever opens a room on a computer wants to write; on a phone the keyboard would hide what is there.
  useEffect(() => {
    if (matchMedia('(pointer: fine)').matches && !location.pathname.includes('/message/')) composer.current?.focus()
  }, [room.id])

  const remove = async (message: Message) => {
    try {
      conversation.messageChanged((await deleteMessage(message)).message)
    } catch (err) {
      chat.notify(words(err))
    }
  }
  const edit = async (message: Message, text: string) => {
    try {
      conversation.messageChanged((await editMessage(message, text)).message)
      return ''
    } catch (err) {
      return words(err)
    }
  }

  const drag = (event: DragEvent) => {
    if (!event.dataTransfer.types.includes('Files')) return
    event.preventDefault()
    setDropping(true)
  }
  const drop = (event: DragEvent) => {
    if (event.dataTransfer.files.length === 0) return
    event.preventDefault()
    setDropping(false)
    composer.current?.attach(event.dataTransfer.files)
  }

  const pictures = useMemo(() => messages.flatMap((m) => (m.file?.kind === 'image' ? [m.file] : [])), [messages])

  return (
    <section
      className="room"
      aria-label={room.name}
      onDragOver={drag}
      onDragLeave={(e) => !e.currentTarget.contains(e.relatedTarget as Node) && setDropping(false)}
      onDrop={drop}
    >
      <RoomHeader room={room} members={members} peopleOpen={peopleOpen} onPeople={onPeople} onSearch={onSearch} onBack={onBack} />
      {refused ? (
        <div className="empty" role="alert" data-testid="refused">
          <p>{refused}</p>
          <button type="button" className="button" onClick={() => void chat.retry(room.id)}>
            Try again
          </button>
        </div>
      ) : (
        <>
          <Timeline key={room.id} conversation={conversation} room={room} me={me} actions={actions} />
          <div className="foot">
            <TypingLine conversation={conversation} />
            <Composer
              key={room.id}
              ref={composer}
              room={room}
              me={me}
              members={members}
              limits={chat.session.limits}
              onEdit={edit}
              lastOwn={() => messages.findLast((m) => m.sender_id === me.id && m.type === 'text' && !m.deleted_at)}
              onSend={(text, replyTo, files) => {
                void conversation.toNewest()
                // One message has one file: the text goes with the first.
                chat.outbox.add(room.id, text, replyTo, files[0] ?? null)
                for (const file of files.slice(1)) chat.outbox.add(room.id, '', null, file)
              }}
            />
          </div>
        </>
      )}
      {dropping && (
        <div className="drop" aria-hidden="true">
          <Icon name="clip" size={32} />
          Drop it here to attach it
        </div>
      )}
      {deleting && (
        <Confirm
          title="Delete this message?"
          text={<p className="quoted-text">{deleting.message || deleting.file?.name}</p>}
          action="Delete"
          onConfirm={() => void remove(deleting)}
          onClose={() => setDeleting(null)}
        />
      )}
      <Suspense>
        {reacting && (
          <EmojiPicker anchor={reacting.anchor} onPick={(emoji) => void toggle(reacting.message, emoji)} onClose={() => setReacting(null)} />
        )}
        {shown && <Lightbox file={shown} all={pictures} onShow={setShown} onClose={() => setShown(null)} />}
      </Suspense>
    </section>
  )
}

/** The reactions as they will be, before the server has said so. */
function toggled(message: Message, emoji: string, me: { id: number; name: string }, on: boolean): Message['reactions'] {
  const known = message.reactions.find((r) => r.emoji === emoji)
  if (!known) return on ? [...message.reactions, { emoji, count: 1, users: [{ id: me.id, name: me.name }] }] : message.reactions
  const users = on ? [...known.users, { id: me.id, name: me.name }] : known.users.filter((u) => u.id !== me.id)
  const next = { ...known, users, count: known.count + (on ? 1 : -1) }
  return message.reactions.map((r) => (r === known ? next : r)).filter((r) => r.count > 0)
}
