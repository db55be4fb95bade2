/**
 * Part of `npm run build`: packs the program and all that it uses of its dependencies into one file under dist/program/, and
 * what starts it (src/start.ts) into dist/main.js.
 *
 * A `plan apply` would load 580 modules, most of them the driver's and the S3 client's; finding, reading and linking them
 * takes as long as the rest of a small restore. One file, because what V8 compiled of it can be kept. The library entry
 * (dist/index.js) is not packed: it shares its dependencies with the application that uses it. All but the S3 client, whose later
 * versions, and those of the packages it is made of, need another Node.js than this one promises to run on.
 */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { type BuildOptions, build, type Metafile } from 'esbuild';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'dist', 'program');
const AWS_CREDENTIALS = '@aws-sdk/credential-providers';

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
  metafile: true,
} as const satisfies BuildOptions;

rmSync(FOLDER, { recursive: true, force: true });
const { metafile } = await build({
  ...OPTIONS,
  entryPoints: ['src/main.ts'],
  outdir: FOLDER,
  entryNames: '[name]-[hash]',
  outExtension: { '.js': '.cjs' },
  format: 'cjs',
  banner: { js: "const programUrl = require('node:url').pathToFileURL(__filename).href;" },
  define: { 'import.meta.url': 'programUrl' },
  // What is imported when it is needed is in the same file, and evaluated when it is needed.
  supported: { 'dynamic-import': false },
  // ES modules where there are any: of those, what is not used is left out.
  mainFields: ['module', 'main'],
  alias: {
    // Our modules would take bson's ES module and the driver its CommonJS one; the two are the same.
    bson: './node_modules/bson/lib/bson.cjs',
    // Of this one the driver needs a function that the S3 client has brought already.
    [AWS_CREDENTIALS]: './src/mongo/aws-credentials.ts',
  },
  external: optionalPackagesOf('mongodb').filter((name) => name !== AWS_CREDENTIALS),
  plugins: [
    {
      name: 'compiled schema',
      setup: ({ onResolve }) =>
        onResolve({ filter: /\/compiled-schema\.ts$/ }, () => ({
          path: join(ROOT, 'dist', 'plan', 'compiled-schema.js'),
        })),
    },
    {
      // Its table of Unicode was a third of what a command loads compiled. Only schemes of the web have names of hosts converted, never mongodb:.
      name: 'host names as Node.js converts them',
      setup: ({ onLoad }) =>
        onLoad({ filter: /[/\\]node_modules[/\\]tr46[/\\]index\.js$/ }, () => ({
          contents: "exports.toASCII = (name) => require('node:url').domainToASCII(name) || null;",
        })),
    },
  ],
});
writeFileSync(join(FOLDER, 'LICENSES.txt'), licencesOf(metafile));

const [program] = Object.keys(metafile.outputs) as [string];
// start.ts reads it as latin1. esbuild escapes what is not ASCII, except in tagged templates, whose tag might read them raw; ours does not.
const packed = readFileSync(join(ROOT, program), 'utf8');
// A function of what it needs: to put it into one there would copy the megabytes twice.
writeFileSync(
  join(ROOT, program),
  `(function (require, __filename) {${packed.replace(/[^\0-\x7f]/g, escapedUnit)}\n})`,
);

await build({
  ...OPTIONS,
  entryPoints: { main: 'src/start.ts' },
  outdir: 'dist',
  // A module that asks for Node's own ones by `require`: to import them takes 20 ms more, because all of their parts are loaded then.
  format: 'cjs',
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url), startUrl = import.meta.url;",
  },
  define: { PROGRAM: JSON.stringify(relative('dist', program)), 'import.meta.url': 'startUrl' },
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

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function optionalPackagesOf(name: string): string[] {
  const text = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return Object.keys(JSON.parse(text).peerDependenciesMeta);
}

/** The licences of all packages of which something was packed: they ask to go where the code goes. */
function licencesOf({ outputs }: Metafile): string {
  const inputs = Object.values(outputs).flatMap((output) => Object.keys(output.inputs));
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
