import { useEffect, useRef, type KeyboardEvent } from 'react'
import type { FileInfo } from '../api/types'
import { Icon } from '../ui/Icon'
import { fileSize } from '../ui/time'
import './lightbox.css'

interface Props {
  file: FileInfo
  /** All pictures that are there, in order. */
  all: FileInfo[]
  onShow(file: FileInfo): void
  onClose(): void
}

/** A picture, as large as the window lets it be. */
export default function Lightbox({ file, all, onShow, onClose }: Props) {
  const dialog = useRef<HTMLDialogElement>(null)
  useEffect(() => {
    const el = dialog.current
    if (el && !el.open) el.showModal()
    return () => el?.close()
  }, [])
  const i = all.findIndex((f) => f.id === file.id)
  const go = (step: number) => {
    const next = all[i + step]
    if (next) onShow(next)
  }
  const keyDown = (event: KeyboardEvent) => {
    if (event.key === 'ArrowLeft') go(-1)
    else if (event.key === 'ArrowRight') go(1)
  }
  return (
    <dialog
      ref={dialog}
      className="lightbox"
      data-testid="lightbox"
      aria-label={file.name}
      onKeyDown={keyDown}
      onCancel={(event) => {
        event.preventDefault()
        onClose()
      }}
      onClick={(event) => !(event.target as Element).closest('img, button, a') && onClose()}
    >
      <header>
        <p className="cut">
          <bdi>{file.name}</bdi> <span className="tiny num">{fileSize(file.size)}</span>
          {all.length > 1 && i >= 0 && (
            <span className="tiny num">
              {' '}
              · {i + 1} of {all.length}
            </span>
          )}
        </p>
        <a className="icon-button" href={file.url} download={file.name} aria-label="Download">
          <Icon name="download" />
        </a>
        <button type="button" className="icon-button" aria-label="Close" autoFocus onClick={onClose}>
          <Icon name="close" />
        </button>
      </header>
      <img key={file.id} src={file.url} width={file.width} height={file.height} alt={file.name} />
      {all.length > 1 && (
        <nav aria-label="Pictures">
          <button type="button" className="icon-button" aria-label="Earlier picture" disabled={i <= 0} onClick={() => go(-1)}>
            <Icon name="back" size={28} />
          </button>
          <button type="button" className="icon-button forward" aria-label="Later picture" disabled={i < 0 || i === all.length - 1} onClick={() => go(1)}>
            <Icon name="back" size={28} />
          </button>
        </nav>
      )}
    </dialog>
  )
}
