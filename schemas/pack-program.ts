/**
 * The program in packs, a file each, because what V8 compiled of a file can be kept. src/start.ts starts with the main pack, and loads the
 * driver's or the S3 client's when a door to it is first opened: a module of ours that others import when they need it. What looks
 * at plans alone starts with a light pack, a copy of the main one without all that restores.
 *
 * Our own modules are not split further: a call from one pack into another is looked up each time, and V8 inlines nothing across it. With the
 * loops over documents in another pack than the elements of BSON, a dry-run of 600,000 documents took 11 s instead of 5.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { type BuildOptions, build, type Plugin } from 'esbuild';

const ROOT = join(import.meta.dirname, '..');
const MAIN = 'src/main.ts';

/** Doors by pack. A pack holds all that its doors need and that no pack before it has. */
const PACKS: readonly (readonly [name: string, doors: readonly string[]])[] = [
  ['main', [MAIN]],
  ['url', ['src/mongo/connection-url.ts']],
  ['driver', ['src/mongo/driver.ts', 'src/mongo/driver-refusal.ts', 'src/target/driver-internals.ts']],
  ['s3', ['src/backup/s3/s3-client.ts', 'src/mongo/aws-credentials.ts']],
  ['display', ['src/cli/task-list.ts']],
];

const COMMANDS = 'src/cli/commands';
/** Those that the light pack has. */
const LIGHT_COMMANDS: readonly string[] = ['schema', 'validate'];

/** Packages that another pack takes from the one that has them, beside modules of ours. */
const SHARED: readonly string[] = ['bson', 'mongodb-connection-string-url'];

export interface PackedProgram {
  /** The file of the folder that offers a module or package. Its name changes with its content. */
  readonly offers: Readonly<Record<string, string>>;
  /** The file that offers src/main.ts to these commands. */
  readonly light: { readonly file: string; readonly commands: readonly string[] };
  /** All files that something was packed of. */
  readonly inputs: readonly string[];
}

/** Empties the folder first. Throws where something would be packed twice. */
export async function packProgram(folder: string, options: BuildOptions): Promise<PackedProgram> {
  const packer = new Packer(options);
  // What a pack has is known only once those before it were made, and what it is asked for once those after it were.
  for (const [name, doors] of PACKS) await packer.pack(name, doors);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const write = (name: string, text: string): string => {
    const file = `${name}-${createHash('sha256').update(text).digest('hex').slice(0, 8)}.cjs`;
    writeFileSync(join(folder, file), text);
    return file;
  };
  const offers: Record<string, string> = {};
  for (const [name, doors] of PACKS) {
    const offered = [...doors, ...packer.askedOf(name)];
    const file = write(name, await packer.pack(name, offered));
    for (const each of offered) offers[each] = file;
  }
  const file = write('light', await new Packer(options, isNotLight).pack('main', [MAIN]));
  return { offers, light: { file, commands: LIGHT_COMMANDS }, inputs: packer.inputs };
}

function isNotLight(module: string): boolean {
  return dirname(module) === COMMANDS && !LIGHT_COMMANDS.includes(basename(module, '.ts'));
}

class Packer {
  readonly #options: BuildOptions;
  readonly #isLeftOut: (module: string) => boolean;
  /** The pack of each file. */
  readonly #packs = new Map<string, string>();
  /** What packs take from others: the module or package, and a file of it. */
  readonly #asked = new Map<string, string>();

  /** `isLeftOut`: of modules of ours, those that will not be asked for. */
  constructor(options: BuildOptions, isLeftOut: (module: string) => boolean = () => false) {
    this.#options = options;
    this.#isLeftOut = isLeftOut;
  }

