import { useEffect, useId, useState } from 'react'
import { findUsers } from '../api/calls'
import { words } from '../api/request'
import type { User } from '../api/types'
import { Avatar, RoleTag } from '../ui/Avatar'

interface Props {
  /** Who is not offered. */
  without: number[]
  onPick(user: User): void
}

/** A list of people that narrows with each letter. */
export function PickPerson({ without, onPick }: Props) {
  const [query, setQuery] = useState('')
  const [users, setUsers] = useState<(User & { is_online: boolean })[] | null>(null)
  const [problem, setProblem] = useState('')
  const id = useId()
  useEffect(() => {
    const stop = new AbortController()
    const timer = setTimeout(
      () =>
        findUsers(query.trim(), stop.signal).then(
          (found) => {
            setUsers(found.users)
            setProblem('')
          },
          (err) => stop.signal.aborted || setProblem(words(err)),
        ),
      query ? 150 : 0,
    )
    return () => {
      clearTimeout(timer)
      stop.abort()
    }
  }, [query])
  const shown = users?.filter((u) => !without.includes(u.id))
  return (
    <div className="pick">
      <label className="hidden" htmlFor={id}>
        Name
      </label>
      <input id={id} className="input" data-testid="find-user" placeholder="A name" value={query} onChange={(e) => setQuery(e.target.value)} autoFocus autoComplete="off" />
      <p className="small quiet" role="status">
        {problem ? <span className="warning">{problem}</span> : shown?.length === 0 ? (query ? 'Nobody by that name.' : 'Nobody else is here yet.') : ''}
      </p>
      <ul>
        {shown?.map((u) => (
          <li key={u.id}>
            <button type="button" className="person" data-testid="user" onClick={() => onPick(u)}>
              <Avatar id={u.id} name={u.name} online={u.is_online} />
              <span className="person-about">
                <span className="person-name">
                  <bdi className="name cut">{u.name}</bdi>
                  <RoleTag role={u.role} />
                </span>
              </span>
            </button>
          </li>
        ))}
      </ul>
    </div>
  )
}
