import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import type { Plugin } from 'vite'

const compressible = /\.(?:js|css|html|svg|json|webmanifest)$/
/** Below this a compressed answer is no faster. */
const worthwhile = 1_000

/** Writes x.br and x.gz beside each x, so that the server has nothing to compress. */
export function compressed(): Plugin {
  let folder = 'dist'
  return {
    name: 'compressed',
    apply: 'build',
    configResolved(config) {
      folder = config.build.outDir
    },
    async closeBundle() {
      const files = await readdir(folder, { recursive: true, withFileTypes: true })
      await Promise.all(
        files.map(async (file) => {
          if (!file.isFile() || !compressible.test(file.name)) return
          const path = join(file.parentPath, file.name)
          const raw = await readFile(path)
          if (raw.length < worthwhile) return
          const [br, gz] = await Promise.all([
            promisify(brotliCompress)(raw, { params: { [constants.BROTLI_PARAM_SIZE_HINT]: raw.length } }),
            promisify(gzip)(raw, { level: 9 }),
          ])
          await writeFile(`${path}.br`, br)
          await writeFile(`${path}.gz`, gz)
        }),
      )
    },
  }
}
