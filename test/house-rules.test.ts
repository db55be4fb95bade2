/**
 * Rules about the source tree that a type checker cannot hold. Each rule carries its reason; a failure prints it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import * as assert from 'uvu/assert';
import { test } from './harness.ts';

const ROOT = resolve(import.meta.dirname, '..');
const SRC = join(ROOT, 'src');

/** Lower layers first. A file imports from its own layer's folder and from layers below it, never upward or sideways. */
const LAYERS: readonly (readonly string[])[] = [
  [
    'advice.ts',
    'errors.ts',
    'secret.ts',
    'events.ts',
    'files.ts',
    'make-folders.ts',
    'outcomes.ts',
    'run.ts',
    'version.ts',
    'package-file.ts',
    'free-memory.ts',
    'process-memory.ts',
    'bson',
    'text',
  ],
  ['query', 'mongo'],
  ['plan'],
  ['backup', 'target'],
  ['oplog'],
  ['selection'],
  ['distributed'],
  ['comparison', 'ledger'],
  ['apply', 'follow-ups'],
  ['report', 'restore'],
  ['index.ts', 'cli'],
  ['process.ts'],
  ['main.ts'],
  ['start.ts'],
];

/** One door per dependency: each is imported in the files named here and nowhere else, so it can be replaced or pinned in one place. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  yaml: ['plan/', 'distributed/engines/kubernetes.ts'],
  ajv: ['plan/compiled-schema.ts'],
  '@aws-sdk/client-s3': ['backup/s3/s3-client.ts'],
  '@aws-sdk/core': ['backup/s3/s3-client.ts'],
  '@aws-sdk/credential-provider-node': ['mongo/aws-credentials.ts'],
  'https-proxy-agent': ['backup/s3/proxy.ts'],
  tar: ['backup/containers/tar-header.ts'],
  listr2: ['cli/task-list.ts'],
  commander: ['cli/'],
  'temporal-polyfill': ['plan/', 'backup/'],
  acorn: ['query/pasted-query.ts'],
  'mongodb/lib/': ['target/driver-internals.ts'],
};

interface Import {
  readonly file: string;
  readonly specifier: string;
}

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    return entry.isDirectory() ? sourceFiles(path) : entry.name.endsWith('.ts') ? [path] : [];
  });
}

function importsOf(path: string): Import[] {
  const text = readFileSync(path, 'utf8');
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;
  return [...text.matchAll(pattern)].map((match) => ({
    file: relative(SRC, path),
    specifier: (match[1] ?? match[2]) as string,
  }));
}

const files = sourceFiles(SRC);
const imports = files.flatMap(importsOf);
const place = (file: string): string => file.split('/')[0] as string;
const layerOf = (file: string): number => LAYERS.findIndex((layer) => layer.includes(place(file)));

test('every source file belongs to a layer', () => {
  const homeless = files.map((file) => relative(SRC, file)).filter((file) => layerOf(file) < 0);
  assert.equal(homeless, [], 'a reader should know from the folder where a line belongs');
});

test('imports go one way, from the edge of the process towards raw BSON', () => {
  const wrong = imports
    .filter(({ specifier }) => specifier.startsWith('.'))
    .map(({ file, specifier }) => ({
      file,
      to: relative(SRC, resolve(SRC, dirname(file), specifier)),
    }))
    .filter(({ to }) => !to.startsWith('..'))
    .filter(({ file, to }) => place(file) !== place(to) && layerOf(to) >= layerOf(file))
    // What the lowest layer holds is small and has no order of its own.
    .filter(({ file, to }) => !(layerOf(file) === 0 && layerOf(to) === 0));
  assert.equal(wrong, [], 'a lower layer that knows a higher one cannot be tested or reused without it');
});

test('each dependency has one door', () => {
  const wrong = imports.filter(({ file, specifier }) => {
    const door = Object.entries(DOORS).find(
      ([name]) =>
        specifier === name ||
        specifier.startsWith(`${name}/`) ||
        (name.endsWith('/') && specifier.startsWith(name)),
    );
    return door !== undefined && !door[1].some((allowed) => file.startsWith(allowed));
  });
  assert.equal(
    wrong,
    [],
    'a dependency used in many places cannot be pinned, faked out of a fault, or replaced',
  );
});

/** Packages that take long to load, and doors of such. */
const LAZY: readonly string[] = [
  ...['mongo/driver.ts', 'mongo/driver-refusal.ts', 'mongodb'],
  ...['backup/s3/s3-client.ts', 'cli/task-list.ts'],
];

