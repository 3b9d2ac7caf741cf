import { useState } from 'react'
import { addMember } from '../api/calls'
import { words } from '../api/request'
import type { Room, User } from '../api/types'
import { useChat } from '../state/context'
import { Dialog } from '../ui/Dialog'
import { PickPerson } from './PickPerson'

export default function AddPeople({ room, onClose }: { room: Room; onClose(): void }) {
  const chat = useChat()
  const [added, setAdded] = useState<User[]>([])
  const [problem, setProblem] = useState('')
  const pick = async (user: User) => {
    try {
      await addMember(room.id, user.id)
      setAdded((all) => [...all, user])
      setProblem('')
    } catch (err) {
      setProblem(words(err))
    }
  }
  return (
    <Dialog title={`Add people to ${room.name}`} onClose={onClose}>
      <PickPerson without={[chat.me.id, ...added.map((u) => u.id)]} onPick={(user) => void pick(user)} />
      <p className="small" role="status">
        {added.length > 0 && `Added: ${added.map((u) => u.name).join(', ')}`}
      </p>
      <p className="error" role="alert">
        {problem}
      </p>
    </Dialog>
  )
}
