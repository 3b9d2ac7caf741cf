// Makes the README's pictures of the chat and the console, light and dark, as WebP. The
// chat's page has to be built; make pictures sees to it.
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { build as buildChat, Server as Chat } from '../../examples/chat/e2e/server.mjs';
import { Tab } from '../../examples/chat/e2e/tab.mjs';
import { launch } from './browser.mjs';
import { build, Server } from './server.mjs';

const folder = fileURLToPath(new URL('../../docs/pictures/', import.meta.url));
const most = 300_000;
const size = { width: 1200, height: 720 };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

await mkdir(folder, { recursive: true });
const browser = await launch();
let total = 0;

async function save(page, name) {
  const session = await page.context().newCDPSession(page);
  const { data } = await session.send('Page.captureScreenshot', { format: 'webp', quality: 80 });
  await writeFile(`${folder}${name}.webp`, Buffer.from(data, 'base64'));
  const bytes = (await stat(`${folder}${name}.webp`)).size;
  total += bytes;
  console.log(`${name}.webp ${bytes} bytes`);
}

const context = (scheme) => browser.newContext({ viewport: size, colorScheme: scheme, reducedMotion: 'reduce', timezoneId: 'UTC', serviceWorkers: 'block' });

try {
  const demo = await build();
  const server = await Server.start(demo.path, '-clients', '60', '-rate', '60');
  try {
    // So that the charts have a minute to show.
    await pause(62_000);
    for (const scheme of ['light', 'dark']) {
      const page = await (await context(scheme)).newPage();
      await page.goto(server.url);
      await page.locator('.state.open').waitFor();
      await pause(2500);
      await save(page, `console-${scheme}`);
      await page.context().close();
    }
  } finally {
    await server.stop();
    await demo.remove();
  }

  const binary = await buildChat();
  const chat = await Chat.start(binary.path, ['-demo']);
  try {
    for (const [scheme, name] of [['light', 'Ida'], ['dark', 'Tom']]) {
      const tab = new Tab(await (await context(scheme)).newPage(), []);
      await tab.page.goto(chat.url);
      await tab.signIn(name);
      await tab.get('message').first().waitFor();
      await tab.room('Lobby').click();
      // Pictures come, and somebody says something.
      await pause(9000);
      await tab.page.mouse.move(2, 2);
      await pause(300);
      await save(tab.page, `chat-${scheme}`);
      await tab.page.context().close();
    }
  } finally {
    await chat.stop();
    await binary.remove();
  }
} finally {
  await browser.close();
}
if (total > most) throw new Error(`the pictures have ${total} bytes together, ${most} at most are agreed`);
