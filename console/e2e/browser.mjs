import { chromium } from 'playwright-core';

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });

export const sizes = { 360: { width: 360, height: 740 }, 768: { width: 768, height: 900 }, 1280: { width: 1280, height: 800 } };

/** The options of a context of a width, light or dark. */
export const look = (size, scheme) => ({
  viewport: sizes[size],
  colorScheme: scheme,
  reducedMotion: 'reduce',
  timezoneId: 'UTC',
  ...(String(size) === '360' && { isMobile: true, hasTouch: true }),
});
