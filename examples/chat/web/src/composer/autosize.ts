/** Lets a textarea grow with its text where the browser does not do it by itself. */
export function grow(el: HTMLTextAreaElement) {
  if (CSS.supports('field-sizing', 'content')) return
  el.style.height = 'auto'
  el.style.height = `${el.scrollHeight + 2}px`
}
