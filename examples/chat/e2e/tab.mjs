import assert from 'node:assert/strict'

const deadline = 20_000

/** One tab of a browser. What goes wrong in its page goes to errors. */
export class Tab {
  constructor(page, errors) {
    this.page = page
    page.setDefaultTimeout(deadline)
    page.on('pageerror', (err) => errors.push(String(err)))
    page.on('console', (m) => {
      if (m.type() === 'error' && m.text().includes('Content Security Policy')) errors.push(m.text())
    })
  }
  get(id) {
    return this.page.getByTestId(id)
  }
  status(want) {
    return this.page.locator(`[data-testid=status][data-status=${want}]`).waitFor()
  }
  async write(text) {
    await this.get('composer').fill(text)
    await this.get('send').click()
  }
  message(text) {
    return this.get('message').filter({ has: this.page.getByText(text, { exact: true }) })
  }
  async sees(text) {
    await this.message(text).waitFor()
    assert.equal(await this.message(text).count(), 1, `${text} is there once`)
  }
  async notices() {
    return this.get('notice').allTextContents()
  }
  /** Waits until exactly these members are shown. */
  async members(...names) {
    await this.page.waitForFunction((want) => {
      const shown = [...document.querySelectorAll('[data-testid=member] .name')].map((e) => e.textContent)
      return JSON.stringify(shown.sort()) === JSON.stringify(want)
    }, names.sort())
  }
  /** Waits until the message is whole and in view. */
  async shows(text) {
    await this.sees(text)
    await this.page.waitForFunction((want) => {
      const found = [...document.querySelectorAll('[data-testid=text]')].find((e) => e.textContent === want)
      const view = document.querySelector('[data-testid=messages]').getBoundingClientRect()
      const { top, bottom } = found.getBoundingClientRect()
      return top >= view.top && bottom <= view.bottom
    }, text)
  }
  /** Posts "message 1" to "message n" without the composer. */
  async post(n) {
    const posted = await this.page.evaluate(async (n) => {
      const statuses = []
      for (let i = 1; i <= n; i++) {
        const response = await fetch('/api/rooms/lobby/messages', {
          method: 'POST',
          headers: { 'Content-Type': 'application/json' },
          body: JSON.stringify({ text: `message ${i}`, client_id: `m${i}` }),
        })
        statuses.push(response.status)
      }
      return statuses.every((s) => s === 201)
    }, n)
    assert.ok(posted)
  }
  /** Nothing is wider than the window. */
  async fits() {
    const leave = await this.get('leave').boundingBox()
    const { width } = this.page.viewportSize()
    assert.ok(leave.x + leave.width <= width, `Leave ends at ${leave.x + leave.width}, the window at ${width}`)
    assert.equal(await this.page.evaluate(() => document.documentElement.scrollWidth), width)
  }
  async signIn(name) {
    await this.get('name').fill(name)
    await this.get('enter').click()
    await this.status('connected')
  }
}
