/**
 * Packs all test files, and with them the sources and packages that they use, into one file that node runs from what V8 compiled of
 * it before. Each test file has a process of its own; through tsx it would read, translate and link some 600 modules first, which
 * costs more than most tests: 2.9 s of CPU for one that uses the driver, 0.5 s from files of one module each that are not compiled
 * yet, and half of that from here.
 *
 * A module is evaluated when something that uses it is started, and knows itself by the path of its source (`import.meta.dirname`).
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { type BuildOptions, build, type Plugin } from 'esbuild';
import { builtPath, KEEP, PACK, SCRIPTS, THREADS } from '../lab/script.ts';
import { program } from '../lab/tools.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const FIXTURES = join(import.meta.dirname, 'fixtures');

/** Below the packages, so that what is not packed is found from there. */
const CACHE = join(ROOT, 'node_modules', '.cache', 'restore-plan-tests');

/** Loaded by few, large, or looking for files beside themselves. */
const NOT_PACKED = ['esbuild', 'mongodb-memory-server-core', 'playwright-core', 'tsx', 'typescript'];

/** What most test files use: what evaluates them is compiled once, before the first of them starts. */
const USED_BY_MOST = ['test/harness.ts', 'test/apply/workbench.ts', 'test/lab/call-plan.ts'];

const START = 'start.mjs';

export interface BuiltTests {
  /** For the environment variable `BUILT_TESTS`. */
  readonly folder: string;
  remove(): void;
}

/** Builds these test files, given by their absolute paths, and what tests start: scripts, and the runner's own fixtures. */
export async function buildTests(files: readonly string[]): Promise<BuiltTests> {
  mkdirSync(CACHE, { recursive: true });
  const folder = mkdtempSync(join(CACHE, 'run-'));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  try {
    await packInto(folder, [...files, ...SCRIPTS.map(atRoot), ...fixtures()]);
  } catch (error) {
    remove();
    throw error;
  }
  return { folder, remove };
}

const atRoot = (name: string): string => join(ROOT, name);

const fixtures = (): string[] => readdirSync(FIXTURES).map((name) => join(FIXTURES, name));

async function packInto(folder: string, files: readonly string[]): Promise<void> {
  const names = files.map((file) => relative(ROOT, file));
  const entries = [...new Set([...names, ...USED_BY_MOST])];
  const packed = build({
    ...OPTIONS,
    stdin: { contents: entries.map(starter).join('\n'), resolveDir: ROOT, loader: 'ts' },
    outfile: join(folder, PACK),
    format: 'cjs',
    banner: { js: '(function (module, exports, require, __filename, __dirname, resolveModule) {' },
    footer: { js: '})' },
    // A third less to read for each process.
    minifyWhitespace: true,
    lineLimit: 120,
    sourcemap: 'linked',
    sourcesContent: false,
    define: { 'import.meta.resolve': 'resolveModule' },
    // What is imported when it is needed is in the same file, and evaluated when it is needed.
    supported: { 'dynamic-import': false },
  });
  // Each thread loads its program anew: it gets no more than it uses.
  const ofThreads = build({
    ...OPTIONS,
    entryPoints: [...THREADS],
    outdir: folder,
    outbase: ROOT,
    outExtension: { '.js': '.mjs' },
    splitting: true,
    format: 'esm',
    banner: { js: REQUIRE },
  });
  const start = build({
    ...OPTIONS,
    entryPoints: [join(import.meta.dirname, 'start-built.ts')],
    outfile: join(folder, START),
    format: 'esm',
    plugins: [], // it lies beside the pack
  });
  await Promise.all([packed, ofThreads, start]);
  // ASCII is read fastest. esbuild leaves other letters in patterns and in tagged templates; no test reads those raw.
  const pack = readFileSync(join(folder, PACK), 'utf8');
  writeFileSync(join(folder, PACK), pack.replace(/[^\0-\x7f]/g, escapedUnit));
  const startUrl = JSON.stringify(pathToFileURL(join(folder, START)).href);
  for (const name of entries) {
    const stub = builtPath(folder, join(ROOT, name));
    mkdirSync(dirname(stub), { recursive: true });
    writeFileSync(stub, `import { start } from ${startUrl};\nawait start(${JSON.stringify(name)});\n`);
  }
  await program(process.execPath, [join(folder, START), KEEP, ...USED_BY_MOST]);
}

/** A property of the pack's exports that evaluates one file. */
const starter = (name: string): string =>
  `module.exports[${JSON.stringify(name)}] = () => import(${JSON.stringify(`./${name}`)});`;

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

/** For packages in CommonJS that ask for Node's own modules. */
const REQUIRE = `import { createRequire as requireFrom } from 'node:module'; var require = requireFrom(import.meta.url);`;

const ownPaths: Plugin = {
  name: 'a module knows itself by the path of its source',
  setup: ({ onLoad }) =>
    onLoad({ filter: /\.ts$/ }, ({ path }) => {
      if (path.includes('node_modules')) return undefined;
      const contents = readFileSync(path, 'utf8')
        .replaceAll('import.meta.dirname', JSON.stringify(dirname(path)))
        .replaceAll('import.meta.filename', JSON.stringify(path))
        .replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href));
      return { contents, loader: 'ts' };
    }),
};

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  logLevel: 'warning',
  external: [...NOT_PACKED, ...optionalPackagesOf('mongodb')],
  // Our modules would take bson's ES module and the driver its CommonJS one; the two are the same.
  alias: { bson: './node_modules/bson/lib/bson.cjs' },
  plugins: [ownPaths],
} as const satisfies BuildOptions;

function optionalPackagesOf(name: string): string[] {
  const text = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return Object.keys(JSON.parse(text).peerDependenciesMeta);
}
