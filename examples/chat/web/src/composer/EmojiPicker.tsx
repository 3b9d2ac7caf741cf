import { EmojiPicker as Picker } from 'frimousse'
import { useEffect, useLayoutEffect, useRef } from 'react'
import emojiData from 'virtual:emoji-data'
import './emoji.css'

interface Props {
  anchor: HTMLElement
  onPick(emoji: string): void
  onClose(): void
}

const gap = 4

/** Frimousse counts rows and columns from 0, ARIA from 1. */
const fromOne = (index: number | undefined) => (index === undefined ? undefined : index + 1)

/** The picker, floating beside what it was opened from. */
export default function EmojiPicker({ anchor, onPick, onClose }: Props) {
  const box = useRef<HTMLDivElement>(null)

  useLayoutEffect(() => {
    const el = box.current!
    el.showPopover()
    const at = anchor.getBoundingClientRect()
    const above = at.top - gap - el.offsetHeight
    el.style.top = `${above >= gap ? above : Math.max(gap, Math.min(at.bottom + gap, innerHeight - el.offsetHeight - gap))}px`
    el.style.left = `${Math.max(gap, Math.min(at.right - el.offsetWidth, innerWidth - el.offsetWidth - gap))}px`
  }, [anchor])

  useEffect(() => {
    const el = box.current!
    const toggled = (event: Event) => (event as ToggleEvent).newState === 'closed' && onClose()
    el.addEventListener('toggle', toggled)
    return () => el.removeEventListener('toggle', toggled)
  }, [onClose])

  return (
    <div ref={box} popover="auto" className="menu emoji-box" role="dialog" aria-label="Choose an emoji" data-testid="emoji-picker">
      <Picker.Root
        className="emoji-picker"
        columns={matchMedia('(pointer: coarse)').matches ? 7 : 8}
        emojibaseUrl={emojiData}
        onEmojiSelect={({ emoji }) => {
          onPick(emoji)
          onClose()
        }}
      >
        <Picker.Search className="input" aria-label="Search emoji" placeholder="Search emoji" autoFocus />
        <Picker.Viewport className="emoji-viewport inset">
          <Picker.Loading className="emoji-note quiet">Loading…</Picker.Loading>
          <Picker.Empty className="emoji-note quiet">No emoji by that name.</Picker.Empty>
          <Picker.List
            components={{
              CategoryHeader: ({ category, ...props }) => (
                <div className="emoji-category tiny quiet" {...props}>
                  {category.label}
                </div>
              ),
              Row: ({ children, ...props }) => (
                <div className="emoji-row" {...props} aria-rowindex={fromOne(props['aria-rowindex'])}>
                  {children}
                </div>
              ),
              Emoji: ({ emoji, ...props }) => (
                <button type="button" className={`emoji${emoji.isActive ? ' active' : ''}`} aria-label={emoji.label} {...props} aria-colindex={fromOne(props['aria-colindex'])}>
                  {emoji.emoji}
                </button>
              ),
            }}
          />
        </Picker.Viewport>
      </Picker.Root>
    </div>
  )
}
