import { notReached, problemOf } from './request'
import type { FileInfo } from './types'

/** Sends a file's bytes. Only XMLHttpRequest tells how far an upload is. */
export function upload(room: number, file: File, progress: (part: number) => void, signal: AbortSignal): Promise<FileInfo> {
  return new Promise((resolve, reject) => {
    const xhr = new XMLHttpRequest()
    xhr.open('POST', `/api/rooms/${room}/uploads`)
    xhr.setRequestHeader('X-File-Name', encodeURIComponent(file.name || 'file'))
    xhr.setRequestHeader('Content-Type', file.type || 'application/octet-stream')
    xhr.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total)
    xhr.onerror = () => reject(notReached())
    xhr.onabort = () => reject(new DOMException('The upload was cancelled.', 'AbortError'))
    xhr.onload = () => {
      if (xhr.status < 200 || xhr.status > 299) return reject(problemOf(xhr.status, xhr.responseText))
      try {
        resolve((JSON.parse(xhr.responseText) as { file: FileInfo }).file)
      } catch {
        reject(notReached())
      }
    }
    signal.addEventListener('abort', () => xhr.abort(), { once: true })
    xhr.send(file)
  })
}
