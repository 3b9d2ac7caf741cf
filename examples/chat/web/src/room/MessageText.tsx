import { lazy, memo, Suspense, useState } from 'react'
import type { Member, Message } from '../api/types'
import { countLines, isEmojiOnly, isLong, isPlain } from './text'

// Asked for at once: whoever has messages has some with marks in them.
const markdown = import('./Markdown')
const Markdown = lazy(() => markdown.then((m) => ({ default: m.Markdown })))

interface Props {
  message: Pick<Message, 'message' | 'mentions'>
  me: number
  members: Member[] | null
}

/** What somebody wrote. */
export const MessageText = memo(function MessageText({ message, me, members }: Props) {
  const text = message.message
  const [open, setOpen] = useState(false)
  if (isEmojiOnly(text)) {
    return (
      <p className="text big-emoji" data-testid="text">
        {text}
      </p>
    )
  }
  const plain = <div className="plain">{text}</div>
  const mentions =
    message.mentions.length === 0 ? none : (members ?? []).filter((m) => message.mentions.includes(m.id)).map((m) => ({ name: m.name, me: m.id === me }))
  const long = isLong(text)
  return (
    <>
      <div className={`text${long && !open ? ' folded' : ''}`} data-testid="text" dir="auto">
        {isPlain(text) ? (
          plain
        ) : (
          <Suspense fallback={plain}>
            <Markdown text={text} mentions={mentions} />
          </Suspense>
        )}
      </div>
      {long && (
        <button type="button" className="button bare unfold" aria-expanded={open} onClick={() => setOpen(!open)}>
          {open ? 'Show less' : countLines(text) > 24 ? `Show all ${countLines(text)} lines` : 'Show all'}
        </button>
      )}
    </>
  )
})

const none: { name: string; me: boolean }[] = []
