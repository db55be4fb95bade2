/** 600,000 documents into an empty collection, against mongorestore with its best worker count. */
import { join } from 'node:path';
import { mongorestore } from '../lab/tools.ts';
import { ALL_ARTWORKS, writePlan } from './bench-plan.ts';
import { DATABASE, type Grounds, HOST_FOLDER, STAGING_DATABASE } from './grounds.ts';
import { LARGE } from './large-dump.ts';
import { comparePairs, type Measure, type Pair } from './measure.ts';
import { planProcess, stagesOf } from './plan-process.ts';
import type { ProcessCost } from './process-cost.ts';
import { settle, targetDatabases } from './targets.ts';

/** mongorestore is given the documents as files; so is an apply, by the dry-run before it. The first one here selects them itself. */
export const WHOLE_COLLECTION: Measure = {
  name: 'whole-collection',
  about:
    'apply of 600,000 documents (620 MB), selecting them first and after a dry-run, against mongorestore with 1 and 4 workers, whichever was faster',
  run: async (grounds, { pairs, say }) => {
    const dump = await grounds.largeDump();
    const writing: Pair[] = [];
    const afterDryRun: Pair[] = [];
    const selecting: Pair[] = [];
    for (let number = 1; number <= pairs; number++) {
      const reference = Math.min(
        await restoreByTool(grounds, dump, 1),
        await restoreByTool(grounds, dump, 4),
      );
      const folder = writePlan(grounds, { path: dump }, ALL_ARTWORKS);
      await emptyStaging(grounds);
      const first = await applyWhole(grounds, folder);
      await emptyStaging(grounds);
      await planProcess(grounds, folder, ['dry-run', 'plan.yaml', '--target', 'staging', '--json']);
      const second = await applyWhole(grounds, folder);
      writing.push({ ours: second.writingMs, reference });
      afterDryRun.push({ ours: second.wallMs, reference });
      selecting.push({ ours: first.wallMs, reference });
      say(`  pair ${number}: mongorestore ${Math.round(reference)} ms`);
      for (const { wallMs, stages } of [first, second]) say(`    ${Math.round(wallMs)} ms: ${stages}`);
    }
    return [
      comparePairs('600,000 documents: writing with journal', writing, 1.3),
      comparePairs('600,000 documents: whole command after a dry-run', afterDryRun, 1),
      comparePairs('600,000 documents: the same, selecting them first', selecting, 1),
    ];
  },
};

async function applyWhole(
  grounds: Grounds,
  folder: string,
): Promise<{ wallMs: number; writingMs: number; stages: string }> {
  const cost = await planProcess(grounds, folder, ['apply', 'plan.yaml', '--target', 'staging', '--json']);
  await assertWhole(grounds);
  return { wallMs: cost.wallMs, writingMs: writingMs(cost.lines), stages: stagesOf(cost) };
}

/** From the first batch to the end of the last, by the program's own events. */
function writingMs(lines: ProcessCost['lines']): number {
  const at = (type: string): number =>
    lines.find(({ text }) => (JSON.parse(text) as { type: string }).type === type)?.ms ?? Number.NaN;
  return at('apply-finished') - at('apply-started');
}

async function restoreByTool(grounds: Grounds, dump: string, workers: number): Promise<number> {
  await emptyStaging(grounds);
  const { uri } = await grounds.staging();
  const started = performance.now();
  await mongorestore(uri, [
    ...['--quiet', '--noIndexRestore', '--numInsertionWorkersPerCollection', String(workers)],
    ...[
      '--nsInclude',
      `${DATABASE}.artworks`,
      '--nsFrom',
      `${DATABASE}.*`,
      '--nsTo',
      `${STAGING_DATABASE}.*`,
    ],
    join(dump, HOST_FOLDER),
  ]);
  const took = performance.now() - started;
  await assertWhole(grounds);
  return took;
}

/** An empty collection with nothing but its `_id` index, as mongorestore would create it. */
async function emptyStaging(grounds: Grounds): Promise<void> {
  const { staging } = await targetDatabases(grounds);
  await staging.dropDatabase();
  await staging.createCollection('artworks');
  await settle(staging);
}

async function assertWhole(grounds: Grounds): Promise<void> {
  const { staging } = await targetDatabases(grounds);
  const count = await staging.collection('artworks').countDocuments();
  if (count !== LARGE.artworks) throw new Error(`staging holds ${count} artworks`);
}
