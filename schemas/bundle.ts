/**
 * Part of `npm run build`: packs the program and all that it uses of its dependencies under dist/program/, and what starts it
 * (src/start.ts) into dist/main.cjs.
 *
 * A `plan apply` would load 580 modules, most of them the driver's and the S3 client's; finding, reading and linking them
 * takes as long as the rest of a small restore. The library entry (dist/index.js) is not packed: it shares its dependencies with the
 * application that uses it. All but the S3 client, whose later versions, and those of the packages it is made of, need another Node.js
 * than this one promises to run on.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BuildOptions, build } from 'esbuild';
import { packProgram } from './pack-program.ts';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'dist', 'program');

const OPTIONS = {
  absWorkingDir: ROOT,
  bundle: true,
  platform: 'node',
  target: 'node20.19',
  // Names and lines stay: they make a crash note readable, and shorter names would not be faster.
  minifyWhitespace: true,
  minifySyntax: true,
  lineLimit: 120,
  legalComments: 'none', // whole licences are kept instead
  logLevel: 'warning',
} as const satisfies BuildOptions;

const { offers, light, inputs } = await packProgram(FOLDER, OPTIONS);
writeFileSync(join(FOLDER, 'LICENSES.txt'), licencesOf(inputs));

await build({
  ...OPTIONS,
  entryPoints: ['src/start.ts'],
  outfile: 'dist/main.cjs',
  // No ES module: Node.js loads what loads those, and imports its own modules with all of their parts, a third of what a light command takes.
  format: 'cjs',
  banner: { js: "const startUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: {
    OFFERS: JSON.stringify(offers),
    LIGHT: JSON.stringify(light),
    'import.meta.url': 'startUrl',
  },
});

await build({
  ...OPTIONS,
  entryPoints: ['src/backup/s3/s3-client.ts'],
  outfile: 'dist/backup/s3/s3-client.js',
  format: 'esm',
  // What is CommonJS among the packages asks for Node's own modules by `require`.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  supported: { 'dynamic-import': false },
  mainFields: ['module', 'main'],
  plugins: [
    {
      name: 'own modules stay apart',
      // They keep the secrets that are struck from all output: there must be one of each.
      setup: ({ onResolve }) =>
        onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ path, kind }) =>
          kind === 'entry-point' || path.endsWith('/proxy.ts')
            ? undefined
            : { path: path.replace(/\.ts$/, '.js'), external: true },
        ),
    },
  ],
});

// A thread that scans slices starts from this one file in a third of the time that its modules take, and knows nothing of commands.
await build({
  ...OPTIONS,
  entryPoints: ['src/selection/slices/slice-thread.ts'],
  outfile: 'dist/selection/slices/slice-thread.js',
  format: 'esm',
  mainFields: ['module', 'main'],
  plugins: [
    {
      name: 'the S3 client is packed already',
      setup: ({ onResolve }) =>
        onResolve({ filter: /\/s3-client\.ts$/ }, () => ({
          path: '../../backup/s3/s3-client.js',
          external: true,
        })),
    },
  ],
});

// Part of that file now.
rmSync(join(ROOT, 'dist', 'backup', 's3', 'proxy.js'));

/** The licences of all packages of which something was packed: they ask to go where the code goes. */
function licencesOf(inputs: readonly string[]): string {
  const folders = inputs.flatMap((input) => /^.*node_modules\/(?:@[^/]+\/)?[^/]+/.exec(input) ?? []);
  const packages = new Map<string, string[]>();
  for (const folder of [...new Set(folders)].sort()) {
    const text = licenceOf(join(ROOT, folder));
    packages.set(text, [...(packages.get(text) ?? []), folder.replace(/^.*node_modules\//, '')]);
  }
  return [...packages]
    .map(([text, names]) => `${names.join(', ')}\n\n${text}\n`)
    .join(`\n${'-'.repeat(80)}\n`);
}

/** The text; where a package has none, the name of the licence that it declares. */
function licenceOf(folder: string): string {
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (file !== undefined) return readFileSync(join(folder, file), 'utf8').trim();
  return JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')).license;
}
