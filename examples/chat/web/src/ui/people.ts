/** "Ann", "Ann and Bob", "Ann, Bob and 3 others". */
export function names(all: string[], most = 3): string {
  const shown = all.length > most ? all.slice(0, most - 1) : all
  const rest = all.length - shown.length
  const last = rest > 0 ? `${rest} others` : shown.at(-1)
  const first = rest > 0 ? shown : shown.slice(0, -1)
  return first.length > 0 ? `${first.join(', ')} and ${last}` : (last ?? '')
}
