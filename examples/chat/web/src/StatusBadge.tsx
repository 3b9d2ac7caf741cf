import type { Status } from './state'

const labels: Record<Status, string> = {
  connecting: 'Connecting…',
  connected: 'Connected',
  reconnecting: 'Reconnecting…',
  offline: 'Offline',
}

export function StatusBadge({ status, onReconnect }: { status: Status; onReconnect: () => void }) {
  return (
    <>
      <span className={`status ${status}`} role="status" data-testid="status" data-status={status}>
        {labels[status]}
      </span>
      {status === 'offline' && (
        <button className="quiet" onClick={onReconnect}>
          Try now
        </button>
      )}
    </>
  )
}
