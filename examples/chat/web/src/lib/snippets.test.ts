// @vitest-environment node
import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const web = fileURLToPath(new URL('../..', import.meta.url))

test('every snippet of docs/chat-page.md compiles, alone', { timeout: 60_000 }, async () => {
  const text = await readFile(join(web, '../../../docs/chat-page.md'), 'utf8')
  const snippets = [...text.matchAll(/^```(tsx?)\n([\s\S]*?)^```$/gm)]
  expect(snippets.length).toBeGreaterThan(5)
  // In the folder of the page, so that its packages are found.
  const folder = join(web, 'node_modules/.snippets')
  await rm(folder, { recursive: true, force: true })
  await mkdir(folder, { recursive: true })
  try {
    for (const [i, [, kind, code]] of snippets.entries()) await writeFile(join(folder, `${i}.${kind}`), code!)
    await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ extends: '../../tsconfig.json', include: ['./*.ts', './*.tsx', '../../src/virtual.d.ts'], exclude: [] }))
    const { stdout } = await promisify(execFile)(join(web, 'node_modules/.bin/tsc'), ['-p', folder]).catch((err: { stdout: string }) => err)
    expect(stdout).toBe('')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})
