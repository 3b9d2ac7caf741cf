import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from 'react'
import { Virtualizer, type VirtualizerHandle } from 'virtua'
import type { Room, User } from '../api/types'
import { MessagesSkeleton } from '../shell/Skeleton'
import type { Conversation } from '../state/conversation'
import { useChat } from '../state/context'
import { rowsOf, type Row } from '../state/rows'
import { useStore } from '../state/store'
import { Icon } from '../ui/Icon'
import { clockTime, wholeTime } from '../ui/time'
import { MessageRow, moderates, type Actions } from './MessageRow'
import { UnsentRow } from './UnsentRow'

/** Whoever is this close to the end reads what comes. */
const nearEnd = 60
/** More is loaded when less than this is left to scroll. */
const loadWithin = 800
const flashFor = 2_000

interface Props {
  conversation: Conversation
  room: Room
  me: User
  actions: Actions
}

export function Timeline({ conversation, room, me, actions }: Props) {
  const chat = useChat()
  const state = useStore(conversation, (s) => s)
  const outboxAll = useStore(chat.outbox, (s) => s.all)
  const outbox = useMemo(() => outboxAll.filter((o) => o.roomId === room.id), [outboxAll, room.id])
  const { timeline, unreadFrom, jump, loaded, unseen } = state
  const rows = useMemo(() => rowsOf(timeline, outbox, me.id, unreadFrom), [timeline, outbox, me.id, unreadFrom])

  const scroller = useRef<HTMLDivElement>(null)
  const list = useRef<VirtualizerHandle>(null)
  const pinned = useRef(true)
  const offset = useRef(0)
  const [atEnd, setAtEnd] = useState(true)
  const [focused, setFocused] = useState(-1)
  const [flash, setFlash] = useState(0)
  const first = useRef('')
  const jumped = useRef(0)

  // Only where rows came in above those that were there: they stay where they are.
  const firstKey = rows.find((r) => r.kind === 'message' || r.kind === 'system')?.key ?? ''
  const shift = first.current !== '' && firstKey !== first.current && rows.some((r) => r.key === first.current)
  useLayoutEffect(() => {
    first.current = firstKey
  }, [firstKey])

  const count = useRef(0)
  useLayoutEffect(() => {
    count.current = rows.length
  }, [rows])
  const toEnd = useCallback(() => list.current?.scrollToIndex(count.current - 1, { align: 'end' }), [])

  // Where the reader begins: at what was asked for, at what is new, or at the end.
  const opened = useRef(false)
  useLayoutEffect(() => {
    if (!loaded || opened.current) return
    opened.current = true
    if (jump) return
    const fresh = rows.findIndex((r) => r.kind === 'new')
    if (fresh > 0) list.current?.scrollToIndex(fresh, { align: 'start', offset: -80 })
    else toEnd()
  })
  useLayoutEffect(() => {
    if (!loaded || !jump || jumped.current === jump.turn) return
    const i = rows.findIndex((r) => r.kind === 'message' && r.message.id === jump.id)
    if (i < 0) return
    jumped.current = jump.turn
    pinned.current = false
    list.current?.scrollToIndex(i, { align: 'center' })
    setFlash(jump.id)
    setFocused(i)
    setTimeout(() => setFlash(0), flashFor)
    // The row is there once the list has scrolled, and a dialog has given the focus back by then.
    setTimeout(() => focusRow(jump.id), 100)
  }, [jump, loaded, rows])

  // Whoever reads at the end stays there, whatever grows.
  useLayoutEffect(() => {
    if (loaded && pinned.current) toEnd()
  }, [rows, loaded, toEnd])
  const lastOut = outbox.at(-1)?.clientId
  useLayoutEffect(() => {
    if (!lastOut) return
    pinned.current = true
    toEnd()
  }, [lastOut, toEnd])
  useEffect(() => {
    const observer = new ResizeObserver(() => pinned.current && toEnd())
    if (scroller.current) observer.observe(scroller.current)
    return () => observer.disconnect()
  }, [toEnd])

  const look = () => {
    const looking = pinned.current && document.visibilityState === 'visible' && document.hasFocus()
    conversation.setLooking(looking)
  }
  const scrolled = () => {
    const l = list.current
    if (!l || !opened.current) return
    const left = l.scrollSize - l.scrollOffset - l.viewportSize
    // What grows at the end does not take its reader away from there: only scrolling up does.
    if (timeline.hasAfter) pinned.current = false
    else if (left < nearEnd) pinned.current = true
    else if (l.scrollOffset < offset.current) pinned.current = false
    offset.current = l.scrollOffset
    setAtEnd(pinned.current)
    look()
    if (l.scrollOffset < loadWithin) void conversation.loadBefore()
    if (left < loadWithin) void conversation.loadAfter()
  }
  useEffect(() => {
    look()
    for (const type of ['focus', 'blur']) addEventListener(type, look)
    document.addEventListener('visibilitychange', look)
    return () => {
      for (const type of ['focus', 'blur']) removeEventListener(type, look)
      document.removeEventListener('visibilitychange', look)
    }
  })
  // Nobody looks at a room that is not on the screen.
  useEffect(() => () => conversation.leave(), [conversation])
  // A page that does not fill the window is no reason to stop.
  useEffect(() => {
    if (loaded) scrolled()
  }, [loaded, timeline])

  const toNewest = async () => {
    scroller.current?.focus({ preventScroll: true })
    await conversation.toNewest()
    pinned.current = true
    requestAnimationFrame(toEnd)
  }

  const focusRow = (id: number) => scroller.current?.querySelector<HTMLElement>(`[data-id="${id}"]`)?.focus({ preventScroll: true })

  /** Walks the messages with the arrow keys. */
  const keyDown = (event: KeyboardEvent) => {
    const target = event.target as HTMLElement
    if (event.key === 'End' && target === scroller.current) return void toNewest()
    if (event.key !== 'ArrowUp' && event.key !== 'ArrowDown') return
    if (target !== scroller.current && !target.matches('article')) return
    event.preventDefault()
    const step = event.key === 'ArrowUp' ? -1 : 1
    const from = target === scroller.current ? (step < 0 ? rows.length : -1) : rows.findIndex((r) => rowId(r) === target.dataset.id)
    for (let i = from + step; i >= 0 && i < rows.length; i += step) {
      const id = rowId(rows[i]!)
      if (id === undefined) continue
      setFocused(i)
      list.current?.scrollToIndex(i, { align: 'nearest' })
      requestAnimationFrame(() => focusRow(Number(id)))
      return
    }
  }

  const may = moderates(me.role, room.manages)
  const draw = (row: Row) => {
    switch (row.kind) {
      case 'more':
        return (
          <div key={row.key} className="more">
            {state.problem ? (
              <button type="button" className="button bare" onClick={() => void conversation.loadBefore()}>
                {state.problem} Try again
              </button>
            ) : (
              <MessagesSkeleton />
            )}
          </div>
        )
      case 'start':
        return <Start key={row.key} room={room} empty={rows.length === 1} />
      case 'day':
        return (
          <div key={row.key} className="day" data-testid="day">
            <h3>{row.label}</h3>
          </div>
        )
      case 'new':
        return (
          <div key={row.key} className="day new" data-testid="new-line">
            <h3>new</h3>
          </div>
        )
      case 'system':
        return (
          <p key={row.key} className="system" data-testid="notice" data-id={row.message.id}>
            <span>{row.message.message}</span>{' '}
            <time className="num" dateTime={row.message.created_at} title={wholeTime(row.message.created_at)}>
              {clockTime(row.message.created_at)}
            </time>
          </p>
        )
      case 'message':
        return (
          <MessageRow
            key={row.key}
            message={row.message}
            head={row.head}
            me={me}
            members={state.members}
            moderates={may}
            flash={flash === row.message.id}
            actions={actions}
          />
        )
      case 'unsent':
        return (
          <UnsentRow
            key={row.key}
            out={row.out}
            head={row.head}
            me={me}
            members={state.members}
            onRetry={(id) => chat.outbox.retry(id)}
            onDiscard={(id) => {
              scroller.current?.focus({ preventScroll: true })
              chat.outbox.discard(id)
            }}
          />
        )
    }
  }

  return (
    <div className="timeline">
      <div
        ref={scroller}
        className="scroller inset"
        // New messages are told by the page's live region: this list also grows by scrolling.
        role="log"
        aria-live="off"
        aria-label={`Messages in ${room.name}`}
        aria-busy={!loaded}
        tabIndex={0}
        data-testid="messages"
        onKeyDown={keyDown}
      >
        <div className="filler" />
        {loaded ? (
          <Virtualizer ref={list} scrollRef={scroller} data={rows} shift={shift} bufferSize={400} onResize={() => pinned.current && toEnd()} keepMounted={focused >= 0 && focused < rows.length ? [focused] : undefined} onScroll={scrolled}>
            {draw}
          </Virtualizer>
        ) : state.problem ? (
          <div className="empty" role="alert">
            <p>{state.problem}</p>
            <button type="button" className="button" onClick={() => void conversation.toNewest()}>
              Try again
            </button>
          </div>
        ) : (
          <MessagesSkeleton />
        )}
      </div>
      {loaded && (!atEnd || timeline.hasAfter) && (
        <button type="button" className="to-end" data-testid="newest" onClick={() => void toNewest()}>
          {unseen > 0 ? `${unseen} new` : 'Newest'} <Icon name="down" size={16} />
        </button>
      )}
    </div>
  )
}

const rowId = (row: Row) => (row.kind === 'message' ? String(row.message.id) : undefined)

function Start({ room, empty }: { room: Room; empty: boolean }) {
  return (
    <div className="start" data-testid="start">
      <h3>{room.kind === 'direct' ? `You and ${room.name}` : room.name}</h3>
      {room.topic && <p className="quiet">{room.topic}</p>}
      <p className="quiet">{empty ? 'No messages yet. Say hello, or drop a picture here.' : 'This is where it begins.'}</p>
    </div>
  )
}
