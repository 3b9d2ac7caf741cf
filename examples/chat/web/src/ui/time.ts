const clock = new Intl.DateTimeFormat([], { hour: 'numeric', minute: '2-digit' })
const whole = new Intl.DateTimeFormat([], { dateStyle: 'full', timeStyle: 'short' })
const shortDay = new Intl.DateTimeFormat([], { day: 'numeric', month: 'short' })

export const clockTime = (time: string) => clock.format(new Date(time))
/** Without the half of the day, for narrow places: the whole time is one hover away. */
export const bareTime = (time: string) =>
  clock
    .formatToParts(new Date(time))
    .filter((part) => part.type === 'hour' || part.type === 'minute')
    .map((part) => part.value)
    .join(':')
export const shortDate = (time: string) => shortDay.format(new Date(time))
export const wholeTime = (time: string) => whole.format(new Date(time))

/** "now", "3 min", "2 h", "5 Nov". */
export function shortAgo(time: string, now = Date.now()): string {
  const minutes = Math.floor((now - Date.parse(time)) / 60_000)
  if (minutes < 1) return 'now'
  if (minutes < 60) return `${minutes} min`
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h`
  return shortDay.format(new Date(time))
}

/** "last seen 3 min ago". */
export function lastSeen(time: string | null, now = Date.now()): string {
  if (!time) return 'not seen yet'
  const ago = shortAgo(time, now)
  if (ago === 'now') return 'last seen just now'
  return /min|h$/.test(ago) ? `last seen ${ago} ago` : `last seen ${ago}`
}

export function fileSize(bytes: number): string {
  if (bytes < 1_000) return `${bytes} B`
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} KB`
  return `${(bytes / 1_000_000).toFixed(1)} MB`
}
