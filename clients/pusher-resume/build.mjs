// Builds dist: the code as ESM and as CommonJS, with the types of each.

import { execFileSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { minify } from 'terser';

const here = fileURLToPath(new URL('.', import.meta.url));
rmSync(`${here}dist`, { recursive: true, force: true });

const bundle = await build({
  entryPoints: [`${here}src/index.ts`],
  outfile: `${here}dist/index.js`,
  bundle: true,
  write: false,
  sourcemap: true,
  minifySyntax: true,
  format: 'esm',
  target: 'es2021',
  // The fields of State, which nobody sees.
  mangleProps: /^(last|first|known|live|request|timer|holes|held)$/,
});
const [map, code] = bundle.outputFiles;
const { code: esm, map: sources } = await minify(code.text, {
  module: true,
  ecma: 2020,
  compress: { passes: 3, unsafe: true, inline: 1, reduce_funcs: false, if_return: false },
  sourceMap: { content: map.text, filename: 'index.js', url: 'index.js.map' },
});
const exported = /export\{(\w+) as resume\};/;
if (!exported.test(esm)) throw new Error('the bundle exports something else');

for (const [format, text] of [['esm', esm], ['cjs', esm.replace(exported, 'exports.resume=$1;')]]) {
  const folder = `${here}dist/${format}`;
  execFileSync(process.execPath, [`${here}node_modules/typescript/bin/tsc`, '-p', here, '--outDir', folder], { stdio: 'inherit' });
  writeFileSync(`${folder}/index.js`, text);
  writeFileSync(`${folder}/index.js.map`, sources);
}
// What is in it is CommonJS, though the package is not.
writeFileSync(`${here}dist/cjs/package.json`, '{"type":"commonjs"}\n');
