import assert from 'node:assert/strict'

const deadline = 20_000
export const passphrase = 'correct horse battery'

/** One tab of a browser. What goes wrong in its page goes to errors. */
export class Tab {
  constructor(page, errors) {
    this.page = page
    page.setDefaultTimeout(deadline)
    page.on('pageerror', (err) => errors.push(String(err.stack)))
    page.on('console', (m) => {
      if (m.type() === 'error' && /Content Security Policy|React|Warning/.test(m.text())) errors.push(m.text())
    })
  }

  get(id) {
    return this.page.getByTestId(id)
  }

  status(want) {
    return this.page.locator(`[data-testid=status][data-status=${want}]`).waitFor({ state: 'attached' })
  }

  /** Signs in, and comes into a room if there is one. */
  async signIn(name, { role, pass = passphrase } = {}) {
    await this.get('name').fill(name)
    await this.get('passphrase').fill(pass)
    if (role) await this.page.getByRole('radio', { name: role }).check()
    await this.get('enter').click()
    await this.status('connected')
  }

  async write(text) {
    await this.get('composer').fill(text)
    await this.get('composer').press('Enter')
  }

  message(text) {
    return this.get('message').filter({ has: this.page.getByTestId('text').getByText(text, { exact: true }) })
  }

  /** Waits until a message is there, once. */
  async sees(text) {
    await this.message(text).first().waitFor()
    assert.equal(await this.message(text).count(), 1, `${text} is there once`)
  }

  /** The texts that are drawn now, in the order of their places. */
  async texts() {
    return this.page.evaluate(() =>
      [...document.querySelectorAll('[data-testid=message], [data-testid=unsent]')]
        .map((row) => [row.getBoundingClientRect().top, row.querySelector('[data-testid=text]')?.textContent ?? ''])
        .sort(([a], [b]) => a - b)
        .map(([, text]) => text),
    )
  }

  /** Waits until the texts that are drawn are these. */
  async shows(...want) {
    await this.until(async () => assert.deepEqual(await this.texts(), want))
  }

  /** Runs a check again until it holds. */
  async until(check) {
    for (const end = Date.now() + deadline; ; ) {
      try {
        return await check()
      } catch (err) {
        if (Date.now() > end) throw err
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
    }
  }

  /** Waits until exactly these are shown as here. */
  async members(...names) {
    await this.until(async () =>
      assert.deepEqual((await this.page.locator('[data-testid=member][data-online=true] .name').allTextContents()).sort(), names.sort()),
    )
  }

  notices() {
    return this.page.locator('[data-testid=notice] > span').allTextContents()
  }

  room(name) {
    return this.get('room').filter({ has: this.page.getByText(name, { exact: true }) })
  }

  async makeRoom(name, { closed = false } = {}) {
    await this.get('new-room').click()
    await this.get('room-name').fill(name)
    if (closed) await this.get('private').check()
    await this.get('make-room').click()
    await this.page.getByRole('heading', { level: 2, name }).waitFor()
  }

  /** Does something from the bar of actions of a message. */
  async act(text, action) {
    await this.message(text).hover()
    await this.message(text).getByTestId(action).click()
  }

  /** Nothing is wider than the window. */
  async fits() {
    const { width } = this.page.viewportSize()
    assert.equal(await this.page.evaluate(() => document.documentElement.scrollWidth), width)
    const out = await this.page.evaluate(
      (width) =>
        [...document.querySelectorAll('button, a, input, textarea, h1, h2')]
          .filter((e) => e.checkVisibility({ visibilityProperty: true, opacityProperty: true }) && !e.closest('.hidden, .skip'))
          .map((e) => [e.outerHTML.slice(0, 90), e.getBoundingClientRect()])
          .filter(([, box]) => box.width > 0 && (box.left < -1 || box.right > width + 1))
          .map(([html]) => html),
      width,
    )
    assert.deepEqual(out, [])
  }
}
