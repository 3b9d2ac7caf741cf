import { useEffect, useLayoutEffect, useRef, type KeyboardEvent, type ReactNode } from 'react'

interface Props {
  /** What it was opened from: it floats beside that, and the focus goes back there. */
  anchor: HTMLElement
  label: string
  onClose(): void
  children: ReactNode
}

const gap = 4

/** A menu of buttons with class menu-item, walked with the arrow keys. */
export function Menu({ anchor, label, onClose, children }: Props) {
  const menu = useRef<HTMLDivElement>(null)

  useLayoutEffect(() => {
    const el = menu.current!
    el.showPopover()
    const at = anchor.getBoundingClientRect()
    const below = at.bottom + gap + el.offsetHeight <= innerHeight
    el.style.top = `${below ? at.bottom + gap : Math.max(gap, at.top - gap - el.offsetHeight)}px`
    // Beside a small button it ends where that ends; on something wide it begins where that begins.
    const left = at.width > el.offsetWidth ? at.left : at.right - el.offsetWidth
    el.style.left = `${Math.max(gap, Math.min(left, innerWidth - el.offsetWidth - gap))}px`
    el.querySelector<HTMLElement>('.menu-item')?.focus()
  }, [anchor])

  // Not the browser's own way: the finger whose long press has opened it would close it.
  useEffect(() => {
    const pressed = (event: Event) => !menu.current?.contains(event.target as Node) && onClose()
    addEventListener('pointerdown', pressed, true)
    addEventListener('resize', onClose)
    return () => {
      removeEventListener('pointerdown', pressed, true)
      removeEventListener('resize', onClose)
    }
  }, [onClose])

  const keyDown = (event: KeyboardEvent) => {
    const items = [...menu.current!.querySelectorAll<HTMLElement>('.menu-item:not([disabled])')]
    const i = items.indexOf(document.activeElement as HTMLElement)
    const to = { ArrowDown: i + 1, ArrowUp: i - 1, Home: 0, End: -1 }[event.key]
    if (to !== undefined) {
      event.preventDefault()
      items.at(to % items.length)?.focus()
    } else if (event.key === 'Escape' || event.key === 'Tab') {
      event.preventDefault()
      event.stopPropagation()
      anchor.focus()
      onClose()
    }
  }

  return (
    <div
      ref={menu}
      popover="manual"
      className="menu"
      role="menu"
      aria-label={label}
      onKeyDown={keyDown}
      onClick={(event) => {
        if (!(event.target as HTMLElement).closest('.menu-item')) return
        anchor.focus()
        onClose()
      }}
    >
      {children}
    </div>
  )
}
