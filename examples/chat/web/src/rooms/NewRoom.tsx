import { useId, useState, type SubmitEvent } from 'react'
import { createRoom } from '../api/calls'
import { words } from '../api/request'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { Dialog } from '../ui/Dialog'

export default function NewRoom({ onClose }: { onClose(): void }) {
  const chat = useChat()
  const [name, setName] = useState('')
  const [topic, setTopic] = useState('')
  const [kind, setKind] = useState<'open' | 'private'>('open')
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const id = useId()
  const { limits } = chat.session

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    if (!name.trim()) return setProblem('Give the room a name first.')
    setBusy(true)
    try {
      const { room } = await createRoom({ name: name.trim(), topic: topic.trim(), kind })
      chat.put(room)
      onClose()
      navigate(roomPath(room.id))
    } catch (err) {
      setProblem(words(err))
      setBusy(false)
    }
  }
  return (
    <Dialog title="Make a room" onClose={onClose}>
      <form className="form" onSubmit={submit} noValidate>
        <div className="field">
          <label htmlFor={`${id}-name`}>Name</label>
          <input id={`${id}-name`} className="input" data-testid="room-name" value={name} onChange={(e) => setName(e.target.value)} maxLength={limits.room_name_chars} autoFocus autoComplete="off" aria-describedby={`${id}-problem`} aria-invalid={!!problem && !name.trim()} />
        </div>
        <div className="field">
          <label htmlFor={`${id}-topic`}>What it is for (may be empty)</label>
          <input id={`${id}-topic`} className="input" value={topic} onChange={(e) => setTopic(e.target.value)} maxLength={limits.topic_chars} autoComplete="off" />
        </div>
        <fieldset className="field choice">
          <legend>Who may come in</legend>
          <label>
            <input type="radio" name="kind" checked={kind === 'open'} onChange={() => setKind('open')} />
            <span>
              Everybody
              <span className="quiet small">It is in everybody’s list.</span>
            </span>
          </label>
          <label>
            <input type="radio" name="kind" data-testid="private" checked={kind === 'private'} onChange={() => setKind('private')} />
            <span>
              Those who are added
              <span className="quiet small">Nobody else sees that it is there.</span>
            </span>
          </label>
        </fieldset>
        <p id={`${id}-problem`} className="error" role="alert">
          {problem}
        </p>
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" data-testid="make-room" aria-busy={busy} disabled={busy}>
            Make the room
          </button>
        </div>
      </form>
    </Dialog>
  )
}
