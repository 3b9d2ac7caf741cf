import { useState } from 'react'
import { useChat } from '../state/context'
import { useStore } from '../state/store'
import { Icon } from '../ui/Icon'
import { usePush } from './usePush'

const key = 'chat/push-asked'

/** Offers notifications once there is something to be notified of: a conversation of two. */
export function PushPrompt() {
  const chat = useChat()
  const push = usePush()
  const direct = useStore(chat, (s) => s.rooms.some((r) => r.kind === 'direct' && r.joined && r.last !== null))
  const [asked, setAsked] = useState(() => localStorage.getItem(key) !== null)
  const [busy, setBusy] = useState(false)
  if (!direct || asked || push.on || !push.possible || Notification.permission !== 'default') return null
  const done = () => {
    localStorage.setItem(key, 'yes')
    setAsked(true)
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
