import { memo, useEffect, useId, useLayoutEffect, useMemo, useRef, useState } from 'react'
import type { Message, User } from './api'
import { Avatar } from './Avatar'
import type { Room } from './room'
import { messageKey, timeline, type Entry, type Outgoing, type RoomState } from './state'

const nearBottom = 80
const groupWithin = 5 * 60_000
// Made once: making one takes longer than all else about a message.
const timeOfDay = new Intl.DateTimeFormat([], { hour: '2-digit', minute: '2-digit' })
const dayAndTime = new Intl.DateTimeFormat([], { dateStyle: 'medium', timeStyle: 'medium' })

export function MessageList({ state, me, room }: { state: RoomState; me: User; room: Room }) {
  const list = useRef<HTMLDivElement>(null)
  const content = useRef<HTMLDivElement>(null)
  const [atBottom, setAtBottom] = useState(true)
  /** What atBottom is, for those who run between two renderings. */
  const pinned = useRef(true)
  const height = useRef(0)
  const first = useRef('')
  const seen = useRef(0)
  const entries = useMemo(() => timeline(state.messages, state.notices), [state.messages, state.notices])
  const last = state.outbox.at(-1)?.clientId

  // Nothing is returned: scrollTo gives a promise, which an effect must not.
  const toBottom = () => {
    list.current?.scrollTo({ top: list.current.scrollHeight })
  }
  useEffect(() => {
    // Who is at the bottom stays there, whether messages come or the composer
    // or the phone's keyboard takes some of the height.
    const observer = new ResizeObserver(() => {
      if (pinned.current) toBottom()
    })
    if (list.current) observer.observe(list.current)
    if (content.current) observer.observe(content.current)
    return () => observer.disconnect()
  }, [])
  useLayoutEffect(() => {
    const el = list.current
    if (!el) return
    const top = state.messages[0] ? messageKey(state.messages[0]) : ''
    // What was in view stays there when older messages come in above it.
    if (first.current && first.current !== top && !atBottom) el.scrollTop += el.scrollHeight - height.current
    first.current = top
    height.current = el.scrollHeight
    if (atBottom) seen.current = state.messages.at(-1)?.sent_at ?? 0
  }, [state.messages, state.notices, state.outbox, atBottom])
  useLayoutEffect(toBottom, [last])

  const scrolled = () => {
    const el = list.current
    if (!el) return
    pinned.current = el.scrollHeight - el.scrollTop - el.clientHeight < nearBottom
    setAtBottom(pinned.current)
  }
  const unseen = state.messages.filter((m) => m.sent_at > seen.current && m.user_id !== me.id).length
  const lastEntry = entries.at(-1)
  const lastIsMine = lastEntry?.kind === 'message' && lastEntry.message.user_id === me.id

  // The button that was pressed goes away: the focus must not go with it.
  const focusList = () => list.current?.focus({ preventScroll: true })
  const showOlder = () => {
    focusList()
    void room.loadOlder()
  }
  const showNewest = () => {
    focusList()
    toBottom()
  }
  const retry = (clientId: string) => {
    focusList()
    void room.retry(clientId)
  }
  const discard = (clientId: string) => {
    focusList()
    room.discard(clientId)
  }

  return (
    <div className="messages-frame">
      <div
        className="messages"
        ref={list}
        onScroll={scrolled}
        role="log"
        aria-live="polite"
        aria-label="Messages"
        aria-busy={state.loading}
        tabIndex={0}
        data-testid="messages"
      >
        <div ref={content}>
          {state.older && (
            <button className="quiet older" data-testid="older" disabled={state.loading} onClick={showOlder}>
              Show older messages
            </button>
          )}
          {entries.length === 0 && state.outbox.length === 0 && (
            <p className="muted empty">{state.loading ? 'Loading messages…' : 'Nothing here yet. Say hello!'}</p>
          )}
          {entries.map((entry, i) => {
            switch (entry.kind) {
              case 'day':
                return (
                  <p key={`day-${entry.name}`} className="notice day" data-testid="day">
                    {entry.name}
                  </p>
                )
              case 'notice':
                return (
                  <p key={`notice-${entry.notice.id}`} className="notice" data-testid="notice">
                    {entry.notice.text}
                  </p>
                )
              case 'message':
                return (
                  <Bubble
                    key={messageKey(entry.message)}
                    message={entry.message}
                    mine={entry.message.user_id === me.id}
                    continued={continues(entries[i - 1], entry.message)}
                  />
                )
            }
          })}
          {state.outbox.map((out, i) => (
            <Unsent key={`${me.id}/${out.clientId}`} out={out} me={me} continued={i > 0 || lastIsMine} onRetry={retry} onDiscard={discard} />
          ))}
        </div>
      </div>
      {!atBottom && (
        <button className="primary to-bottom" data-testid="newest" onClick={showNewest}>
          {unseen === 0 ? 'Newest messages' : unseen === 1 ? '1 new message' : `${unseen} new messages`} ↓
        </button>
      )}
    </div>
  )
}

