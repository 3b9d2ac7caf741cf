import { useState } from 'react'
import { useChat } from '../state/context'
import { Icon } from '../ui/Icon'
import { promptKey } from './prompt'
import { usePush } from './usePush'

/** Offers notifications once. */
export default function PushPrompt({ onDone }: { onDone(): void }) {
  const chat = useChat()
  const push = usePush()
  const [busy, setBusy] = useState(false)
  if (push.on || !push.possible || Notification.permission !== 'default') return null
  const done = () => {
    localStorage.setItem(promptKey, 'yes')
    onDone()
  }
  const turnOn = async () => {
    setBusy(true)
    const told = await push.toggle()
    done()
    chat.notify(told)
  }
  return (
    <section className="push-prompt" aria-label="Notifications" data-testid="push-prompt">
      <Icon name="bell" />
      <p>Shall this browser tell you of mentions, replies and direct messages while you are elsewhere?</p>
      <div>
        <button type="button" className="button" data-testid="push-yes" aria-busy={busy} disabled={busy} onClick={() => void turnOn()}>
          Yes, tell me
        </button>
        <button type="button" className="button bare" data-testid="push-no" onClick={done}>
          Not now
        </button>
      </div>
    </section>
  )
}
