import type { FileInfo } from '../api/types'
import { Icon } from '../ui/Icon'
import { fileSize } from '../ui/time'

const widest = 360
const highest = 280

/** The box of a picture, known before it is there, so that nothing jumps. */
export function boxOf(file: { width: number; height: number }): { width: number; height: number } {
  const scale = Math.min(1, widest / file.width, highest / file.height)
  return { width: Math.max(48, Math.round(file.width * scale)), height: Math.max(48, Math.round(file.height * scale)) }
}

interface Props {
  file: FileInfo
  onOpen(file: FileInfo): void
}

export function Attachment({ file, onOpen }: Props) {
  if (file.kind === 'image' && file.width > 0) {
    const { width, height } = boxOf(file)
    return (
      <button
        type="button"
        className="picture"
        data-testid="picture"
        aria-label={`Picture: ${file.name}. Open it large.`}
        style={{ width, aspectRatio: `${width} / ${height}` }}
        onClick={() => onOpen(file)}
      >
        <img src={file.thumb_url || file.url} width={width} height={height} alt="" loading="lazy" decoding="async" draggable={false} />
      </button>
    )
  }
  return (
    <div className="file" data-testid="file">
      <div className="file-line">
        <Icon name="file" size={24} />
        <div className="file-name">
          <bdi className="cut" title={file.name}>
            {file.name}
          </bdi>
          <span className="quiet tiny num">{fileSize(file.size)}</span>
        </div>
        <a className="icon-button" href={file.url} download={file.name} aria-label={`Download ${file.name}`}>
          <Icon name="download" />
        </a>
      </div>
      {file.preview && (
        <pre className="file-preview inset" tabIndex={0} aria-label={`Beginning of ${file.name}`}>
          {file.preview}
        </pre>
      )}
    </div>
  )
}
