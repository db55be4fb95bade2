/**
 * Packs test files, and with them the sources and packages that they use, into files that node runs as they are. Each test file
 * has a process of its own; through tsx it would read, translate and link some 600 modules first, which costs more than most
 * tests: 2.9 s of CPU for one that uses the driver, and 0.5 s from here.
 *
 * A module is in one place, whoever imports it, and knows itself by the path of its source (`import.meta.dirname`).
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { build, type Plugin } from 'esbuild';
import { SCRIPTS } from '../lab/script.ts';

const ROOT = join(import.meta.dirname, '..', '..');

const FIXTURES = join(import.meta.dirname, 'fixtures');

/** Below the packages, so that what is not packed is found from there. */
const CACHE = join(ROOT, 'node_modules', '.cache', 'restore-plan-tests');

/** Loaded by few, large, or looking for files beside themselves. */
const NOT_PACKED = ['esbuild', 'mongodb-memory-server-core', 'playwright-core', 'tsx', 'typescript'];

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
    await build({
      absWorkingDir: ROOT,
      entryPoints: [...files, ...SCRIPTS, ...readdirSync(FIXTURES).map((name) => join(FIXTURES, name))],
      outdir: folder,
      outbase: ROOT,
      outExtension: { '.js': '.mjs' },
      bundle: true,
      splitting: true,
      format: 'esm',
      platform: 'node',
      target: 'node20.19',
      sourcemap: 'linked',
      sourcesContent: false,
      logLevel: 'warning',
      external: [...NOT_PACKED, ...optionalPackagesOf('mongodb')],
      banner: { js: REQUIRE },
      plugins: [ownPaths],
    });
  } catch (error) {
    remove();
    throw error;
  }
  return { folder, remove };
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

function optionalPackagesOf(name: string): string[] {
  const text = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return Object.keys(JSON.parse(text).peerDependenciesMeta);
}
