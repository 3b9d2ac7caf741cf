import { lazy, Suspense, useCallback, useEffect, useId, useImperativeHandle, useLayoutEffect, useMemo, useRef, useState, type ClipboardEvent, type KeyboardEvent, type Ref, type SubmitEvent } from 'react'
import { typingSender } from '@/lib/websocket'
import type { Member, Message, ReplyTo, Room, Session, User } from '../api/types'
import { keepDraft, readDraft } from '../state/drafts'
import { Avatar } from '../ui/Avatar'
import { Icon } from '../ui/Icon'
import { fileSize } from '../ui/time'
import { grow } from './autosize'
import './composer.css'
import { Uploads } from './Uploads'
import { useCompletion } from './useCompletion'
import { useUploads } from './useUploads'

const EmojiPicker = lazy(() => import('./EmojiPicker'))

const keepAfter = 250
/** From here on the composer says how much is left. */
const countWithin = 200

/** What others do with the composer of the room. */
export interface ComposerHandle {
  focus(): void
  insert(text: string): void
  reply(message: Message): void
  edit(message: Message): void
  attach(files: Iterable<File>): void
}

interface Props {
  ref: Ref<ComposerHandle>
  room: Room
  me: User
  members: Member[] | null
  limits: Session['limits']
  onSend(text: string, replyTo: ReplyTo | null, fileIds: Parameters<typeof keepDraft>[2]['files']): void
  /** Resolves to what is wrong, or "". */
  onEdit(message: Message, text: string): Promise<string>
  /** The newest message of this user that may be edited. */
  lastOwn(): Message | undefined
}

const replyOf = (m: Message): ReplyTo => ({
  id: m.id,
  sender_id: m.sender_id,
  sender_name: m.sender_name,
  message: m.message.slice(0, 200),
  type: m.type,
  deleted: false,
})