test('what takes long to load is loaded when it is needed', () => {
  const wrong = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^import (?!type\b)[^;]*? from '([^']+)'/gm)]
      .map((match) => match[1] as string)
      .map((name) => (name.startsWith('.') ? relative(SRC, resolve(dirname(file), name)) : name))
      .filter((imported) => LAZY.includes(imported) && !LAZY.includes(relative(SRC, file)))
      .map((imported) => `${relative(SRC, file)} imports ${imported}`),
  );
  assert.equal(wrong, [], 'use `await import(…)`: every command would pay for what few of them use');
});

/** What `plan validate` loads: it starts in twice the time of Node.js alone, and a package of megabytes would show. */
const PACKAGES_OF_VALIDATE: readonly string[] = [
  'ajv', // the build puts compiled code in its place
  'commander',
  'mongodb-connection-string-url',
  'yaml',
];

test('what only checks a plan loads no client of a server', () => {
  const reached = new Set(['process.ts', 'cli/commands/validate.ts']);
  const packages = new Set<string>();
  // The set grows while it is gone through.
  for (const file of reached)
    for (const [, name = ''] of readFileSync(join(SRC, file), 'utf8').matchAll(
      /^(?:import|export) (?!type\b)[^;]*? from '([^']+)'/gm,
    ))
      if (name.startsWith('.')) reached.add(relative(SRC, resolve(SRC, dirname(file), name)));
      else if (!name.startsWith('node:')) packages.add(name);
  assert.equal([...packages].sort(), PACKAGES_OF_VALIDATE, 'use `await import(…)`, or a lower room');
});

test('only process.ts, and what starts it, touches the process', () => {
  const wrong = files
    .filter((file) => !['process.ts', 'start.ts'].includes(relative(SRC, file)))
    .filter((file) =>
      /\bprocess\.(?:exit|env|argv|on|stdout|stderr|stdin|kill)\b/.test(readFileSync(file, 'utf8')),
    )
    .map((file) => relative(SRC, file));
  assert.equal(wrong, [], 'the engine is a library: what it needs of the process is handed to it');
});

test('no file is too long to hold in mind', () => {
  const long = files
    .map((file) => ({ file: relative(SRC, file), lines: readFileSync(file, 'utf8').split('\n').length }))
    .filter(({ lines }) => lines > 400);
  assert.equal(long, [], 'split it along the domain');
});

/** For each file, the files of the tree that it imports, at once or later; types too. */
const importsOfFile = new Map(
  files.map((path) => {
    const within = importsOf(path)
      .filter(({ specifier }) => specifier.startsWith('.'))
      .map(({ specifier }) => relative(SRC, resolve(dirname(path), specifier)));
    return [relative(SRC, path), new Set(within)] as const;
  }),
);

test('no files import each other in a circle, inside a folder neither', () => {
  const circles = [...importsOfFile.keys()].map((file) => wayBack(file)).filter((way) => way !== undefined);
  assert.equal(circles, [], 'files of a circle cannot be read, tested or moved but together');
});

/** The shortest way from a file along its imports back to it. */
function wayBack(start: string): string[] | undefined {
  const cameFrom = new Map<string, string>();
  const reached = [start];
  // The list grows while it is gone through.
  for (const file of reached) {
    for (const next of importsOfFile.get(file) ?? []) {
      if (next === start) {
        const way = [file];
        for (let at = file; at !== start; way.push(at)) at = cameFrom.get(at) as string;
        return way.reverse();
      }
      if (cameFrom.has(next) || !importsOfFile.has(next)) continue;
      cameFrom.set(next, file);
      reached.push(next);
    }
  }
  return undefined;
}

/** A shorter file with a single importer is a part of that file, unless it says why not. */
const SLIVER_LINES = 60;
/** The line in the comment of a file's head that says why. */
const REASON = /^ \* Alone because: \S/m;
/** A command is a file of its own: loaded when it is chosen, by the table of commands alone. */
const COMMANDS = 'cli/commands/';

test('no file is a mere part of the one that imports it', () => {
  const importers = new Map<string, number>();
  for (const imported of importsOfFile.values())
    for (const file of imported) importers.set(file, (importers.get(file) ?? 0) + 1);
  const slivers = files
    .map((path) => ({ file: relative(SRC, path), text: readFileSync(path, 'utf8') }))
    .filter(({ file, text }) => importers.get(file) === 1 && text.split('\n').length - 1 < SLIVER_LINES)
    .filter(({ file, text }) => !file.startsWith(COMMANDS) && !REASON.test(headOf(text)))
    .map(({ file }) => file);
  assert.equal(
    slivers,
    [],
    `merge it into the file that uses it, or say why not in its first comment: " * Alone because: …"`,
  );
});

/** The comment that a file begins with. */
function headOf(text: string): string {
  return text.startsWith('/**') ? text.slice(0, text.indexOf('*/')) : '';
}

const MOST_FILES_OF_A_FOLDER = 20;

