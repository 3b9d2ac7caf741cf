import { useId, useRef, useState, type KeyboardEvent, type SubmitEvent } from 'react'

const maxLength = 2000
const countFrom = 1800

interface Props {
  onSend: (text: string) => void
  onTyping: (active: boolean) => void
}

export function Composer({ onSend, onTyping }: Props) {
  const [text, setText] = useState('')
  const id = useId()
  const field = useRef<HTMLTextAreaElement>(null)
  const length = [...text.trim()].length
  const sendable = length > 0 && length <= maxLength

  const send = () => {
    if (!sendable) return
    onSend(text.trim())
    setText('')
    // Who has pressed the button goes on writing.
    field.current?.focus()
  }
  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    send()
  }
  const keyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Enter' || event.shiftKey || event.nativeEvent.isComposing) return
    event.preventDefault()
    send()
  }
  const change = (value: string) => {
    setText(value)
    onTyping(value.trim() !== '')
  }

  return (
    <form className="composer" onSubmit={submit}>
      <label className="hidden" htmlFor={id}>
        Message
      </label>
      <textarea
        ref={field}
        id={id}
        data-testid="composer"
        rows={1}
        dir="auto"
        value={text}
        placeholder="Write a message"
        title="Enter sends, Shift+Enter starts a new line"
        onChange={(e) => change(e.target.value)}
        onKeyDown={keyDown}
        onBlur={() => onTyping(false)}
        autoFocus
      />
      {length >= countFrom && (
        <span className={length > maxLength ? 'count error' : 'count muted'} role="status">
          {maxLength - length} left
        </span>
      )}
      <button className="primary" data-testid="send" disabled={!sendable}>
        Send
      </button>
    </form>
  )
}
