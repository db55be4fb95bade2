/** Folders of very many files: what a backup has of them is kept, and of what comes to nothing only what tells so. */
import * as assert from 'uvu/assert';
import { filesOfBackup } from '../../src/backup/layout/folder-files.ts';
import { PathList } from '../../src/backup/storage/path-list.ts';
import type { StoredFile } from '../../src/backup/storage/store.ts';
import { test } from '../harness.ts';
import { seededRandom } from '../lab/random.ts';

const unopened = (): never => {
  throw new Error('no file is read');
};

interface Kept {
  readonly kept: readonly string[];
  readonly areAll: boolean;
  /** How often the folder was listed. */
  readonly looks: number;
}

/** What is kept of these paths in `folder`, listed in no order. The later of two paths was written later. */
async function keptOf(paths: readonly string[], { folder = 'backups', seed = 1 } = {}): Promise<Kept> {
  let looks = 0;
  const random = seededRandom(seed);
  const inNoOrder = paths
    .map((path, i) => ({ path: `/${folder}/${path}`, modified: i + 1, place: random.fraction() }))
    .sort((a, b) => a.place - b.place);
  async function* below(): AsyncGenerator<StoredFile> {
    looks++;
    for (const { path, modified } of inNoOrder)
      yield {
        kind: 'file',
        path,
        size: 1,
        modified,
        fingerprint: '',
        open: unopened,
      };
  }
  const asked = { store: { below }, folder: `/${folder}/`, above: '/', database: 'gravity' };
  const { files, areAll } = await filesOfBackup(asked);
  return { kept: files.map(({ path }) => path.slice(`/${folder}/`.length)), areAll, looks };
}

function each(count: number, pathsOf: (number: string) => readonly string[]): string[] {
  return Array.from({ length: count }, (_, i) => pathsOf(String(i).padStart(6, '0'))).flat();
}

const collection = (path: string): string[] => [`${path}.bson`, `${path}.metadata.json`];
const DUMP = each(12_000, (i) => collection(`dump/gravity/c${i}`));

test('a dump is kept whole, however many collections it has', async () => {
  const hosts = ['c0.example.net_27017', 'c1.example.net_27017'];
  const cluster = hosts.flatMap((host) => each(12_000, (i) => collection(`dump/${host}/gravity/c${i}`)));
  const renamed = each(24_000, (i) => [`2026.11.22/c${i}.bson`]);
  for (const paths of [DUMP, cluster, renamed])
    assert.equal(await keptOf(paths), { kept: paths, areAll: true, looks: 1 });
});

test('of what lies around a dump little is kept', async () => {
  const around = {
    pictures: each(40_000, (i) => [`pictures/${i}.jpg`]),
    databases: each(20_000, (i) => collection(`dump/shop${i}/orders`)),
    collections: each(30_000, (i) => [...collection(`dump/shop/c${i}`), `dump/mall/c${i}.bson`]),
  };
  for (const [name, others] of Object.entries(around)) {
    const { kept, areAll } = await keptOf([...DUMP, ...others]);
    assert.equal(
      kept.filter((path) => path.startsWith('dump/gravity/')),
      DUMP,
      name,
    );
    assert.ok(kept.length <= DUMP.length + 1_000, `${name}: ${kept.length}`);
    assert.not.ok(areAll);
  }
});

test('the folder of a database is kept whole, whatever lies in folders of it', async () => {
  const own = each(12_000, collection);
  const { kept } = await keptOf([...own, ...each(100, (i) => collection(`old/gravity/c${i}`))], {
    folder: 'gravity',
  });
  assert.equal(
    kept.filter((path) => !path.startsWith('old/')),
    own,
  );
});

test('of all backups in one folder one file is kept of each of the newest, whatever the order of the list', async () => {
  const backups = each(15_000, (night) => collection(`${night}/gravity/artworks`));
  const kept = each(15_000, (night) => [`${night}/gravity/artworks.metadata.json`]).slice(-1_000);
  for (const seed of [1, 2]) assert.equal(await keptOf(backups, { seed }), { kept, areAll: false, looks: 1 });
  const packed = each(25_000, (night) => [`${night}/db.tar.gz`]);
  assert.equal((await keptOf(packed)).kept, packed.slice(0, 65), 'one more than are looked into');
});

test('a backup of Percona Backup is kept whole, though only one of its files tells that it is one', async () => {
  const files = each(25_000, (i) => [`night/rs0/shop.c${i}.gz`]);
  const backup = ['night/rs0/gravity.artworks.gz', 'night/rs0/meta.pbm', ...files];
  const pictures = each(25_000, (i) => [`pictures/${i}.jpg`]);
  const { kept, looks } = await keptOf([...backup, ...pictures]);
  assert.equal(
    kept.filter((path) => path.startsWith('night/')),
    backup.sort(),
  );
  assert.is(looks, 2);
  assert.ok(kept.length <= backup.length + 64);
  const nights = each(15_000, (night) => [`${night}/rs0/gravity.artworks.gz`, `${night}/rs0/meta.pbm`]);
  const told = (await keptOf(nights)).kept.filter((path) => path.endsWith('/meta.pbm'));
  assert.equal(told, nights.filter((path) => path.endsWith('/meta.pbm')).slice(-12));
});

test('paths come back as they were added, and in the order of their bytes', () => {
  const list = new PathList();
  const paths = [
    ...each(40_000, (i) => [`a folder/é€😀/${i}`]),
    ...each(100, (i) => [`a folder/${i}/${i}`, `a folder/${i}/é`, `\uffff/${i}`, '😀', `/${i}`, `${i}`]),
  ];
  for (const path of paths) list.add(path);
  for (const [i, path] of paths.entries()) assert.is(list.at(i), path);
  assert.is(list.at(paths.length), undefined);
  const random = seededRandom(5);
  for (let round = 0; round < 2_000; round++) {
    const [a, b] = [random.integer(39_900, paths.length - 1), random.integer(39_900, paths.length - 1)];
    const expected = Buffer.compare(Buffer.from(paths[a] as string), Buffer.from(paths[b] as string));
    assert.is(Math.sign(list.compare(a, b)), expected, `${paths[a]} ${paths[b]}`);
  }
  list.cutTo(2);
  list.add(`a folder/é€😀/${'x'.repeat(5_000)}`);
  list.add('x');
  assert.is(list.length, 4);
  assert.equal(
    [1, 2, 3, 4].map((i) => list.at(i)),
    [paths[1], `a folder/é€😀/${'x'.repeat(5_000)}`, 'x', undefined],
  );
});

test.run();
