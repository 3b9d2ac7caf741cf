import { useEffect, useState } from 'react'
import { useConnectionStatus } from '@/lib/hooks'
import { reconnectNow } from '@/lib/websocket'
import { Icon } from '../ui/Icon'

/** A moment without connection is nobody's concern. */
const patience = 1_500

const labels = { connected: 'Connected', connecting: 'Connecting…', disconnected: 'Offline' }

/** One quiet bar while there is no connection. */
export function Banner() {
  const status = useConnectionStatus()
  const [shown, setShown] = useState(false)
  useEffect(() => {
    if (status === 'connected') return setShown(false)
    const timer = setTimeout(() => setShown(true), patience)
    return () => clearTimeout(timer)
  }, [status])
  const offline = status === 'disconnected'
  return (
    <>
      <p className="hidden" role="status" data-testid="status" data-status={status}>
        {labels[status]}
      </p>
      {shown && status !== 'connected' && (
        <div className={`banner${offline ? ' offline' : ''}`} data-testid="banner">
          <Icon name={offline ? 'warn' : 'clock'} size={16} />
          <p>{offline ? 'You are offline. Messages will be sent when you are back.' : 'Connecting… Messages will be sent when that is done.'}</p>
          <button type="button" className="button bare" data-testid="reconnect" onClick={reconnectNow}>
            Try now
          </button>
        </div>
      )}
    </>
  )
}