  get inputs(): string[] {
    return [...this.#packs.keys()];
  }

  askedOf(pack: string): string[] {
    return [...this.#asked].flatMap(([name, file]) => (this.#packs.get(file) === pack ? [name] : []));
  }

  /** Its text. `offers`: modules of ours and packages. */
  async pack(name: string, offers: readonly string[]): Promise<string> {
    const { metafile, outputFiles } = await build({
      ...this.#options,
      stdin: {
        contents: offers
          .map((each) => `exports['${each}'] = () => require('${each.replace(/^src\//, './src/')}');`)
          .join('\n'),
        resolveDir: ROOT,
      },
      write: false,
      metafile: true,
      format: 'cjs',
      banner: { js: "const programUrl = require('node:url').pathToFileURL(__filename).href;" },
      define: { 'import.meta.url': 'programUrl' },
      // What is imported when it is needed is in a pack, and evaluated when it is needed.
      supported: { 'dynamic-import': false },
      // ES modules where there are any: of those, what is not used is left out.
      mainFields: ['module', 'main'],
      external: optionalPackagesOf('mongodb').filter((each) => each !== AWS_CREDENTIALS),
      plugins: [this.#apart(name), ONE_BSON, COMPILED_SCHEMA, HOST_NAMES],
    });
    for (const { inputs } of Object.values(metafile.outputs))
      for (const input of Object.keys(inputs)) this.#note(input, name);
    return wrapped(outputFiles.map(({ text }) => text).join(''));
  }

  #note(input: string, pack: string): void {
    const before = this.#packs.get(input) ?? pack;
    if (before !== pack && input !== STDIN)
      throw new Error(`${input} would be packed into ${before} and ${pack}`);
    this.#packs.set(input, pack);
  }

  /** Leaves to other packs what is theirs, under the name by which src/start.ts finds it. */
  #apart(pack: string): Plugin {
    const doors = new Map(PACKS.flatMap(([name, all]) => all.map((door) => [door, name] as const)));
    const isElsewhere = (file: string): boolean => {
      const home = doors.get(file) ?? this.#packs.get(file) ?? pack;
      return home !== pack || this.#isLeftOut(file);
    };
    return {
      name: 'packs apart',
      setup: ({ onResolve, resolve }) => {
        onResolve({ filter: /^\.\.?\/.*\.ts$/ }, ({ path, resolveDir }) => {
          const module = inRoot(join(resolveDir, path));
          if (!isElsewhere(module)) return undefined;
          this.#asked.set(module, module);
          return { path: module, external: true };
        });
        onResolve(
          { filter: new RegExp(`^(?:${SHARED.join('|')})$`) },
          async ({ path, pluginData, ...how }) => {
            if (pluginData === AGAIN) return undefined;
            const found = await resolve(path, { ...how, pluginData: AGAIN });
            const file = inRoot(found.path);
            if (!isElsewhere(file)) return found;
            this.#asked.set(path, file);
            return { path, external: true };
          },
        );
        // Of this one the driver needs a function that the S3 client has brought already.
        onResolve({ filter: new RegExp(`^${AWS_CREDENTIALS}$`) }, () => ({
          path: 'src/mongo/aws-credentials.ts',
          external: true,
        }));
      },
    };
  }
}

const AGAIN = 'asked again';
/** As esbuild names what has no file. */
const STDIN = '<stdin>';

function inRoot(path: string): string {
  return relative(ROOT, path).replaceAll('\\', '/');
}

const AWS_CREDENTIALS = '@aws-sdk/credential-providers';

/** Our modules would take its ES module and the driver its CommonJS one; the two are the same. */
const ONE_BSON: Plugin = {
  name: 'one bson',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^bson$/ }, () => ({ path: join(ROOT, 'node_modules', 'bson', 'lib', 'bson.cjs') })),
};

const COMPILED_SCHEMA: Plugin = {
  name: 'compiled schema',
  setup: ({ onResolve }) =>
    onResolve({ filter: /\/compiled-schema\.ts$/ }, () => ({
      path: join(ROOT, 'dist', 'plan', 'compiled-schema.js'),
    })),
};

/** Its table of Unicode was a third of what a command loads compiled. Only schemes of the web have names of hosts converted, never mongodb:. */
const HOST_NAMES: Plugin = {
  name: 'host names as Node.js converts them',
  setup: ({ onLoad }) =>
    onLoad({ filter: /[/\\]node_modules[/\\]tr46[/\\]index\.js$/ }, () => ({
      contents: "exports.toASCII = (name) => require('node:url').domainToASCII(name) || null;",
    })),
};

/**
 * A function of what the pack needs, which returns what it offers, each as a function. To put it into one later would copy the megabytes twice.
 * In ASCII, because src/start.ts reads it as latin1: esbuild escapes all else, except in tagged templates, whose tag might read
 * them raw; ours does not.
 */
function wrapped(packed: string): string {
  const ascii = packed.replace(/[^\0-\x7f]/g, escapedUnit);
  return `(function (require, __filename) {const exports={};${ascii}\nreturn exports;\n})`;
}

function escapedUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function optionalPackagesOf(name: string): string[] {
  const text = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8');
  return Object.keys(JSON.parse(text).peerDependenciesMeta);
}
