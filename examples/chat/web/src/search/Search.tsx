import { useEffect, useId, useRef, useState, type KeyboardEvent, type ReactNode } from 'react'
import { search } from '../api/calls'
import { words } from '../api/request'
import type { Hit } from '../api/types'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { Avatar } from '../ui/Avatar'
import { Dialog } from '../ui/Dialog'
import { wholeTime } from '../ui/time'
import './search.css'

const waitForMore = 200
/** As much of a message as is shown around what was found. */
const before = 60
const most = 240

interface Props {
  onClose(): void
}

export default function Search({ onClose }: Props) {
  const chat = useChat()
  const room = chat.room(chat.get().roomId)
  const [query, setQuery] = useState('')
  const [here, setHere] = useState(false)
  const [found, setFound] = useState<{ query: string; hits: Hit[]; more: boolean } | null>(null)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const list = useRef<HTMLUListElement>(null)
  const id = useId()
  const roomId = here && room ? room.id : null

  useEffect(() => {
    const q = query.trim()
    if (!q) {
      setFound(null)
      return
    }
    const stop = new AbortController()
    const timer = setTimeout(() => {
      setBusy(true)
      search(q, roomId, 0, stop.signal)
        .then(({ hits, has_before }) => {
          setFound({ query: q, hits, more: has_before })
          setProblem('')
        })
        .catch((err) => stop.signal.aborted || setProblem(words(err)))
        .finally(() => stop.signal.aborted || setBusy(false))
    }, waitForMore)
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [query, roomId])

  const more = async () => {
    if (!found) return
    try {
      const { hits, has_before } = await search(found.query, roomId, found.hits.at(-1)!.message.id, new AbortController().signal)
      setFound({ ...found, hits: [...found.hits, ...hits], more: has_before })
    } catch (err) {
      setProblem(words(err))
    }
  }
  const open = (hit: Hit) => {
    onClose()
    navigate(roomPath(hit.message.room_id, hit.message.id))
  }
  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== 'ArrowDown' && event.key !== 'ArrowUp') return
    const all = [...(list.current?.querySelectorAll<HTMLElement>('.hit') ?? [])]
    if (all.length === 0) return
    event.preventDefault()
    const i = all.indexOf(document.activeElement as HTMLElement)
    const to = event.key === 'ArrowDown' ? i + 1 : i - 1
    if (to < 0) document.getElementById(id)?.focus()
    else all[Math.min(to, all.length - 1)]?.focus()
  }

  return (
    <Dialog title="Search" onClose={onClose} className="search">
      <div className="search-form" onKeyDown={keyDown}>
        <label className="hidden" htmlFor={id}>
          Words to look for
        </label>
        <input id={id} className="input" type="text" enterKeyHint="search" data-testid="search-input" placeholder="Words of a message" value={query} onChange={(e) => setQuery(e.target.value)} autoFocus autoComplete="off" />
        {room && (
          <label className="check small">
            <input type="checkbox" checked={here} onChange={(e) => setHere(e.target.checked)} />
            Only in {room.name}
          </label>
        )}
        <p className="small quiet" role="status" aria-live="polite" data-testid="search-status">
          {problem ? <span className="warning">{problem}</span> : busy && !found ? 'Searching…' : found ? (found.hits.length === 0 ? `Nothing has “${found.query}” in it. Try fewer or other words.` : `${found.hits.length}${found.more ? ' and more' : ''} found, newest first`) : 'All rooms that you are in, to the first message.'}
        </p>
        <ul ref={list} className="hits">
          {found?.hits.map((hit) => (
            <li key={hit.message.id}>
              <button type="button" className="hit" data-testid="hit" onClick={() => open(hit)}>
                <Avatar id={hit.message.sender_id} name={hit.message.sender_name} />
                <span className="hit-about tiny quiet">
                  <bdi className="name">{hit.message.sender_name}</bdi> in <bdi>{hit.room_name}</bdi> · {wholeTime(hit.message.created_at)}
                </span>
                <span className="hit-text" dir="auto">
                  {marked(hit)}
                </span>
              </button>
            </li>
          ))}
        </ul>
        {found?.more && (
          <button type="button" className="button" onClick={() => void more()}>
            Show more
          </button>
        )}
      </div>
    </Dialog>
  )
}

/** The part of a message where something was found, with that marked. */
export function marked({ message: { message: text }, highlights }: Hit): ReactNode {
  const start = Math.max(0, (highlights[0]?.[0] ?? 0) - before)
  const end = Math.min(text.length, start + most)
  const parts: ReactNode[] = start > 0 ? ['…'] : []
  let at = start
  for (const [from, to] of highlights) {
    if (from < at || to > end) continue
    parts.push(text.slice(at, from), <mark key={from}>{text.slice(from, to)}</mark>)
    at = to
  }
  parts.push(text.slice(at, end))
  if (end < text.length) parts.push('…')
  return parts
}
