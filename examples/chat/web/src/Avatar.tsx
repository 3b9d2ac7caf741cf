import type { CSSProperties } from 'react'
import type { User } from './api'

/** What a reader takes for one letter may be several characters: 🇩🇪, é. */
const letters = new Intl.Segmenter()

/** The first letter of a name, in a colour that is always the user's. */
export function Avatar({ user }: { user: User }) {
  let hue = 0
  for (const c of user.id) hue = (hue * 31 + c.charCodeAt(0)) % 360
  return (
    <span className="avatar" aria-hidden="true" style={{ '--hue': hue } as CSSProperties}>
      {letters.segment(user.name).containing(0)?.segment.toUpperCase()}
    </span>
  )
}
