// Two tabs chat through the quickstart in a real browser. Run it with
// `npm run e2e` in ../chat/web, whose packages it uses.
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { launch } from '../chat/e2e/browser.mjs'

const axe = createRequire(new URL('../chat/web/package.json', import.meta.url)).resolve('axe-core/axe.min.js')
let folder, binary, url, server, browser

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'carillon-quickstart-'))
  binary = join(folder, 'quickstart')
  await promisify(execFile)('go', ['build', '-o', binary, '.'], { cwd: fileURLToPath(new URL('.', import.meta.url)) })
  url = await start('127.0.0.1:0')
  browser = await launch()
})
after(async () => {
  await browser?.close()
  await stop()
  await rm(folder, { recursive: true })
})

/** Starts the program, and returns the URL that it prints. */
async function start(addr) {
  server = spawn(binary, { env: { ...process.env, ADDR: addr }, stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface({ input: server.stdout }), 'line')
  return /http:\S+$/.exec(line)[0]
}

async function stop() {
  if (!server || server.exitCode !== null) return
  server.kill('SIGTERM')
  assert.deepEqual(await once(server, 'exit'), [0, null])
}

async function open(name, options, logged = []) {
  const page = await (await browser.newContext(options)).newPage()
  page.on('dialog', (dialog) => dialog.accept(name))
  page.on('console', (message) => message.type() === 'error' && logged.push(message.text()))
  page.on('pageerror', (err) => assert.fail(err))
  await page.goto(url)
  await page.getByRole('status').getByText('connected', { exact: true }).waitFor()
  return page
}

async function write(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.getByRole('button').click()
}

for (const colorScheme of ['light', 'dark'])
  test(`a first visit logs no error, and leaves axe nothing to find, ${colorScheme}`, { timeout: 60_000 }, async () => {
    const logged = []
    const page = await open('Ada', { colorScheme, viewport: { width: 360, height: 640 } }, logged)
    await write(page, 'hello')
    await page.getByText('Ada: hello', { exact: true }).first().waitFor()
    await page.evaluate(await readFile(axe, 'utf8'))
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }))
    assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), [])
    assert.deepEqual(logged, [])
    await page.close()
  })

test('two tabs chat, with any name, and survive a restart', { timeout: 120_000 }, async () => {
  const ada = await open('Ada')
  const lukasz = await open('Łukasz 王')
  await ada.getByText('Ada, Łukasz 王', { exact: true }).waitFor()
  await write(lukasz, '<b>hello</b>')
  await ada.getByText('Łukasz 王: <b>hello</b>', { exact: true }).waitFor()

  await stop()
  await ada.getByText('reconnecting').waitFor()
  await write(ada, 'are you there')
  await ada.getByText(/^not sent: /).waitFor()
  assert.equal(await ada.getByLabel('Message', { exact: true }).inputValue(), 'are you there')

  await start(new URL(url).host)
  await ada.getByText('connected', { exact: true }).waitFor()
  await lukasz.getByText('connected', { exact: true }).waitFor()
  await write(ada, 'are you there')
  await lukasz.getByText('Ada: are you there', { exact: true }).waitFor()
  await lukasz.close()
  await ada.getByText('Ada', { exact: true }).waitFor()
})
