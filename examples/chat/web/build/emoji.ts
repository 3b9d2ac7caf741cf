import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import type { Plugin } from 'vite'

const require = createRequire(import.meta.url)
const read = (name: string) => readFile(require.resolve(`emojibase-data/${name}`), 'utf8')
const { version } = require('emojibase-data/package.json') as { version: string }
/** Versioned, so that it may be kept for ever. */
const folder = `assets/emojibase-${version}`
const files = ['en/data.json', 'en/messages.json']

interface Emoji {
  hexcode: string
  emoji: string
  order?: number
}

/** Serves the picker's data from the page's own address, and the names that complete after a colon. */
export function emoji(): Plugin {
  let building = false
  return {
    name: 'emoji',
    configResolved(config) {
      building = config.command === 'build'
    },
    resolveId: (id) => (id.startsWith('virtual:shortcodes') || id.startsWith('virtual:emoji-data') ? `\0${id}` : undefined),
    async load(id) {
      if (id === '\0virtual:emoji-data') return `export default ${JSON.stringify(`/${folder}`)}`
      if (id !== '\0virtual:shortcodes') return
      const emojis = JSON.parse(await read('en/data.json')) as Emoji[]
      const names = JSON.parse(await read('en/shortcodes/github.json')) as Record<string, string | string[]>
      const pairs = emojis.flatMap((e) => [names[e.hexcode] ?? []].flat().map((name) => [e.emoji, name]))
      return `export default ${JSON.stringify(pairs)}`
    },
    async buildStart() {
      if (!building) return
      for (const file of files) this.emitFile({ type: 'asset', fileName: `${folder}/${file}`, source: await read(file) })
    },
    configureServer(server) {
      server.middlewares.use(`/${folder}`, (request, response, next) => {
        const file = files.find((f) => request.url?.split('?')[0] === `/${f}`)
        if (!file) return next()
        response.setHeader('Content-Type', 'application/json')
        read(file).then((data) => response.end(data), next)
      })
    },
  }
}
