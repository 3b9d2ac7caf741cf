import { createRequire } from 'node:module'

// The test has no packages of its own: the page's are used.
const require = createRequire(new URL('../web/package.json', import.meta.url))
const { chromium } = require('playwright-core')

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  })
}
