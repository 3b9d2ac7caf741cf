import { matching } from './completion'
import shortcodes from 'virtual:shortcodes'

/** Emoji with the names that people type between colons. */
export const findEmoji = (query: string): [emoji: string, name: string][] => matching(shortcodes, query, ([, name]) => name)
