/** A word that can be completed: what stands between the sign and the cursor. */
export interface Word {
  sign: '@' | ':'
  from: number
  query: string
}

/** The word at the cursor that @ or : begins, if any. */
export function wordAt(text: string, cursor: number): Word | null {
  const found = /(?:^|[\s(])([@:])([^\s@:]{0,40})$/u.exec(text.slice(0, cursor))
  if (!found) return null
  const [, sign, query] = found as unknown as [string, '@' | ':', string]
  // ":" alone is punctuation; ":)" is a smiley of its own.
  if (sign === ':' && !/^[a-z0-9+_-]{2,}$/i.test(query)) return null
  return { sign, from: cursor - query.length - 1, query }
}

/** Text and cursor after a word was completed. */
export function complete(text: string, cursor: number, word: Word, by: string): { text: string; cursor: number } {
  const before = text.slice(0, word.from) + by
  const after = text.slice(cursor)
  const gap = after.startsWith(' ') ? '' : ' '
  return { text: before + gap + after, cursor: before.length + 1 }
}

/** Those whose name begins with the query, then those that have it elsewhere. */
export function matching<T>(all: T[], query: string, name: (item: T) => string, most = 6): T[] {
  const q = query.toLowerCase()
  const starts: T[] = []
  const holds: T[] = []
  for (const item of all) {
    const n = name(item).toLowerCase()
    if (n.startsWith(q)) starts.push(item)
    else if (n.includes(q)) holds.push(item)
    if (starts.length >= most) break
  }
  return [...starts, ...holds].slice(0, most)
}
