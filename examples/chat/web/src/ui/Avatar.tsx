import type { CSSProperties } from 'react'

/** What a reader takes for one letter may be several characters: 🇩🇪, é. */
const letters = new Intl.Segmenter()

export const hueOf = (userId: number) => `var(--hue-${((userId % 8) + 8) % 8})`

interface Props {
  id: number
  name: string
  /** Draws whether they are here; leave it out where that is no matter. */
  online?: boolean
  little?: boolean
}

/** The first letter of a name, in a colour that is always the user's. */
export function Avatar({ id, name, online, little }: Props) {
  return (
    <span className={`avatar${little ? ' little' : ''}`} aria-hidden="true" style={{ '--hue': hueOf(id) } as CSSProperties}>
      {letters.segment(name.trim()).containing(0)?.segment.toUpperCase() ?? '?'}
      {online !== undefined && <span className={`online-dot${online ? ' on' : ''}`} />}
    </span>
  )
}

export function RoleTag({ role }: { role: string }) {
  // Who is nothing special needs no badge.
  return role === 'student' || !role ? null : <span className={`tag ${role}`}>{role}</span>
}
