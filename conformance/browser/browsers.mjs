// The browsers that there are, and what it takes to drive them alike: playwright's
// Firefox is one of its own, and puppeteer drives Debian's as it is.

import puppeteer from 'puppeteer-core';
import { launch } from './lib.mjs';

async function launchFirefox() {
  const browser = await puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    timeout: 60_000,
  });
  return {
    version: () => browser.version(),
    close: () => browser.close(),
    newContext: () => browser.createBrowserContext(),
  };
}

/** browsers have a name, and a launch whose pages can goto, evaluate and close. */
export const browsers = [
  { name: 'Chromium', launch },
  { name: 'Firefox', launch: launchFirefox },
];
