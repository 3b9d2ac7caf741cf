import { useId, useState, type SubmitEvent } from 'react'
import { changeRoom } from '../api/calls'
import { words } from '../api/request'
import type { Room } from '../api/types'
import { useChat } from '../state/context'
import { Dialog } from '../ui/Dialog'

export default function EditRoom({ room, onClose }: { room: Room; onClose(): void }) {
  const chat = useChat()
  const [name, setName] = useState(room.name)
  const [topic, setTopic] = useState(room.topic)
  const [problem, setProblem] = useState('')
  const id = useId()
  const { limits } = chat.session

  const submit = async (event: SubmitEvent) => {
    event.preventDefault()
    try {
      chat.put((await changeRoom(room.id, { name: name.trim(), topic: topic.trim() })).room)
      onClose()
    } catch (err) {
      setProblem(words(err))
    }
  }
  return (
    <Dialog title="Name and topic" onClose={onClose}>
      <form className="form" onSubmit={submit} noValidate>
        <div className="field">
          <label htmlFor={`${id}-name`}>Name</label>
          <input id={`${id}-name`} className="input" value={name} onChange={(e) => setName(e.target.value)} maxLength={limits.room_name_chars} autoFocus autoComplete="off" aria-describedby={`${id}-problem`} />
        </div>
        <div className="field">
          <label htmlFor={`${id}-topic`}>What it is for</label>
          <input id={`${id}-topic`} className="input" value={topic} onChange={(e) => setTopic(e.target.value)} maxLength={limits.topic_chars} autoComplete="off" />
        </div>
        <p id={`${id}-problem`} className="error" role="alert">
          {problem}
        </p>
        <div className="dialog-actions">
          <button type="button" className="button" onClick={onClose}>
            Cancel
          </button>
          <button className="button primary" disabled={!name.trim()}>
            Save
          </button>
        </div>
      </form>
    </Dialog>
  )
}
