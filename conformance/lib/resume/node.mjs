// Clients in a process of their own, since their callbacks throw: the test's process
// says which to start, and hears what they report.

import { createRequire } from 'node:module';
import Echo from 'laravel-echo';
import { resume } from '../../../clients/pusher-resume/dist/esm/index.js';
import { start } from './client.js';

const require = createRequire(import.meta.url);
const versions = { '4.4': require('pusher-js-4'), newest: require('pusher-js') };
// What pusher-js 4.4 looks at before it makes an encrypted channel, and Node 20 does not have.
globalThis.navigator ??= {};

process.on('uncaughtException', (error) => {
  if (error.message !== 'of the application') throw error;
});
const clients = new Map();
process.on('message', ({ setup, again }) => {
  if (again) {
    clients.get(again).disconnect();
    clients.get(again).connect();
    return;
  }
  const { label, site } = setup;
  const post = async (path, body) => (await fetch(`${site}${path}`, { method: 'POST', body: JSON.stringify(body) })).json();
  const report = (entry) => process.send({ label, entry });
  clients.set(label, start({ Pusher: versions[setup.version], resume, Echo, setup, post, report }));
});
process.on('disconnect', () => process.exit());
