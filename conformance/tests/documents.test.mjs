// The JavaScript of the documents, under the types of the packages that it uses.

import test from 'node:test';
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const here = fileURLToPath(new URL('..', import.meta.url));
const root = join(here, '..');

/** snippets are the blocks of a document that are JavaScript. */
const snippets = (document) =>
  [...readFileSync(join(root, document), 'utf8').matchAll(/^```(\w+)\n(.*?)^```$/gms)]
    .filter(([, language]) => ['js', 'ts', 'javascript', 'typescript'].includes(language))
    .map(([, , text]) => text);

/** program puts the import before a snippet that it leaves out: only the backend's takes an appId. */
const program = (snippet) => `import Pusher from ${/\bappId:/.test(snippet) ? '"pusher"' : '"pusher-js"'};\n${snippet}`;

/** complaints are what the compiler says of programs; empty if nothing. */
async function complaints(programs) {
  // Below this folder, so that the packages are found.
  const folder = mkdtempSync(join(here, '.snippets-'));
  try {
    const files = programs.map((text, i) => {
      const file = join(folder, `${i}.ts`);
      writeFileSync(file, text);
      return file;
    });
    const flags = ['--strict', '--noEmit', '--target', 'es2022', '--module', 'esnext', '--moduleResolution', 'bundler',
      '--esModuleInterop', '--skipLibCheck', '--types', 'node', '--ignoreConfig'];
    await promisify(execFile)(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), ...flags, ...files]);
    return '';
  } catch (error) {
    if (!error.stdout) throw error;
    return error.stdout;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('the snippets of the documents have the right types', async () => {
  const programs = readdirSync(root).filter((name) => name.endsWith('.md')).flatMap(snippets).map(program);
  assert.ok(programs.length >= 2, `${programs.length} snippets`);
  assert.equal(await complaints(programs), '');
});

test('a snippet that has not is found', async () => {
  assert.match(await complaints([program('new Pusher("app-key", { wsHots: "127.0.0.1", cluster: "" });\n')]), /wsHots/);
  assert.match(await complaints([program('new Pusher({ appId: 1, key: "app-key", secret: "x" });\n')]), /number/);
});
