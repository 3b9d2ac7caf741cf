import type { FileInfo, ReplyTo } from '../api/types'

/** What is being written in a room, kept over reloads and visits of other rooms. */
export interface Draft {
  text: string
  replyTo: ReplyTo | null
  files: FileInfo[]
}

const empty: Draft = { text: '', replyTo: null, files: [] }
const key = (userId: number, roomId: number) => `chat/draft/${userId}/${roomId}`

export function readDraft(userId: number, roomId: number): Draft {
  try {
    return { ...empty, ...(JSON.parse(localStorage.getItem(key(userId, roomId)) ?? '{}') as Partial<Draft>) }
  } catch {
    return empty
  }
}

export function keepDraft(userId: number, roomId: number, draft: Draft) {
  try {
    if (draft.text === '' && draft.files.length === 0 && draft.replyTo === null) localStorage.removeItem(key(userId, roomId))
    else localStorage.setItem(key(userId, roomId), JSON.stringify(draft))
  } catch {
    // A full or forbidden storage: the draft lives as long as the page.
  }
}
