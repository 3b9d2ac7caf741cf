import { useCallback, useEffect, useMemo, useState } from 'react'
import { getActivity } from '../api/calls'
import { words } from '../api/request'
import type { Activity as Entry, Room } from '../api/types'
import type { Conversation } from '../state/conversation'
import { useStore } from '../state/store'
import { Avatar } from '../ui/Avatar'
import { shortAgo, wholeTime } from '../ui/time'

/** What has happened in a room, newest first, to the beginning. */
export default function Activity({ room, conversation }: { room: Room; conversation: Conversation }) {
  const live = useStore(conversation, (s) => s.activity)
  const [read, setRead] = useState<Entry[]>([])
  const [more, setMore] = useState(true)
  const [busy, setBusy] = useState(false)
  const [problem, setProblem] = useState('')

  const load = useCallback(
    async (before: number) => {
      setBusy(true)
      try {
        const { activity, has_before } = await getActivity(room.id, before)
        setRead((known) => (before ? [...known, ...activity] : activity))
        setMore(has_before)
        setProblem('')
      } catch (err) {
        setProblem(words(err))
      } finally {
        setBusy(false)
      }
    },
    [room.id],
  )
  useEffect(() => void load(0), [load])

  const all = useMemo(() => {
    const known = new Map([...read, ...live].map((a) => [a.id, a]))
    return [...known.values()].sort((a, b) => b.id - a.id)
  }, [read, live])

  return (
    <div className="activity">
      <ol data-testid="activity">
        {all.map((a) => (
          <li key={a.id}>
            <Avatar id={a.user_id} name={a.user_name} little />
            <span className="small">
              <bdi>{a.description}</bdi>{' '}
              <time className="quiet tiny num" dateTime={a.timestamp} title={wholeTime(a.timestamp)}>
                {shortAgo(a.timestamp)}
              </time>
            </span>
          </li>
        ))}
      </ol>
      {all.length === 0 && !busy && !problem && <p className="quiet small">Nothing has happened yet.</p>}
      {problem && (
        <p className="warning" role="alert">
          {problem}
        </p>
      )}
      {(more || problem) && (
        <button type="button" className="button" aria-busy={busy} disabled={busy} onClick={() => void load(problem ? 0 : (read.at(-1)?.id ?? 0))}>
          {problem ? 'Try again' : 'Show earlier'}
        </button>
      )}
    </div>
  )
}
