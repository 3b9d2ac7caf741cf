/** Puts a text into the clipboard, also where a page over plain HTTP may not use the newer way. */
export async function copyText(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text)
  const area = document.createElement('textarea')
  area.value = text
  area.className = 'hidden'
  document.body.append(area)
  area.select()
  document.execCommand('copy')
  area.remove()
}
