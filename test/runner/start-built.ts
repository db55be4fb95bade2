/**
 * Starts a test file, or a script of the tests, from the pack that build-tests.ts has made, which lies beside the built form of
 * this file. Whoever packs has it run with `KEEP` first: what V8 compiles of the files that are named behind it is then kept.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { Script } from 'node:vm';
import { V8_FLAGS } from '../../src/process-memory.ts';
import { KEEP, PACK } from '../lab/script.ts';

/** By the path below the root: evaluates that file. */
type Starters = Readonly<Record<string, () => Promise<unknown>>>;

interface Pack {
  readonly script: Script;
  readonly starters: Starters;
}

const place = (): string => fileURLToPath(new URL(PACK, import.meta.url));

const keptAt = (pack: string): string => `${pack}.compiled`;

function loadPack(): Pack {
  // As the program runs; V8 takes what was compiled under the same flags.
  setFlagsFromString(V8_FLAGS);
  const pack = place();
  const kept = keptAt(pack);
  const script = new Script(readFileSync(pack, 'latin1'), {
    filename: pack,
    ...(existsSync(kept) && { cachedData: readFileSync(kept) }),
  });
  const module: { exports: Starters } = { exports: {} };
  const resolveModule = (name: string): string => import.meta.resolve(name);
  script.runInThisContext()(module, module.exports, createRequire(pack), pack, dirname(pack), resolveModule);
  return { script, starters: module.exports };
}

/** Evaluates a file, given by its path below the root. */
export async function start(name: string): Promise<void> {
  await startFrom(loadPack(), name);
}

async function startFrom({ starters }: Pack, name: string): Promise<void> {
  const starter = starters[name];
  if (starter === undefined) throw new Error(`${name} is not packed`);
  await starter();
}

if (process.argv[2] === KEEP) {
  const pack = loadPack();
  for (const name of process.argv.slice(3)) await startFrom(pack, name);
  writeFileSync(keptAt(place()), pack.script.createCachedData());
  process.exit();
}