test('a folder of many files shows its rooms', () => {
  const counts = new Map<string, number>();
  for (const path of files) {
    const folder = relative(SRC, dirname(path));
    counts.set(folder, (counts.get(folder) ?? 0) + 1);
  }
  const crowded = [...counts]
    .filter(([, count]) => count > MOST_FILES_OF_A_FOLDER)
    .map(([folder, count]) => `${folder} has ${count} files`);
  assert.equal(
    crowded,
    [],
    'put what belongs together into a folder: a reader keeps some twenty names apart',
  );
});

/** Each exported name, with the file that exports it. */
const exported = files.flatMap((path) => {
  const pattern = /^export (?:async )?(?:abstract )?(?:function\*?|class|const|interface|type) (\w+)/gm;
  return [...readFileSync(path, 'utf8').matchAll(pattern)].map((match) => ({
    file: relative(SRC, path),
    name: match[1] as string,
  }));
});

/** Words that the glossary does not want for one thing, and that are right for another. */
const RIGHT_ELSEWHERE: Readonly<Record<string, string>> = {
  allow: 'a terminal allows colour; documents are accepted',
  check: 'plans, documents and conditions are checked; what was written is verified',
  import: 'a module is imported',
  restore: 'what the program as a whole does',
  result: 'what a call comes back with',
};

test('exported names use the words of the glossary', () => {
  const page = readFileSync(join(ROOT, 'docs', 'architecture.md'), 'utf8');
  const glossary = page.slice(page.indexOf('## Words'));
  // `| revert | to take out … (undo, rollback) |`: what stands in brackets at the end is not said.
  const unwanted = [...glossary.matchAll(/^\| ([^|]+?) +\| .*\(([a-z, ]+)(?::[^)]*)?\) *\|$/gm)].flatMap(
    (row) => (row[2] as string).split(', ').map((word) => ({ word, instead: row[1] as string })),
  );
  assert.ok(unwanted.length >= 10, 'the glossary lists in brackets what is not said');
  const wrong = unwanted
    .filter(({ word }) => RIGHT_ELSEWHERE[word] === undefined)
    .flatMap(({ word, instead }) =>
      exported
        .filter(({ name }) => new RegExp(`\\b${word}(?:s|d|ed|ing)?\\b`).test(wordsOf(name)))
        .map(({ file, name }) => `${file}: ${name} says "${word}" for "${instead}"`),
    );
  assert.equal(wrong, [], 'one word, one meaning: see docs/architecture.md');
});

/** `RevertClass` → `revert class` */
function wordsOf(name: string): string {
  return name
    .replace(/([a-z0-9])([A-Z])/g, '$1 $2')
    .replaceAll('_', ' ')
    .toLowerCase();
}

test('no two types have one name', () => {
  const homes = new Map<string, string[]>();
  for (const { file, name } of exported)
    if (/^[A-Z][a-z]/.test(name)) homes.set(name, [...(homes.get(name) ?? []), file]);
  const twice = [...homes].filter(([, where]) => where.length > 1);
  assert.equal(twice, [], 'a reader who meets the name must not have to ask which of them it is');
});

/** What `plan init` writes into a plan is for people. */
const FOR_PEOPLE: readonly string[] = ['cli', 'plan/draft.ts'];

test('the engine tells nobody to type a command', () => {
  const typed =
    /\\?`plan (?:accept|apply|approve|backups|dry-run|follow-up|revert|status|unlock|validate|verify)\b/;
  const wrong = files
    .map((path) => relative(SRC, path))
    .filter((file) => !FOR_PEOPLE.includes(file) && !FOR_PEOPLE.includes(place(file)))
    .flatMap((file) =>
      readFileSync(join(SRC, file), 'utf8')
        .split('\n')
        .filter((line) => !/^\s*(?:\*|\/\*\*|\/\/)/.test(line) && typed.test(line))
        .map((line) => `${file}: ${line.trim()}`),
    );
  assert.equal(wrong, [], 'a program is not a terminal: say it with `advice`, whose commands views word');
});

test('a test file does not wait while it is evaluated', () => {
  const waiting = readdirSync(join(ROOT, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.test.ts') && !path.includes('node_modules'))
    .filter((path) =>
      readFileSync(join(ROOT, 'test', path), 'utf8')
        .split('\n')
        .some((line) => /^[a-z(](?:(?!\basync\b).)*\bawait\b/.test(line)),
    );
  assert.equal(waiting, [], 'the runner packs all test files into one; wait in test.before()');
});

test('nothing is left open or switched off in the source', () => {
  const wrong = files.filter((file) => /\b(?:TODO|FIXME|XXX)\b/.test(readFileSync(file, 'utf8')));
  assert.equal(wrong, [], 'finish it, or write it down where it will be read');
});

test.run();
