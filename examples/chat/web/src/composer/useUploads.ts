import { useCallback, useEffect, useRef, useState } from 'react'
import { dropUpload } from '../api/calls'
import { words } from '../api/request'
import type { FileInfo } from '../api/types'
import { upload } from '../api/upload'
import { fileSize } from '../ui/time'

export interface Upload {
  key: string
  name: string
  size: number
  /** From 0 to 1. */
  part: number
  problem: string
  /** Once the server has it. */
  file: FileInfo | null
  /** A picture of it from here, "" if it is none. */
  preview: string
}

interface Kept extends Upload {
  source: File | null
  cancel: AbortController
}

let lastKey = 0

/** The files that are being attached to a message of a room. */
export function useUploads(roomId: number, limit: number, initial: FileInfo[]) {
  const [all, setAll] = useState<Kept[]>(() =>
    initial.map((file) => ({
      key: `file-${file.id}`,
      name: file.name,
      size: file.size,
      part: 1,
      problem: '',
      file,
      preview: file.thumb_url,
      source: null,
      cancel: new AbortController(),
    })),
  )
  const current = useRef(all)
  useEffect(() => {
    current.current = all
  }, [all])
  useEffect(
    () => () => {
      for (const u of current.current) if (!u.file) u.cancel.abort()
    },
    [],
  )

  // Messages that wait outlive a reload; a file that is under way does not.
  const busy = all.some((u) => !u.file && !u.problem)
  useEffect(() => {
    if (!busy) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    addEventListener('beforeunload', ask)
    return () => removeEventListener('beforeunload', ask)
  }, [busy])

  const change = useCallback((key: string, by: Partial<Kept>) => setAll((us) => us.map((u) => (u.key === key ? { ...u, ...by } : u))), [])

  const run = useCallback(
    (u: Kept) => {
      if (!u.source) return
      if (u.source.size > limit) {
        change(u.key, { problem: `This file is too large (${fileSize(u.source.size)}). The limit is ${fileSize(limit)}.`, source: null })
        return
      }
      upload(roomId, u.source, (part) => change(u.key, { part }), u.cancel.signal).then(
        (file) => change(u.key, { file, part: 1, problem: '' }),
        (err) => u.cancel.signal.aborted || change(u.key, { problem: words(err) }),
      )
    },
    [roomId, limit, change],
  )

  const add = useCallback(
    (files: Iterable<File>) => {
      const added = [...files].map((source): Kept => {
        // Only what the browser draws as a picture; a script in an SVG would not run, but it is no picture to others either.
        const picture = /^image\/(?:png|jpeg|gif|webp)$/.test(source.type)
        return {
          key: `upload-${++lastKey}`,
          name: source.name || 'file',
          size: source.size,
          part: 0,
          problem: '',
          file: null,
          preview: picture ? URL.createObjectURL(source) : '',
          source,
          cancel: new AbortController(),
        }
      })
      setAll((us) => [...us, ...added])
      added.forEach(run)
    },
    [run],
  )

  const remove = useCallback((key: string) => {
    const u = current.current.find((c) => c.key === key)
    if (!u) return
    u.cancel.abort()
    if (u.preview.startsWith('blob:')) URL.revokeObjectURL(u.preview)
    if (u.file) dropUpload(u.file.id).catch(() => undefined)
    setAll((us) => us.filter((c) => c.key !== key))
  }, [])

  const retry = useCallback(
    (key: string) => {
      const u = current.current.find((c) => c.key === key)
      if (!u?.source) return
      const again = { ...u, problem: '', part: 0, cancel: new AbortController() }
      change(key, again)
      run(again)
    },
    [change, run],
  )

  /** Forgets them: they are part of a message now. */
  const clear = useCallback(() => {
    for (const u of current.current) if (u.preview.startsWith('blob:')) URL.revokeObjectURL(u.preview)
    setAll([])
  }, [])

  return { uploads: all as Upload[], add, remove, retry, clear, canRetry: (key: string) => all.some((u) => u.key === key && u.source !== null) }
}
