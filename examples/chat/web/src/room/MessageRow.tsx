import { memo, useRef, useState, type KeyboardEvent, type PointerEvent } from 'react'
import type { FileInfo, Member, Message, Role, User } from '../api/types'
import { Avatar, hueOf, RoleTag } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import { Menu } from '../ui/Menu'
import { bareTime, clockTime, wholeTime } from '../ui/time'
import { Attachment } from './Attachment'
import { MessageText } from './MessageText'
import { Reactions } from './Reactions'

/** What can be done with a message. The same for all of a room, so that rows do not change with it. */
export interface Actions {
  react(message: Message, emoji: string): void
  pick(message: Message, anchor: HTMLElement): void
  reply(message: Message): void
  edit(message: Message): void
  remove(message: Message): void
  copy(message: Message): void
  copyLink(message: Message): void
  jump(messageId: number): void
  open(file: FileInfo): void
}

interface Props {
  message: Message
  head: boolean
  me: User
  members: Member[] | null
  /** This user may remove what others wrote. */
  moderates: boolean
  /** Was just jumped to. */
  flash: boolean
  actions: Actions
}

const longPress = 500

export const MessageRow = memo(function MessageRow({ message, head, me, members, moderates, flash, actions }: Props) {
  const [active, setActive] = useState(false)
  const [menu, setMenu] = useState<HTMLElement | null>(null)
  const row = useRef<HTMLElement>(null)
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined)
  const mine = message.sender_id === me.id
  const gone = message.deleted_at !== null
  const may = { edit: mine && !gone && message.type === 'text', remove: (mine || moderates) && !gone }
  const called = message.mentions.includes(me.id)

  const keyDown = (event: KeyboardEvent) => {
    if (event.target !== row.current || event.ctrlKey || event.metaKey || event.altKey || gone) return
    const act = {
      r: () => actions.reply(message),
      '+': () => actions.pick(message, row.current!),
      c: () => actions.copy(message),
      e: () => may.edit && actions.edit(message),
      Delete: () => may.remove && actions.remove(message),
      Enter: () => setMenu(row.current),
    }[event.key]
    if (!act) return
    event.preventDefault()
    act()
  }
  const pressed = (event: PointerEvent) => {
    clearTimeout(timer.current)
    if (event.pointerType === 'touch' && !gone && !(event.target as Element).closest('a, button')) {
      timer.current = setTimeout(() => setMenu(row.current), longPress)
    }
  }
  const released = () => clearTimeout(timer.current)

  return (
    <article
      ref={row}
      className={`message${head ? ' head' : ''}${mine ? ' mine' : ''}${flash ? ' flash' : ''}${called ? ' called' : ''}`}
      tabIndex={-1}
      data-testid="message"
      data-id={message.id}
      aria-label={`${message.sender_name}, ${wholeTime(message.created_at)}${message.edited_at && !gone ? ', edited' : ''}`}
      onKeyDown={keyDown}
      onPointerEnter={(e) => e.pointerType !== 'touch' && setActive(true)}
      onPointerLeave={() => setActive(false)}
      onPointerDown={pressed}
      onPointerUp={released}
      onPointerMove={released}
      onPointerCancel={released}
      onFocus={() => setActive(true)}
      onBlur={(e) => !e.currentTarget.contains(e.relatedTarget) && setActive(false)}
    >
      {head ? (
        <Avatar id={message.sender_id} name={message.sender_name} />
      ) : (
        <time className="gutter num" dateTime={message.created_at} title={wholeTime(message.created_at)}>
          {bareTime(message.created_at)}
        </time>
      )}
      <div className="content">
        {head && (
          <p className="author">
            <bdi className="name" style={{ color: hueOf(message.sender_id) }}>
              {message.sender_name}
            </bdi>
            <RoleTag role={message.sender_role} />
            <time className="quiet tiny num" dateTime={message.created_at} title={wholeTime(message.created_at)}>
              {clockTime(message.created_at)}
            </time>
          </p>
        )}
        <div className="bubble">
          {message.reply_to && !gone && (
            <button type="button" className="quote" data-testid="quote" onClick={() => actions.jump(message.reply_to!.id)}>
              <bdi className="name">{message.reply_to.sender_name}</bdi>
              <span className="cut">
                {message.reply_to.deleted ? 'This message was deleted.' : message.reply_to.message || (message.reply_to.type === 'image' ? 'A picture' : 'A file')}
              </span>
            </button>
          )}
          {gone ? (
            <p className="text deleted" data-testid="text">
              {mine && message.deleted_by === me.name ? 'You deleted this message.' : message.deleted_by === message.sender_name || !message.deleted_by ? 'This message was deleted.' : `${message.deleted_by} removed this message.`}
            </p>
          ) : (
            message.message !== '' && <MessageText message={message} me={me.id} members={members} />
          )}
          {message.file && <Attachment file={message.file} onOpen={actions.open} />}
          {message.edited_at && !gone && (
            <span className="edited quiet tiny" title={`Edited ${wholeTime(message.edited_at)}`}>
              edited
            </span>
          )}
        </div>
        <Reactions message={message} me={me.id} onToggle={(emoji) => actions.react(message, emoji)} onPick={(a) => actions.pick(message, a)} />
      </div>
      {active && !gone && (
        <div className="actions" role="toolbar" aria-label="Message actions">
          <Act label="React" name="smile" testid="react" onClick={(a) => actions.pick(message, a)} />
          <Act label="Reply" name="reply" testid="reply" onClick={() => actions.reply(message)} />
          {may.edit && <Act label="Edit" name="edit" testid="edit" onClick={() => actions.edit(message)} />}
          <Act label="Copy the text" name="copy" testid="copy" onClick={() => actions.copy(message)} />
          {may.remove && <Act label="Delete" name="trash" testid="delete" onClick={() => actions.remove(message)} />}
          <Act label="More" name="more" testid="more" onClick={setMenu} />
        </div>
      )}
      {menu && (
        <Menu anchor={menu} label="Message actions" onClose={() => setMenu(null)}>
          <div className="quick-reactions" role="none">
            {['👍', '❤️', '😂', '🎉', '👀', '✅'].map((emoji) => (
              <button key={emoji} type="button" role="menuitem" className="menu-item" aria-label={`React with ${emoji}`} onClick={() => actions.react(message, emoji)}>
                {emoji}
              </button>
            ))}
          </div>
          <Item name="smile" label="Another reaction…" onClick={() => actions.pick(message, row.current!)} />
          <Item name="reply" label="Reply" onClick={() => actions.reply(message)} />
          {may.edit && <Item name="edit" label="Edit" onClick={() => actions.edit(message)} />}
          <Item name="copy" label="Copy the text" onClick={() => actions.copy(message)} />
          <Item name="room" label="Copy a link to it" onClick={() => actions.copyLink(message)} />
          {may.remove && <Item name="trash" label="Delete" danger onClick={() => actions.remove(message)} />}
        </Menu>
      )}
    </article>
  )
})

interface ActProps {
  label: string
  name: Parameters<typeof Icon>[0]['name']
  testid: string
  onClick(anchor: HTMLElement): void
}

function Act({ label, name, testid, onClick }: ActProps) {
  return (
    <button type="button" className="icon-button" title={label} aria-label={label} data-testid={testid} onClick={(e) => onClick(e.currentTarget)}>
      <Icon name={name} size={18} />
    </button>
  )
}

function Item({ name, label, danger, onClick }: { name: ActProps['name']; label: string; danger?: boolean; onClick(): void }) {
  return (
    <button type="button" role="menuitem" className={`menu-item${danger ? ' danger' : ''}`} onClick={onClick}>
      <Icon name={name} size={18} />
      {label}
    </button>
  )
}

export const moderates = (role: Role, manages: boolean) => manages || role === 'teacher' || role === 'admin'
