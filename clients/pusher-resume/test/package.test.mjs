// What is published: its size, its files, its types, and that both formats load.

import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync } from 'node:zlib';

const here = fileURLToPath(new URL('..', import.meta.url));
const read = (path) => readFileSync(join(here, path), 'utf8');

for (const format of ['esm', 'cjs']) {
  test(`${format} is under 1.5 KB compressed`, () => {
    const code = read(`dist/${format}/index.js`).replace(/\n\/\/# sourceMappingURL=.*/, '');
    const { length } = brotliCompressSync(code);
    assert.ok(length <= 1500, `${length} bytes`);
  });
}

test('nothing is needed to run it', () => {
  const { dependencies, peerDependencies } = JSON.parse(read('package.json'));
  assert.deepEqual([dependencies, peerDependencies], [undefined, undefined]);
  assert.doesNotMatch(read('dist/esm/index.js'), /\bimport\b|\brequire\b/);
});

test('the license is that of the repository', () => {
  assert.equal(read('LICENSE'), read('../../LICENSE'));
});

test('npm packs what is needed and nothing else, and it can be used with its types', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pusher-resume-'));
  try {
    const [packed] = JSON.parse(
      execFileSync('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: here, encoding: 'utf8' }),
    );
    const both = (name) => ['cjs', 'esm'].map((format) => `dist/${format}/${name}`);
    const sources = ['history', 'index', 'position', 'state', 'storage', 'types'];
    assert.deepEqual(packed.files.map(({ path }) => path).sort(), [
      'LICENSE', 'README.md', 'package.json', 'dist/cjs/package.json', ...both('index.js'), ...both('index.js.map'),
      ...sources.flatMap((name) => [...both(`${name}.d.ts`), `src/${name}.ts`]),
    ].sort());

    const modules = join(folder, 'node_modules');
    mkdirSync(join(modules, '@carillon-rt/pusher-resume'), { recursive: true });
    execFileSync('tar', ['-xzf', join(folder, packed.filename), '-C', join(modules, '@carillon-rt/pusher-resume'), '--strip-components=1']);
    for (const name of ['pusher-js', 'laravel-echo', 'typescript', '@typescript']) {
      symlinkSync(join(here, 'node_modules', name), join(modules, name));
    }
    writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
    for (const name of ['use.mts', 'use.cts']) copyFileSync(join(here, 'test/types/use.ts'), join(folder, name));
    // Node's own resolution of ES modules does not understand the types of pusher-js.
    writeFileSync(join(folder, 'own.mts'), "import { resume, type PusherLike } from '@carillon-rt/pusher-resume';\nexport const use = (p: PusherLike) => resume(p).history('c');\n");
    for (const [module, resolution, ...files] of [['esnext', 'bundler', 'use.mts'], ['nodenext', 'nodenext', 'use.cts', 'own.mts']]) {
      execFileSync(process.execPath, [
        join(modules, 'typescript/bin/tsc'), '--noEmit', '--strict', '--skipLibCheck', '--types', '', '--target', 'es2022', '--lib', 'es2022,dom',
        '--module', module, '--moduleResolution', resolution, ...files,
      ], { cwd: folder, encoding: 'utf8' });
    }
    const name = '@carillon-rt/pusher-resume';
    for (const code of [`import { resume } from '${name}'; console.log(typeof resume)`, `console.log(typeof require('${name}').resume)`]) {
      const type = code.startsWith('import') ? 'module' : 'commonjs';
      assert.equal(execFileSync(process.execPath, [`--input-type=${type}`, '-e', code], { cwd: folder, encoding: 'utf8' }), 'function\n');
    }
  } catch (error) {
    throw error.stdout ? new Error(error.stdout, { cause: error }) : error;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
