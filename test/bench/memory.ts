/** Peak memory of whole commands, for small and large selections, and for several threads. */
import { ALL_ARTWORKS, type BackupPlace, LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { LARGE_KEY, STAGING_DATABASE } from './grounds.ts';
import { LARGE, lostArtworks } from './large-dump.ts';
import { type Measure, megabytes, type Result } from './measure.ts';
import { planProcess } from './plan-process.ts';
import { emptyTargets } from './targets.ts';

export const LIMIT_BYTES = 256 * 1024 * 1024;
/** For each further thread. */
const THREAD_BYTES = 64 * 1024 * 1024;

const TEN_ARTWORKS = `
  - collection: artworks
    query: { _id: { $in: [${lostArtworks(LARGE)
      .ids.slice(0, 10)
      .map((id) => `{ $oid: ${id.toHexString()} }`)
      .join(', ')}] } }`;

export const MEMORY: Measure = {
  name: 'memory',
  about:
    'the most memory that dry-run, apply and revert ever hold, for selections of 10, 408 and 600,000 documents',
  run: async (grounds, { say }) => {
    await grounds.largeObject();
    const places: Readonly<Record<string, BackupPlace>> = {
      'tar in S3': { key: LARGE_KEY, endpoint: (await grounds.s3()).server.endpoint },
      '.tar.gz on disk': { path: await grounds.largeTarGz() },
    };
    const selections = {
      '10 documents': TEN_ARTWORKS,
      '408 with dependents': LOST_ARTWORKS,
      '600,000 documents': ALL_ARTWORKS,
    };
    const results: Result[] = [];
    for (const [place, where] of Object.entries(places))
      for (const [size, collections] of Object.entries(selections)) {
        await emptyTargets(grounds);
        const folder = writePlan(grounds, where, collections);
        const dryRun = await planProcess(grounds, folder, ['dry-run', 'plan.yaml']);
        const apply = await planProcess(grounds, folder, ['apply', 'plan.yaml', '--target', 'staging']);
        const revert = await planProcess(grounds, folder, [
          ...['revert', 'plan.yaml', '--target', 'staging', '--confirm', STAGING_DATABASE],
        ]);
        const peaks = [dryRun, apply, revert].map(({ peakBytes }) => peakBytes);
        const [compared, applied, reverted] = peaks.map(megabytes);
        say(`  ${place}, ${size}: dry-run ${compared}, apply ${applied}, revert ${reverted}`);
        results.push(peakResult(`peak memory: ${place}, ${size}`, Math.max(...peaks)));
      }
    return results;
  },
};

export const MEMORY_OF_THREADS: Measure = {
  name: 'memory-threads',
  about:
    'the most memory that a selection by 3 and by 8 threads holds, from disk and from S3, where few documents and where all are chosen',
  run: async (grounds, { say }) => {
    await grounds.largeObject();
    const places: Readonly<Record<string, BackupPlace>> = {
      disk: { path: await grounds.largeTar() },
      S3: { key: LARGE_KEY, endpoint: (await grounds.s3()).server.endpoint },
    };
    const selections = { '408 documents': LOST_ARTWORKS, '600,000 documents': ALL_ARTWORKS };
    const results: Result[] = [];
    for (const [from, place] of Object.entries(places))
      for (const [chosen, collections] of Object.entries(selections))
        for (const threads of [3, 8]) {
          const folder = writePlan(grounds, place, collections);
          const args = ['select', 'plan.yaml', '--threads', String(threads)];
          const { peakBytes } = await planProcess(grounds, folder, args);
          const name = `peak memory: ${threads} threads from ${from}, ${chosen}`;
          say(`  ${name}: ${megabytes(peakBytes)}`);
          results.push(peakResult(name, peakBytes, LIMIT_BYTES + (threads - 1) * THREAD_BYTES));
        }
    return results;
  },
};

export function peakResult(name: string, bytes: number, limit = LIMIT_BYTES): Result {
  return {
    name,
    ours: megabytes(bytes),
    reference: '',
    figure: bytes / 1024 / 1024,
    unit: 'MiB',
    mustReach: { atMost: limit / 1024 / 1024 },
  };
}
