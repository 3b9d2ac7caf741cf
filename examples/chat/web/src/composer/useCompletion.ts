import { useEffect, useState, type KeyboardEvent } from 'react'
import type { Member } from '../api/types'
import { complete, matching, wordAt, type Word } from './completion'

export interface Choice {
  key: string
  label: string
  hint: string
  text: string
  member: Member | null
}

/** What @ and : offer at the cursor of a text. */
export function useCompletion(text: string, cursor: number, members: Member[] | null, apply: (text: string, cursor: number) => void) {
  const [choices, setChoices] = useState<Choice[]>([])
  const [chosen, setChosen] = useState(0)
  const [closedAt, setClosedAt] = useState(-1)
  const word: Word | null = wordAt(text, cursor)
  const key = word ? word.sign + word.query : ''
  const open = word !== null && word.from !== closedAt && choices.length > 0

  useEffect(() => {
    setChosen(0)
    if (!word) {
      setChoices([])
      setClosedAt(-1)
      return
    }
    let current = true
    if (word.sign === '@') {
      setChoices(
        matching(members ?? [], word.query, (m) => m.name).map((m) => ({
          key: String(m.id),
          label: m.name,
          hint: m.is_online ? '' : 'offline',
          text: `@${m.name}`,
          member: m,
        })),
      )
    } else {
      void import('./emoji').then(({ findEmoji }) => {
        if (!current) return
        setChoices(findEmoji(word.query).map(([emoji, name]) => ({ key: name, label: `${emoji} :${name}:`, hint: '', text: emoji, member: null })))
      })
    }
    return () => {
      current = false
    }
    // The word is what its text says.
  }, [key, members])

  const pick = (i: number) => {
    const choice = choices[i]
    if (!word || !choice) return
    const done = complete(text, cursor, word, choice.text)
    apply(done.text, done.cursor)
  }

  /** Says whether the key was for the list. */
  const keyDown = (event: KeyboardEvent): boolean => {
    if (!open || event.nativeEvent.isComposing) return false
    switch (event.key) {
      case 'ArrowDown':
        setChosen((chosen + 1) % choices.length)
        break
      case 'ArrowUp':
        setChosen((chosen + choices.length - 1) % choices.length)
        break
      case 'Enter':
      case 'Tab':
        pick(chosen)
        break
      case 'Escape':
        setClosedAt(word.from)
        break
      default:
        return false
    }
    event.preventDefault()
    event.stopPropagation()
    return true
  }

  return { open, choices, chosen, pick, keyDown }
}
