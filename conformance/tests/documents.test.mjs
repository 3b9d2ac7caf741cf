// What the documents show in other languages than Go: JavaScript and TypeScript under the
// types of the packages that they use, all else by the parser of the language.

import test from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('..', import.meta.url));
const root = join(here, '..');

/** elsewhere are the documents whose snippets other tests compile: the chat's. */
const elsewhere = ['docs/chat-page.md'];

const documents = ['.', 'docs', 'conformance', 'clients/pusher-resume']
  .flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name)))
  .filter((path) => path.endsWith('.md') && !elsewhere.includes(path));

/** snippets are the blocks of all documents that are in a language, with where they stand. */
const snippets = (...languages) =>
  documents.flatMap((document) => {
    const text = readFileSync(join(root, document), 'utf8');
    return [...text.matchAll(/^```(\w+)[^\n]*\n(.*?)^```$/gms)]
      .filter(([, language]) => languages.includes(language))
      .map((block) => ({
        at: `${document}:${text.slice(0, block.index).split('\n').length}`,
        language: block[1],
        text: block[2],
      }));
  });

// What snippets take for granted, unless they declare it.
const given = {
  channel: "import('pusher-js').PresenceChannel",
  room: "import('pusher-js').Channel",
  pusher: "import('pusher-js').default & import('@carillon-rt/pusher-resume').Resumable",
  options: "import('pusher-js').Options",
  id: 'string',
  show: '(event: unknown) => void',
  hideTheBanner: '() => void',
  loadTheRoomAnew: '() => void',
  draft: 'string',
};

/** program puts before a snippet what it leaves out: only the backend's Pusher takes an appId. */
function program(snippet) {
  const declared = (name) => new RegExp(`\\b(const|let|function|import)\\b[^;=(]*\\b${name}\\b`).test(snippet);
  const packages = {
    Pusher: /\bappId:/.test(snippet) ? 'pusher' : 'pusher-js',
    Echo: 'laravel-echo',
  };
  const imports = Object.entries(packages)
    .filter(([name]) => new RegExp(`\\bnew ${name}\\(|^ *${name},$`, 'm').test(snippet) && !declared(name))
    .map(([name, from]) => `import ${name} from '${from}';\n`);
  if (/\bresume\(/.test(snippet) && !declared('resume')) imports.push("import { resume } from '@carillon-rt/pusher-resume';\n");
  const variables = Object.entries(given)
    .filter(([name]) => new RegExp(`(?<![.'"\\w-])${name}\\b(?!['":-])`).test(snippet) && !declared(name))
    .map(([name, type]) => `declare const ${name}: ${type};\n`);
  return `${imports.join('')}export {};\n${variables.join('')}${snippet}`;
}

const globals = `
interface ImportMeta { readonly env: Record<string, string> }
interface Window { Pusher: unknown; Echo: unknown }
`;

/** complaints are what the compiler says of programs; empty if nothing. */
function complaints(programs) {
  // Below this folder, so that the packages are found.
  const folder = mkdtempSync(join(here, '.snippets-'));
  try {
    writeFileSync(join(folder, 'globals.d.ts'), globals);
    programs.forEach(({ text, jsx }, i) => writeFileSync(join(folder, `${i}.${jsx ? 'tsx' : 'ts'}`), text));
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify({
      compilerOptions: {
        strict: true, noImplicitAny: false, noEmit: true, target: 'es2022', module: 'esnext', moduleResolution: 'bundler', jsx: 'react-jsx',
        esModuleInterop: true, skipLibCheck: true, types: ['node'],
        paths: { '@carillon-rt/pusher-resume': ['../../clients/pusher-resume/src/index.ts'] },
      },
      include: ['*'],
    }));
    const { status, stdout, stderr } = spawnSync(process.execPath, [join(here, 'node_modules/typescript/bin/tsc'), '-p', folder], { encoding: 'utf8' });
    return status === 0 ? '' : stdout + stderr;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('JavaScript and TypeScript have the right types', () => {
  const found = snippets('js', 'ts', 'tsx', 'javascript', 'typescript');
  assert.ok(found.length >= 12, `${found.length} snippets`);
  assert.equal(complaints(found.map(({ at, language, text }) => ({ text: `// ${at}\n${program(text)}`, jsx: language === 'tsx' }))), '',
    found.map(({ at }, i) => `${i} is ${at}`).join('\n'));
});

test('a snippet that has not is found', () => {
  const of = (text) => complaints([{ text: program(text) }]);
  assert.match(of('new Pusher("app-key", { wsHots: "127.0.0.1", cluster: "" });\n'), /wsHots/);
  assert.match(of('new Pusher({ appId: 1, key: "app-key", secret: "x" });\n'), /number/);
  assert.match(of('room.bnd("message", show);\n'), /bnd/);
});

// parsers read a program from standard input, and end with another code than 0 if it is none.
const parsers = {
  php: { command: ['php', '-l'], before: '<?php\n', wrong: '$a = ;' },
  python: { command: ['python3', '-c', 'import ast, sys; ast.parse(sys.stdin.read())'], wrong: 'def f(:' },
  ruby: { command: ['ruby', '-c'], wrong: 'def f(' },
  json: { command: [process.execPath, '-e', 'JSON.parse(fs.readFileSync(0))'], wrong: '{a}' },
  sh: { command: ['bash', '-n'], wrong: 'if (' },
};

/** refusal is what the parser of a language says of a program; empty if nothing. */
function refusal(language, text) {
  const { command: [command, ...args], before = '' } = parsers[language];
  const { error, status, stdout, stderr } = spawnSync(command, args, { input: (text.startsWith(before) ? '' : before) + text, encoding: 'utf8' });
  if (error) throw new Error(`${command}: ${error.message}; make debian installs it`);
  return status === 0 ? '' : stdout + stderr;
}

for (const [language, { wrong }] of Object.entries(parsers)) {
  test(`${language} can be parsed`, () => {
    const found = snippets(language);
    assert.ok(found.length >= 1, 'there is none');
    for (const { at, text } of found) assert.equal(refusal(language, text), '', at);
    assert.notEqual(refusal(language, wrong), '');
  });
}

test('every block says a language that is tested, or none', () => {
  const tested = ['js', 'ts', 'tsx', 'go', ...Object.keys(parsers), 'nginx', 'caddy', 'haproxy', 'dotenv', 'sysctl', 'ini', 'toml'];
  for (const document of documents) {
    for (const [, language] of readFileSync(join(root, document), 'utf8').matchAll(/^```(\w+)/gm)) {
      assert.ok(tested.includes(language), `${document}: ${language}`);
    }
  }
});

test('variables of an environment are written as PHP and shells read them', () => {
  const found = snippets('dotenv');
  assert.ok(found.length >= 2, `${found.length} blocks`);
  for (const { at, text } of found) {
    for (const line of text.trimEnd().split('\n')) assert.match(line, /^(#.*|[A-Z_]+=("[^"]*"|\$?[^\s"']*)( +#.*)?|)$/, at);
  }
});

test('settings of the kernel are settings that it has', () => {
  const found = snippets('sysctl');
  assert.equal(found.length, 1);
  for (const line of found[0].text.trimEnd().split('\n')) {
    const [, name] = line.match(/^([\w.]+) = [\d ]+$/) ?? [];
    assert.ok(name, line);
    readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`);
  }
});
