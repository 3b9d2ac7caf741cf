/** What is long enough to be folded. */
const longLines = 24
const longChars = 2_400

const emojiOnly = /^(?:\s|\p{Extended_Pictographic}|\p{Regional_Indicator}|[\u200d\ufe0f\u{1f3fb}-\u{1f3ff}])+$/u
const graphemes = new Intl.Segmenter()

/** Whether a text is a few emoji and nothing else, which are drawn large. */
export function isEmojiOnly(text: string): boolean {
  if (text.length > 60 || !emojiOnly.test(text) || !text.trim()) return false
  return [...graphemes.segment(text.replace(/\s/g, ''))].length <= 6
}

/** Whether there is anything in a text that Markdown or an address could mean. */
export const isPlain = (text: string) => !/[*_`~>[\]|\\@]|^\s*(?:[-+]|\d+[.)])\s|https?:|www\./m.test(text)

export const countLines = (text: string) => text.split('\n').length

export const isLong = (text: string) => text.length > longChars || countLines(text) > longLines
