import { useState } from 'react'
import { openDirect } from '../api/calls'
import { words } from '../api/request'
import type { User } from '../api/types'
import { useChat } from '../state/context'
import { navigate, roomPath } from '../state/route'
import { Dialog } from '../ui/Dialog'
import { PickPerson } from './PickPerson'

export default function NewDirect({ onClose }: { onClose(): void }) {
  const chat = useChat()
  const [problem, setProblem] = useState('')
  const pick = async (user: User) => {
    try {
      const { room } = await openDirect(user.id)
      chat.put(room)
      onClose()
      navigate(roomPath(room.id))
    } catch (err) {
      setProblem(words(err))
    }
  }
  return (
    <Dialog title="Write to somebody" onClose={onClose}>
      <PickPerson without={[chat.me.id]} onPick={(user) => void pick(user)} />
      <p className="error" role="alert">
        {problem}
      </p>
    </Dialog>
  )
}
