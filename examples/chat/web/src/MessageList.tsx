import { useLayoutEffect, useRef, useState } from 'react'
import type { Message, User } from './api'
import { Avatar } from './Avatar'
import type { Room } from './room'
import { messageKey, timeline, type Entry, type Outgoing, type RoomState } from './state'

const nearBottom = 80
const groupWithin = 5 * 60_000

export function MessageList({ state, me, room }: { state: RoomState; me: User; room: Room }) {
  const list = useRef<HTMLDivElement>(null)
  const [atBottom, setAtBottom] = useState(true)
  const height = useRef(0)
  const first = useRef('')
  const entries = timeline(state.messages, state.notices)
  const last = state.outbox.at(-1)?.clientId

  // Nothing is returned: scrollTo gives a promise, which an effect must not.
  const toBottom = () => {
    list.current?.scrollTo({ top: list.current.scrollHeight })
  }
  useLayoutEffect(() => {
    const el = list.current
    if (!el) return
    const top = state.messages[0] ? messageKey(state.messages[0]) : ''
    // What was in view stays there when older messages come in above it.
    if (first.current && first.current !== top && !atBottom) el.scrollTop += el.scrollHeight - height.current
    else if (atBottom) el.scrollTop = el.scrollHeight
    first.current = top
    height.current = el.scrollHeight
  }, [state.messages, state.notices, state.outbox, atBottom])
  useLayoutEffect(toBottom, [last])

  const scrolled = () => {
    const el = list.current
    if (el) setAtBottom(el.scrollHeight - el.scrollTop - el.clientHeight < nearBottom)
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
        {state.older && (
          <button className="quiet older" data-testid="older" disabled={state.loading} onClick={() => room.loadOlder()}>
            Show older messages
          </button>
        )}
        {entries.length === 0 && state.outbox.length === 0 && (
          <p className="muted empty">{state.loading ? 'Loading messages…' : 'Nothing here yet. Say hello!'}</p>
        )}
        {entries.map((entry, i) =>
          entry.kind === 'notice' ? (
            <p key={`notice-${entry.notice.id}`} className="notice" data-testid="notice">
              {entry.notice.text}
            </p>
          ) : (
            <Bubble
              key={messageKey(entry.message)}
              message={entry.message}
              mine={entry.message.user_id === me.id}
              continued={continues(entries[i - 1], entry.message)}
            />
          ),
        )}
        {state.outbox.map((out) => (
          <Unsent key={`${me.id}/${out.clientId}`} out={out} room={room} />
        ))}
      </div>
      {!atBottom && (
        <button className="primary to-bottom" onClick={toBottom}>
          Newest messages ↓
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

function Bubble({ message, mine, continued }: { message: Message; mine: boolean; continued: boolean }) {
  const time = new Date(message.sent_at)
  return (
    <article className={`message${mine ? ' mine' : ''}${continued ? ' continued' : ''}`} data-testid="message">
      {!continued && <Avatar user={{ id: message.user_id, name: message.name }} />}
      <p className={continued ? 'hidden' : 'author'}>
        <span className="name">{message.name}</span>{' '}
        <time dateTime={time.toISOString()} title={time.toLocaleString()}>
          {time.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit' })}
        </time>
      </p>
      <p className="text" data-testid="text">
        {message.text}
      </p>
    </article>
  )
}

function Unsent({ out, room }: { out: Outgoing; room: Room }) {
  return (
    <article className={`message mine ${out.state}`} data-testid="unsent" data-state={out.state}>
      <p className="text" data-testid="text">
        {out.text}
      </p>
      {out.state === 'pending' ? (
        <p className="muted">Sending…</p>
      ) : (
        <p className="error" role="alert">
          Not sent. {out.error}{' '}
          <button className="quiet" data-testid="retry" onClick={() => room.retry(out.clientId)}>
            Try again
          </button>
          <button className="quiet" onClick={() => room.discard(out.clientId)}>
            Discard
          </button>
        </p>
      )}
    </article>
  )
}
