import { useEffect, useState } from 'react'
import { ban, getBans } from '../api/calls'
import { words } from '../api/request'
import type { Banned } from '../api/types'
import { Avatar } from '../ui/Avatar'
import { Dialog } from '../ui/Dialog'
import { shortDate } from '../ui/time'

/** Who may not come into the chat, for admins. */
export default function Bans({ onClose }: { onClose(): void }) {
  const [bans, setBans] = useState<Banned[] | null>(null)
  const [problem, setProblem] = useState('')
  useEffect(() => {
    getBans().then(
      (answer) => setBans(answer.bans),
      (err) => setProblem(words(err)),
    )
  }, [])
  const letIn = async (who: Banned) => {
    try {
      await ban(who.id, false)
      setBans((all) => all?.filter((b) => b.id !== who.id) ?? null)
    } catch (err) {
      setProblem(words(err))
    }
  }
  return (
    <Dialog title="Who is banned" onClose={onClose}>
      {problem && (
        <p className="error" role="alert">
          {problem}
        </p>
      )}
      {bans?.length === 0 && <p className="quiet">Nobody. Whom you ban in the list of people stands here.</p>}
      <ul>
        {bans?.map((b) => (
          <li key={b.id} className="banned" data-testid="banned">
            <Avatar id={b.id} name={b.name} />
            <span className="person-about">
              <bdi className="name cut">{b.name}</bdi>
              <span className="quiet tiny">
                <time dateTime={b.banned_at}>{shortDate(b.banned_at)}</time>
                {b.by && `, by ${b.by}`}
              </span>
            </span>
            <button type="button" className="button" data-testid="let-in" onClick={() => void letIn(b)}>
              Let in
            </button>
          </li>
        ))}
      </ul>
    </Dialog>
  )
}
