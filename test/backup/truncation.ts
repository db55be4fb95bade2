/**
 * Cuts the files of a backup off and selects from it: it must be refused with exit code 12, in time, and leave nothing; or
 * what was cut off was not needed, and the selection is the whole one. What has no end of its own is told apart by hand.
 */

import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { openBackup } from '../../src/backup/open-backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { Plan, Source } from '../../src/plan/plan.ts';
import type { SelectionRequest } from '../../src/selection/select-documents.ts';
import { QUIET } from '../quiet-run.ts';
import { select } from '../selection/selecting.ts';
import { documentsOf, type Layout } from './every-layout.ts';
import { readBackup } from './reading.ts';

export interface Selecting {
  readonly plan: Plan;
  readonly source: Source;
  /** Where `.restore-plan` is made. */
  readonly folder: string;
  /** How it is read; in its order where nothing is said. */
  readonly sliced?: Pick<SelectionRequest, 'runner' | 'threads'>;
}

/** Opens the source, selects and gives the digest. Where it throws, nothing of a selection is left. */
export async function digestOf({ plan, source, folder, sliced }: Selecting): Promise<string> {
  const wanted = new Set(
    plan.collections.flatMap((one) => [one, ...one.dependents].map((each) => each.collection)),
  );
  const backup = await openBackup(QUIET, source, { wanted });
  const before = selections(folder);
  try {
    return (await select({ ...plan, source }, { backup, folder, ...sliced })).manifest.digest;
  } catch (error) {
    assert.equal(selections(folder), before, 'something of a selection is left');
    throw error;
  } finally {
    await backup.close();
  }
}

/** The same question, four times as fast: reads what a selection would read, and gives the digest of that. */
export async function bytesOf(source: Source, collections: readonly string[]): Promise<string> {
  const { documents } = await readBackup(source, collections);
  const hash = createHash('sha256');
  for (const name of collections) hash.update(documents.get(name) ?? 'nothing');
  return hash.digest('hex');
}

/** Where to cut a file: every so many bytes, every so many hundredths of it, and at each of its last bytes. */
export interface CutPlan {
  readonly everyBytes: number;
  readonly everyPercent: number;
  readonly lastBytes: number;
}

export function cutsOf(size: number, { everyBytes, everyPercent, lastBytes }: CutPlan): number[] {
  const cuts = new Set<number>();
  for (let cut = 0; cut < size; cut += everyBytes) cuts.add(cut);
  for (let percent = 0; percent < 100; percent += everyPercent) cuts.add(Math.floor((size * percent) / 100));
  for (let cut = Math.max(0, size - lastBytes); cut < size; cut++) cuts.add(cut);
  return [...cuts].sort((a, b) => a - b);
}

export interface Sweep {
  readonly layout: Layout;
  readonly root: string;
  /** Of all that comes from the backup as it lies there; throws where it is refused. */
  readonly digest: () => Promise<string>;
  readonly cuts: CutPlan;
  /** Puts the bytes of a file, below the root, where the source reads them; default: on disk. */
  readonly store?: (file: string, bytes: Buffer) => unknown;
}

export interface Swept {
  readonly refused: number;
  /** Selections that were whole all the same: padding, or a file that the plan does not need, was cut. */
  readonly whole: number;
}

/** One selection may take this long, milliseconds. */
const DEADLINE_MS = 30_000;

/** Throws when a cut is neither refused as it must be nor leads to the whole selection. */
export async function sweepTruncation(sweep: Sweep): Promise<Swept> {
  const { layout, root, digest: digestNow } = sweep;
  const store = sweep.store ?? ((file, bytes) => writeFileSync(join(root, file), bytes));
  const expected = await digestNow();
  let refused = 0;
  let whole = 0;
  for (const file of layout.files) {
    const bytes = readFileSync(join(root, file));
    try {
      for (const cut of cutsOf(bytes.length, sweep.cuts)) {
        if (endsNowhere(file, bytes, cut)) continue;
        await store(file, bytes.subarray(0, cut));
        const digest = await outcome(
          digestNow,
          `${layout.name}: ${file} cut at byte ${cut} of ${bytes.length}`,
        );
        if (digest === undefined) refused++;
        else {
          assert.is(digest, expected, `${layout.name}: ${file} cut at byte ${cut}: a partial selection`);
          whole++;
        }
      }
    } finally {
      await store(file, bytes);
    }
  }
  assert.is(await digestNow(), expected);
  return { refused, whole };
}

/**
 * A `.bson` file that is not packed has no end of its own: between two documents it cannot be told from a shorter one.
 * Nor can text that has not even begun, as the export of an empty collection has not.
 */
function endsNowhere(file: string, bytes: Buffer, cut: number): boolean {
  if (!file.endsWith('.bson')) return cut === 0 && file.endsWith('.json') && file.startsWith('export/');
  const ends = new Set([0]);
  let end = 0;
  for (const { length } of documentsOf(bytes)) {
    end += length;
    ends.add(end);
  }
  return ends.has(cut);
}

/** The digest of what was selected; undefined when the backup was refused as it must be. */
async function outcome(digest: () => Promise<string>, what: string): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: no answer in ${DEADLINE_MS} ms`)), DEADLINE_MS);
  });
  try {
    return await Promise.race([digest(), late]);
  } catch (error) {
    if (!(error instanceof RestorePlanError)) throw new Error(`${what}: ${error}`, { cause: error });
    assert.is(error.exitCode, 12, `${what}: ${error.message}`);
    return undefined;
  } finally {
    clearTimeout(timer);
  }
}

function selections(folder: string): string[] {
  const path = join(folder, '.restore-plan/selections');
  return existsSync(path) ? readdirSync(path).sort() : [];
}
