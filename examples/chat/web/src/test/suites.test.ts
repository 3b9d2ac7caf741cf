// @vitest-environment node
import { readdir, readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'

test('every suite of e2e is run: the longest are named first, so that none is left alone at the end', async () => {
  const at = (path: string) => fileURLToPath(new URL(path, import.meta.url))
  const suites = (await readdir(at('../../../e2e'))).filter((name) => name.endsWith('.test.mjs'))
  const { scripts } = JSON.parse(await readFile(at('../../package.json'), 'utf8')) as { scripts: { e2e: string } }
  expect(suites.filter((name) => !scripts.e2e.includes(`/${name}`))).toEqual([])
})