/** Whether a message follows one of the same author closely. */
function continues(before: Entry | undefined, message: Message): boolean {
  return (
    before?.kind === 'message' &&
    before.message.user_id === message.user_id &&
    message.sent_at - before.message.sent_at < groupWithin
  )
}

interface BubbleProps {
  message: Message
  mine: boolean
  continued: boolean
}

/** Does not change while the others come and go. */
const Bubble = memo(function Bubble({ message, mine, continued }: BubbleProps) {
  const time = new Date(message.sent_at)
  const id = useId()
  return (
    <article
      className={`message${mine ? ' mine' : ''}${continued ? ' continued' : ''}`}
      aria-labelledby={id}
      title={dayAndTime.format(time)}
      data-testid="message"
    >
      {!continued && <Avatar user={{ id: message.user_id, name: message.name }} />}
      <p id={id} className={continued ? 'hidden' : 'author'}>
        <span className="name">{message.name}</span>{' '}
        <time dateTime={time.toISOString()}>{timeOfDay.format(time)}</time>
      </p>
      <p className="text" data-testid="text">
        <Text text={message.text} />
      </p>
    </article>
  )
})

/** What follows an address in a sentence is not part of it. */
const addresses = /(https?:\/\/[^\s<>"]*[^\s<>"'.,:;!?)\]])/

/** The text, with its web addresses as links. */
function Text({ text }: { text: string }) {
  return text.split(addresses).map((part, i) =>
    i % 2 === 0 ? (
      part
    ) : (
      <a key={i} href={part} target="_blank" rel="noopener noreferrer nofollow">
        {part}
      </a>
    ),
  )
}

interface UnsentProps {
  out: Outgoing
  me: User
  continued: boolean
  onRetry: (clientId: string) => void
  onDiscard: (clientId: string) => void
}

function Unsent({ out, me, continued, onRetry, onDiscard }: UnsentProps) {
  return (
    <article
      className={`message mine ${out.state}${continued ? ' continued' : ''}`}
      data-testid="unsent"
      data-state={out.state}
    >
      {!continued && <Avatar user={me} />}
      <p className={continued ? 'hidden' : 'author'}>
        <span className="name">{me.name}</span>
      </p>
      <p className="text" data-testid="text">
        {out.text}
      </p>
      {out.state === 'pending' ? (
        <p className="muted">Sending…</p>
      ) : (
        <p className="error" role="alert">
          Not sent. {out.error}{' '}
          <button className="quiet" data-testid="retry" onClick={() => onRetry(out.clientId)}>
            Try again
          </button>
          <button className="quiet" data-testid="discard" onClick={() => onDiscard(out.clientId)}>
            Discard
          </button>
        </p>
      )}
    </article>
  )
}
