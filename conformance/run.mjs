// Builds the server once and runs every test against it.

import { spawn } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from './lib/server.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const given = process.argv.slice(2);
const tests = given.length > 0 ? given : readdirSync(join(here, 'tests')).map((name) => join('tests', name));
const built = process.env.CARILLON_BIN ? undefined : build();

const runner = spawn(process.execPath, ['--test', '--test-concurrency=3', ...tests], {
  cwd: here,
  stdio: 'inherit',
  env: { ...process.env, CARILLON_BIN: built?.path ?? process.env.CARILLON_BIN },
});
runner.on('exit', (code) => {
  if (built) rmSync(built.folder, { recursive: true, force: true });
  process.exitCode = code ?? 1;
});
