// Pictures and files: attached, dropped, pasted, cancelled, looked at.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { useWorld } from './world.mjs'

/** A picture that a canvas of the page has made. */
const draw = (page, width, height) =>
  page.evaluate(
    async ([width, height]) => {
      const canvas = document.createElement('canvas')
      Object.assign(canvas, { width, height })
      const c = canvas.getContext('2d')
      for (let i = 0; i < 200; i++) {
        c.fillStyle = `hsl(${i * 7} 60% 50%)`
        c.fillRect((i * 53) % width, (i * 31) % height, 60, 60)
      }
      const blob = await new Promise((resolve) => canvas.toBlob(resolve))
      return [...new Uint8Array(await blob.arrayBuffer())]
    },
    [width, height],
  )

describe('files', { timeout: 180_000 }, () => {
  const world = useWorld()

  test('a picture is shown in its box, and opens large', async () => {
    const { tab: ann } = await world.enter('Ann')
    const { tab: bob } = await world.enter('Bob')
    const bytes = Buffer.from(await draw(ann.page, 900, 600))
    await ann.get('chooser').setInputFiles({ name: 'roof.png', mimeType: 'image/png', buffer: bytes })
    await ann.get('composer').fill('from the roof')
    await ann.get('composer').press('Enter')
    const shown = bob.message('from the roof').getByTestId('picture')
    await shown.waitFor()
    const box = await shown.boundingBox()
    assert.deepEqual([Math.round(box.width), Math.round(box.height)], [360, 240])
    await bob.until(async () => assert.ok(await shown.locator('img').evaluate((i) => i.complete && i.naturalWidth > 0)))
    await bob.page.locator('[data-testid=notice]', { hasText: 'roof.png' }).waitFor()
    await ann.page.locator('[data-testid=notice]', { hasText: 'roof.png' }).waitFor()
    await shown.click()
    await bob.until(async () => assert.equal(await bob.get('lightbox').locator('img').evaluate((i) => i.naturalWidth), 900))
    await bob.page.keyboard.press('Escape')
    await bob.get('lightbox').waitFor({ state: 'detached' })
  })

  test('what is dropped or pasted is attached, and can be taken off', async () => {
    const { tab: ann } = await world.enter('Ann')
    const give = (type) =>
      ann.page.evaluate((type) => {
        const data = new DataTransfer()
        data.items.add(new File(['some notes'], `${type}.txt`, { type: 'text/plain' }))
        const to = type === 'drop' ? document.querySelector('.room') : document.querySelector('[data-testid=composer]')
        const init = { bubbles: true, cancelable: true }
        to.dispatchEvent(type === 'drop' ? new DragEvent('drop', { ...init, dataTransfer: data }) : new ClipboardEvent('paste', { ...init, clipboardData: data }))
      }, type)
    await give('drop')
    await give('paste')
    await ann.page.locator('[data-testid=upload][data-done=true]').nth(1).waitFor()
    await ann.get('cancel-upload').first().click()
    await ann.page.reload()
    await ann.page.locator('[data-testid=upload]', { hasText: 'paste.txt' }).waitFor()
    assert.equal(await ann.get('upload').count(), 1, 'what is attached is part of the draft')
    await ann.get('send').click()
    await ann.get('file').getByText('paste.txt').waitFor()
    await ann.get('file').getByText('some notes').waitFor()
    const [download] = await Promise.all([ann.page.waitForEvent('download'), ann.get('file').getByRole('link').click()])
    assert.equal(download.suggestedFilename(), 'paste.txt')
  })

  test('a large paste becomes a file, and a file that is too large is refused in words', async () => {
    const { tab: ann } = await world.enter('Ann')
    await ann.get('composer').focus()
    const took = await ann.page.evaluate(() => {
      const data = new DataTransfer()
      data.setData('text/plain', 'a line of a log\n'.repeat(12_500))
      const start = performance.now()
      document.activeElement.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true }))
      return [document.activeElement.value, performance.now() - start]
    })
    assert.equal(took[0], '', 'the field stays free of it')
    await ann.get('large-paste').getByText('200 KB').waitFor()
    await ann.get('paste-as-file').click()
    await ann.page.locator('[data-testid=upload][data-done=true]', { hasText: 'pasted.txt' }).waitFor()
    await ann.get('cancel-upload').click()
    await ann.get('chooser').setInputFiles({ name: 'film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(10_485_761) })
    await ann.page.getByText('This file is too large (10.5 MB). The limit is 10.5 MB.').waitFor()
  })

  test('an upload shows how far it is, and is cancelled', async () => {
    const proxy = await world.proxy()
    const { tab: ann } = await world.enter('Ann', { through: proxy })
    proxy.blackHole()
    await ann.get('chooser').setInputFiles({ name: 'slow.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(5_000_000) })
    await ann.get('upload').locator('progress').waitFor()
    // Whoever leaves the page meanwhile is asked.
    const [dialog] = await Promise.all([ann.page.waitForEvent('dialog'), ann.page.evaluate(() => void setTimeout(() => location.reload()))])
    assert.equal(dialog.type(), 'beforeunload')
    await dialog.dismiss()
    await ann.get('cancel-upload').click()
    await ann.get('upload').waitFor({ state: 'detached' })
    proxy.restore()
    await ann.status('connected')
  })
})
