import { Icon } from '../ui/Icon'
import { fileSize } from '../ui/time'
import type { Upload } from './useUploads'

interface Props {
  uploads: Upload[]
  canRetry(key: string): boolean
  onRetry(key: string): void
  onRemove(key: string): void
}

export function Uploads({ uploads, canRetry, onRetry, onRemove }: Props) {
  if (uploads.length === 0) return null
  return (
    <ul className="uploads" aria-label="Attachments">
      {uploads.map((u) => (
        <li key={u.key} className={`upload${u.problem ? ' failed' : ''}`} data-testid="upload" data-done={u.file !== null}>
          {u.preview ? <img src={u.preview} alt="" width="36" height="36" /> : <Icon name={u.problem ? 'warn' : 'file'} size={24} />}
          <div className="upload-name">
            <bdi className="cut">{u.name}</bdi>
            {u.problem ? (
              <span className="warning" role="alert">
                {u.problem}
              </span>
            ) : u.file ? (
              <span className="quiet tiny num">{fileSize(u.size)}</span>
            ) : (
              <progress value={u.part} max={1} aria-label={`Uploading ${u.name}`} />
            )}
          </div>
          {u.problem && canRetry(u.key) && (
            <button type="button" className="button bare" onClick={() => onRetry(u.key)}>
              Retry
            </button>
          )}
          <button type="button" className="icon-button" data-testid="cancel-upload" aria-label={u.file || u.problem ? `Remove ${u.name}` : `Cancel ${u.name}`} onClick={() => onRemove(u.key)}>
            <Icon name="close" size={16} />
          </button>
        </li>
      ))}
    </ul>
  )
}