export function Composer({ ref, room, me, members, limits, onSend, onEdit, lastOwn }: Props) {
  const draft = useMemo(() => readDraft(me.id, room.id), [me.id, room.id])
  const [text, setText] = useState(draft.text)
  const [cursor, setCursor] = useState(draft.text.length)
  const [replyTo, setReplyTo] = useState(draft.replyTo)
  const [editing, setEditing] = useState<Message | null>(null)
  const [problem, setProblem] = useState('')
  const [busy, setBusy] = useState(false)
  const [large, setLarge] = useState<string | null>(null)
  const [picker, setPicker] = useState<HTMLElement | null>(null)
  const [sendWhenUploaded, setSendWhenUploaded] = useState(false)
  const { uploads, add, remove, retry, clear, canRetry } = useUploads(room.id, limits.upload_bytes, draft.files)
  const area = useRef<HTMLTextAreaElement>(null)
  const chooser = useRef<HTMLInputElement>(null)
  const id = useId()
  const typing = useMemo(() => typingSender(room.id), [room.id])
  useEffect(() => () => typing.stopped(), [typing])

  const length = [...text].length
  const left = limits.message_chars - length
  const uploading = uploads.some((u) => !u.file && !u.problem)
  const files = useMemo(() => uploads.flatMap((u) => (u.file ? [u.file] : [])), [uploads])
  const sendable = left >= 0 && (text.trim() !== '' || files.length > 0 || uploading) && !busy

  // The draft survives a reload at any moment.
  const latest = useRef({ text, replyTo, files })
  useLayoutEffect(() => {
    if (!editing) latest.current = { text, replyTo, files }
    if (area.current) grow(area.current)
  }, [text, replyTo, files, editing])
  useEffect(() => {
    const timer = setTimeout(() => keepDraft(me.id, room.id, latest.current), keepAfter)
    return () => clearTimeout(timer)
  }, [text, replyTo, files, me.id, room.id])
  useEffect(() => {
    const keep = () => keepDraft(me.id, room.id, latest.current)
    addEventListener('pagehide', keep)
    return () => {
      removeEventListener('pagehide', keep)
      keep()
    }
  }, [me.id, room.id])

  const write = useCallback((value: string, at = value.length) => {
    setText(value)
    setCursor(at)
    // The cursor goes where it belongs once the text is there.
    requestAnimationFrame(() => {
      area.current?.focus()
      area.current?.setSelectionRange(at, at)
    })
  }, [])
  const completion = useCompletion(text, cursor, members, write)

  const startEdit = (message: Message) => {
    setEditing(message)
    setReplyTo(null)
    setProblem('')
    write(message.message)
  }
  const stopEdit = () => {
    setEditing(null)
    setProblem('')
    const kept = latest.current
    setReplyTo(kept.replyTo)
    write(kept.text)
  }

  useImperativeHandle(ref, () => ({
    focus: () => area.current?.focus(),
    insert: (more) => {
      const at = area.current?.selectionStart ?? text.length
      write(text.slice(0, at) + more + text.slice(area.current?.selectionEnd ?? at), at + more.length)
    },
    reply: (message) => {
      if (editing) stopEdit()
      setReplyTo(replyOf(message))
      area.current?.focus()
    },
    edit: startEdit,
    attach: add,
  }))

  const send = async () => {
    if (!sendable) return
    if (editing) {
      if (text === editing.message) return stopEdit()
      setBusy(true)
      const wrong = await onEdit(editing, text)
      setBusy(false)
      if (wrong) setProblem(wrong)
      else stopEdit()
      return
    }
    if (uploading) return setSendWhenUploaded(true)
    onSend(text, replyTo, files)
    typing.stopped()
    setReplyTo(null)
    setProblem('')
    setLarge(null)
    clear()
    write('')
    latest.current = { text: '', replyTo: null, files: [] }
    keepDraft(me.id, room.id, latest.current)
  }
  useEffect(() => {
    if (!sendWhenUploaded || uploading) return
    setSendWhenUploaded(false)
    if (!uploads.some((u) => u.problem)) void send()
  })

  const submit = (event: SubmitEvent) => {
    event.preventDefault()
    void send()
  }
  const keyDown = (event: KeyboardEvent) => {
    if (completion.keyDown(event)) return
    if (event.key === 'Enter' && !event.shiftKey && !event.nativeEvent.isComposing) {
      event.preventDefault()
      void send()
    } else if (event.key === 'ArrowUp' && text === '' && !editing) {
      const own = lastOwn()
      if (!own) return
      event.preventDefault()
      startEdit(own)
    } else if (event.key === 'Escape' && (editing || replyTo)) {
      event.stopPropagation()
      if (editing) stopEdit()
      else setReplyTo(null)
    }
  }
  const paste = (event: ClipboardEvent) => {
    if (event.clipboardData.files.length > 0) {
      event.preventDefault()
      add(event.clipboardData.files)
      return
    }
    const pasted = event.clipboardData.getData('text/plain')
    if (pasted.length <= limits.message_chars) return
    // A field with this much in it would answer each key late.
    event.preventDefault()
    setLarge(pasted)
  }
  const attachLarge = () => {
    if (large === null) return
    add([new File([large], 'pasted.txt', { type: 'text/plain' })])
    setLarge(null)
    area.current?.focus()
  }

  return (
    <form className={`composer${editing ? ' editing' : ''}`} onSubmit={submit} aria-label={editing ? 'Edit a message' : 'Write a message'}>
      {completion.open && (
        <ul className="completion" id={`${id}-list`} role="listbox" aria-label="Suggestions" data-testid="completion">
          {completion.choices.map((choice, i) => (
            <li
              key={choice.key}
              id={`${id}-${i}`}
              role="option"
              aria-selected={i === completion.chosen}
              onPointerDown={(e) => {
                e.preventDefault()
                completion.pick(i)
              }}
            >
              {choice.member && <Avatar id={choice.member.id} name={choice.member.name} little />}
              <bdi>{choice.label}</bdi>
              {choice.hint && <span className="quiet tiny">{choice.hint}</span>}
            </li>
          ))}
        </ul>
      )}
      {large !== null && (
        <div className="large" role="alert" data-testid="large-paste">
          <p>This is too long for one message ({fileSize(new Blob([large]).size)}). Send it as a file?</p>
          <button type="button" className="button" data-testid="paste-as-file" onClick={attachLarge} autoFocus>
            Attach as a file
          </button>
          <button type="button" className="button bare" onClick={() => setLarge(null)}>
            Leave it
          </button>
        </div>
      )}
      {(replyTo || editing) && (
        <div className="composer-about" data-testid="composer-about">
          <Icon name={editing ? 'edit' : 'reply'} size={16} />
          <p className="cut small">
            {editing ? (
              'Editing your message'
            ) : (
              <>
                Reply to <bdi className="name">{replyTo!.sender_name}</bdi>: {replyTo!.message || 'a file'}
              </>
            )}
          </p>
          <button type="button" className="icon-button" aria-label={editing ? 'Stop editing' : 'Do not reply'} onClick={() => (editing ? stopEdit() : setReplyTo(null))}>
            <Icon name="close" size={16} />
          </button>
        </div>
      )}
      <Uploads uploads={uploads} canRetry={canRetry} onRetry={retry} onRemove={remove} />
      <div className="composer-line">
        <label className="hidden" htmlFor={id}>
          {editing ? 'Edit the message' : `Message to ${room.name}`}
        </label>
        <textarea
          ref={area}
          id={id}
          data-testid="composer"
          rows={1}
          dir="auto"
          value={text}
          placeholder={`Write to ${room.name}…`}
          enterKeyHint="send"
          aria-autocomplete="list"
          aria-controls={completion.open ? `${id}-list` : undefined}
          aria-activedescendant={completion.open ? `${id}-${completion.chosen}` : undefined}
          aria-invalid={left < 0}
          aria-describedby={`${id}-note`}
          onChange={(e) => {
            setText(e.target.value)
            setCursor(e.target.selectionStart)
            setProblem('')
            if (e.target.value.trim()) typing.typed()
            else typing.stopped()
          }}
          onSelect={(e) => setCursor(e.currentTarget.selectionStart)}
          onKeyDown={keyDown}
          onPaste={paste}
        />
        <input
          ref={chooser}
          type="file"
          multiple
          hidden
          data-testid="chooser"
          aria-label="Files to attach"
          onChange={(e) => {
            add(e.target.files ?? [])
            e.target.value = ''
          }}
        />
        {!editing && (
          <button type="button" className="icon-button" data-testid="attach" aria-label="Attach files" title="Attach files" onClick={() => chooser.current?.click()}>
            <Icon name="add" />
          </button>
        )}
        <button type="button" className="icon-button" data-testid="emoji" aria-label="Emoji" title="Emoji" aria-expanded={picker !== null} onClick={(e) => setPicker(e.currentTarget)}>
          <Icon name="smile" />
        </button>
        <button type="submit" className="send" data-testid="send" aria-label={editing ? 'Save' : 'Send'} title={editing ? 'Save (Enter)' : 'Send (Enter)'} disabled={!sendable} aria-busy={busy || sendWhenUploaded}>
          <Icon name="send" />
        </button>
      </div>
      <p id={`${id}-note`} className="composer-note tiny" role="status">
        {problem ? (
          <span className="warning">{problem}</span>
        ) : sendWhenUploaded ? (
          'Sent as soon as the upload is done.'
        ) : left < 0 ? (
          <span className="warning num">{-left} characters too many. Shorten it, or send it as a file.</span>
        ) : left < countWithin ? (
          <span className="quiet num">{left} characters left</span>
        ) : null}
      </p>
      {picker && (
        <Suspense>
          <EmojiPicker
            anchor={picker}
            onClose={() => setPicker(null)}
            onPick={(emoji) => {
              const at = area.current?.selectionStart ?? text.length
              write(text.slice(0, at) + emoji + text.slice(at), at + emoji.length)
            }}
          />
        </Suspense>
      )}
    </form>
  )
}
