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
    'errors.ts',
    'secret.ts',
    'events.ts',
    'outcomes.ts',
    'run.ts',
    'version.ts',
    'package-file.ts',
    'v8-flags.ts',
    'bson',
  ],
  ['query', 'mongo'],
  ['plan'],
  ['backup', 'target'],
  ['oplog'],
  ['selection'],
  ['comparison', 'ledger'],
  ['apply', 'follow-ups'],
  ['report'],
  ['index.ts', 'cli'],
  ['process.ts'],
  ['main.ts'],
  ['start.ts'],
];

/** One door per dependency: each is imported in the files named here and nowhere else, so it can be replaced or pinned in one place. */
const DOORS: Readonly<Record<string, readonly string[]>> = {
  yaml: ['plan/'],
  ajv: ['plan/compiled-schema.ts'],
  '@aws-sdk/client-s3': ['backup/s3/s3-client.ts'],
  '@aws-sdk/core': ['backup/s3/s3-client.ts'],
  '@aws-sdk/credential-provider-node': ['mongo/aws-credentials.ts'],
  'https-proxy-agent': ['backup/s3/proxy.ts'],
  tar: ['backup/containers/tar-header.ts'],
  listr2: ['report/task-list.ts'],
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
    .filter(({ file, to }) => !(layerOf(file) === 0 && layerOf(to) === 0))
    .filter(({ file, to }) => !(layerOf(file) === 9 && layerOf(to) === 9));
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

/** Doors of packages that take long to load. */
const LAZY: readonly string[] = ['mongo/driver.ts', 'backup/s3/s3-client.ts', 'report/task-list.ts'];

test('what takes long to load is loaded when it is needed', () => {
  const wrong = files.flatMap((file) =>
    [...readFileSync(file, 'utf8').matchAll(/^import (?!type\b)[^;]*? from '(\.[^']+)'/gm)]
      .map((match) => relative(SRC, resolve(dirname(file), match[1] as string)))
      .filter((imported) => LAZY.includes(imported))
      .map((imported) => `${relative(SRC, file)} imports ${imported}`),
  );
  assert.equal(wrong, [], 'use `await import(…)`: every command would pay for what few of them use');
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

test('nothing is left open or switched off in the source', () => {
  const wrong = files.filter((file) => /\b(?:TODO|FIXME|XXX)\b/.test(readFileSync(file, 'utf8')));
  assert.equal(wrong, [], 'finish it, or write it down where it will be read');
});

test.run();
