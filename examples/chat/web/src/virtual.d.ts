declare module 'virtual:shortcodes' {
  /** Pairs of an emoji and its name, the best known first. */
  const shortcodes: [emoji: string, name: string][]
  export default shortcodes
}

declare module 'virtual:emoji-data' {
  /** The folder of the emoji picker's data. */
  const url: string
  export default url
}
