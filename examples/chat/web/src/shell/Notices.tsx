import { useChat } from '../state/context'
import { useStore } from '../state/store'
import { Icon } from '../ui/Icon'

/** What has just happened, for a moment; what matters stays until it is closed. */
export function Notices() {
  const chat = useChat()
  const notices = useStore(chat, (s) => s.notices)
  return (
    <div className="notices" role="status" data-testid="notices">
      {notices.map((n) => (
        <div key={n.id} className="notice-card">
          <p>{n.text}</p>
          <button type="button" className="icon-button" aria-label="Close" onClick={() => chat.dismiss(n.id)}>
            <Icon name="close" size={16} />
          </button>
        </div>
      ))}
    </div>
  )
}
