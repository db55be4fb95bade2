/** Selection alone against the bare reading of the same bytes: what scanning, matching and hashing cost on top. */
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { tarFolder } from '../lab/tar.ts';
import { startTcpProxy } from '../lab/tcp-proxy.ts';
import { LOST_ARTWORKS, writePlan } from './bench-plan.ts';
import { BUCKET, DATABASE, type Grounds, HOST_FOLDER, LARGE_KEY } from './grounds.ts';
import { LARGE, writeLargeDump } from './large-dump.ts';
import { comparePairs, type Measure, type MeasureOptions, type Pair } from './measure.ts';
import { runWorker, selectOnce } from './worker.ts';

export const SELECT_FROM_S3: Measure = {
  name: 'select-s3',
  about: 'selection from a tar in S3, against one plain GET of as many bytes as it needs, by the same SDK',
  run: async (grounds, options) => {
    const { endpoint } = (await grounds.s3()).server;
    return [comparePairs('selection from S3', await pairWithGet(grounds, options, endpoint), 0.9)];
  },
};

export const SELECT_FROM_FAR_S3: Measure = {
  name: 'select-far-s3',
  about: 'the same through a proxy with 50 ms latency and 40 MB/s for each connection, against one stream',
  run: async (grounds, options) => {
    const { server } = await grounds.s3();
    const proxy = await startTcpProxy({ to: server.port, latencyMs: 50, bytesPerSecond: 40_000_000 });
    try {
      const pairs = await pairWithGet(grounds, options, `http://127.0.0.1:${proxy.port}`);
      return [comparePairs('selection from far S3', pairs, 6)];
    } finally {
      await proxy.stop();
    }
  },
};

export const SELECT_BY_THREADS: Measure = {
  name: 'select-threads',
  about:
    'selection from a tar of 7 GB on disk by two threads, against one, on two quiet cores; needs 14 GB of disk',
  run: async (grounds, options) => {
    options.say('preparing a tar of 7 GB');
    const path = await tarOfMany(grounds);
    try {
      const plan = writePlan(grounds, { path }, LOST_ARTWORKS);
      const pairs = await inTurn(options, {
        ours: () => selectOnce(grounds, plan, 2),
        reference: () => selectOnce(grounds, plan, 1),
      });
      return [comparePairs('selection by two threads, 7 GB', pairs, 1.5)];
    } finally {
      rmSync(path);
    }
  },
};

/** Ten times the large dump's wanted collections: so much that what a thread takes to begin does not count. */
async function tarOfMany(grounds: Grounds): Promise<string> {
  const { artworks, lots } = LARGE;
  const folder = join(grounds.folder.path, 'many-dump');
  writeLargeDump(join(folder, HOST_FOLDER), DATABASE, {
    ...{ artworks: 10 * artworks, lots: 10 * lots },
    ...{ people: 0, offers: 0 },
  });
  const file = join(grounds.folder.path, 'many.tar');
  await tarFolder(folder, file, { members: [HOST_FOLDER] });
  rmSync(folder, { recursive: true });
  return file;
}

export const SELECT_FROM_GZIP: Measure = {
  name: 'select-gzip',
  about: 'selection from a .tar.gz on disk, against plain gunzip of the same file',
  run: async (grounds, options) => {
    const path = await grounds.largeTarGz();
    const plan = writePlan(grounds, { path }, LOST_ARTWORKS);
    const pairs = await inTurn(options, {
      ours: () => selectOnce(grounds, plan),
      reference: () => runWorker(grounds, 'plain-gunzip', [path]),
    });
    return [comparePairs('selection from .tar.gz', pairs, 0.9)];
  },
};

async function pairWithGet(grounds: Grounds, options: MeasureOptions, endpoint: string): Promise<Pair[]> {
  await grounds.largeObject();
  const dump = join(await grounds.largeDump(), HOST_FOLDER, DATABASE);
  const needed = ['artworks.bson', 'sale_artworks.bson'].reduce(
    (total, name) => total + statSync(join(dump, name)).size,
    0,
  );
  const plan = writePlan(grounds, { key: LARGE_KEY, endpoint }, LOST_ARTWORKS);
  return inTurn(options, {
    ours: () => selectOnce(grounds, plan),
    reference: () => runWorker(grounds, 'plain-get', [endpoint, BUCKET, LARGE_KEY, String(needed)]),
  });
}

export interface Contest {
  readonly ours: () => Promise<{ readonly ms: number }>;
  readonly reference: () => Promise<{ readonly ms: number }>;
}

export async function inTurn({ pairs, say }: MeasureOptions, { ours, reference }: Contest): Promise<Pair[]> {
  const results: Pair[] = [];
  for (let number = 1; number <= pairs; number++) {
    const pair = { reference: (await reference()).ms, ours: (await ours()).ms };
    say(`  pair ${number}: ${Math.round(pair.ours)} ms against ${Math.round(pair.reference)} ms`);
    results.push(pair);
  }
  return results;
}
