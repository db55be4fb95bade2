/** Selections by slices against a reading from start to end: random dumps that mislead, random damage, random cuts, any number of threads. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTurn } from '../../src/selection/slices/slice-runner.ts';
import { onDisk } from '../backup/reading.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { HOSTILE_PLAN, outcomeOf, type Sliced, threadsOf, writeDump } from '../selection/slices/compared.ts';
import { hostileMembers } from '../selection/slices/hostile-members.ts';

/** Ways of cutting that are tried on one dump. */
const ON_ONE_DUMP = 10;
const LARGEST_SLICE = 64 * 1024 * 1024;

export interface SlicesCampaign {
  /** Ways of cutting a dump that were compared, and those among them whose outcome was a fault. */
  readonly cuttings: number;
  readonly faults: number;
  readonly mismatches: readonly string[];
}

export async function runSlicesCampaign(settings: {
  readonly seed: number;
  readonly cuttings: number;
}): Promise<SlicesCampaign> {
  const random = seededRandom(settings.seed);
  const folder = temporaryFolder('slices-campaign');
  const mismatches: string[] = [];
  let faults = 0;
  let cuttings = 0;
  for (let dump = 1; cuttings < settings.cuttings; dump++) {
    const documents = random.pick([20, 60, 200, 600]);
    const path = writeDump(hostileMembers(random, { documents, largest: 40_000 }), folder.path);
    if (random.chance(0.3)) damage(random, path);
    const given = { plan: HOSTILE_PLAN, source: onDisk(path), folder: folder.path };
    const expected = await outcomeOf(given);
    for (let i = 0; i < ON_ONE_DUMP; i++, cuttings++) {
      if (expected.includes('"code"')) faults++;
      const { what, sliced } = await cutting(random, documents);
      const found = await outcomeOf(given, sliced);
      if (found !== expected) mismatches.push(`dump ${dump}, ${what}:\n${found}\ninstead of\n${expected}`);
    }
  }
  folder.remove();
  return { cuttings, faults, mismatches };
}

/** Slices from less than a document to more than a dump. */
async function cutting(random: Random, documents: number): Promise<{ what: string; sliced: Sliced }> {
  const largest = random.pick([4, 64, 1024, LARGEST_SLICE / 1024]) * 1024;
  const sliceBytes = random.integer(Math.min(documents * 8, 2_000), largest);
  const threads = random.pick([1, 1, 2, 3, 8]);
  const what = `${threads} threads, slices of ${sliceBytes} bytes`;
  if (threads === 1) return { what, sliced: { runner: inTurn(sliceBytes) } };
  return { what, sliced: { threads: await threadsOf(threads, sliceBytes) } };
}

/** Changes a byte of a member, or cuts it off. */
function damage(random: Random, path: string): void {
  const file = join(
    path,
    'gravity',
    `${random.pick(['partners', 'artworks', 'imitations', 'folders', 'numbers'])}.bson`,
  );
  const bytes = readFileSync(file);
  if (bytes.length === 0) return;
  bytes[random.integer(0, bytes.length - 1)] = random.pick([0, 1, 0x05, 0x7f, 0xff]);
  writeFileSync(file, random.chance(0.3) ? bytes.subarray(0, random.integer(1, bytes.length)) : bytes);
}
