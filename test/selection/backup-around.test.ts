/** A backup around a backup: whatever it changes, adds or leaves out is what is selected. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { deserialize } from 'bson';
import * as assert from 'uvu/assert';
import {
  around,
  type Backup,
  type BackupPiece,
  hexOfCrc32,
  type WholeDocuments,
} from '../../src/backup/backup.ts';
import { documentsOf } from '../backup/every-layout.ts';
import { test } from '../harness.ts';
import { ART, bson, chunkedBackup } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { bytesOf, idsOf, refusal, selectingAnew } from './selecting.ts';

const selecting = selectingAnew(test);

function together(documents: readonly Buffer[]): WholeDocuments {
  const starts = new Int32Array(documents.length + 1);
  for (const [i, { length }] of documents.entries()) starts[i + 1] = (starts[i] as number) + length;
  return { bytes: Buffer.concat(documents), starts, count: documents.length };
}

/** What is made of each document; none, one or more. */
type Change = (document: Buffer, collection: string) => readonly Buffer[];

function changed(backup: Backup, change: Change): Backup {
  async function* read(...asked: Parameters<Backup['read']>): AsyncGenerator<BackupPiece> {
    const sums = new Map<string, { crc: number; bytes: number }>();
    for await (const piece of backup.read(...asked)) {
      if (piece.type === 'documents') {
        const { member, bytes, starts, count } = piece;
        const given = Array.from({ length: count }, (_, i) => bytes.subarray(starts[i], starts[i + 1]));
        const made = given.flatMap((document) => change(document, member.collection));
        const sum = sums.get(member.path) ?? { crc: 0, bytes: 0 };
        sums.set(member.path, sum);
        for (const document of made) sum.crc = crc32(document, sum.crc);
        sum.bytes += made.reduce((total, { length }) => total + length, 0);
        if (made.length > 0) yield { type: 'documents', member, ...together(made) };
      } else if (piece.type === 'finished') {
        const members = piece.summary.members.map((member) => {
          const { crc = 0, bytes = 0 } = sums.get(member.path) ?? {};
          return { ...member, bytes, crc32: hexOfCrc32(crc) };
        });
        yield { ...piece, summary: { ...piece.summary, members } };
      } else yield piece;
    }
  }
  return around(backup, { read, close: () => backup.close() });
}

const PLAN = planOf({
  collection: 'artworks',
  query: { partner: 'p' },
  dependents: [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }],
});

for (const access of ['random', 'sequential'] as const) {
  test(`documents that are changed, added and left out on their way are selected as they have become: ${access}`, async () => {
    const backup = changed(
      chunkedBackup({ access, members: ART, nextLength: () => 50 }),
      (document, collection) => {
        const { _id, ...rest } = deserialize(document);
        if (collection !== 'artworks') return [document];
        if (_id === 1) return [];
        if (_id === 2) return [bson({ _id, ...rest, partner: 'p' })];
        return [document, bson({ _id: 4, partner: 'p' })];
      },
    );
    const selection = await selecting.select(PLAN, backup);
    assert.equal(await idsOf(selection, 'artworks'), [2, 3, 4]);
    assert.equal(await idsOf(selection, 'sale_artworks'), [11, 12, 13]);
  });
}

test('a whole collection that was changed in place has the sha256 of what it has become', async () => {
  const backup = changed(chunkedBackup({ access: 'random', members: ART }), (document) => {
    const { partner, ...rest } = deserialize(document);
    return [bson({ ...rest, partner: partner === 'q' ? 'r' : partner })];
  });
  const selection = await selecting.select(planOf({ collection: 'artworks', query: {} }), backup);
  const bytes = await bytesOf(selection, 'artworks');
  assert.is(selection.manifest.collections[0]?.sha256, createHash('sha256').update(bytes).digest('hex'));
  const partners = documentsOf(bytes).map((document) => deserialize(document)['partner']);
  assert.equal(partners, ['p', 'r', 'p']);
});

test('a fault of whoever takes the documents ends the reading, all the way down', async () => {
  const bare = chunkedBackup({ access: 'random', members: ART });
  let isClosed = false;
  const backup = around(bare, {
    async *read(...asked) {
      try {
        yield* bare.read(...asked);
      } finally {
        isClosed = true;
      }
    },
    close: () => bare.close(),
  });
  const query = { $expr: { $gt: [{ $divide: [1, { $subtract: ['$_id', 2] }] }, 0] } };
  const error = await refusal(selecting.select(planOf({ collection: 'artworks', query }), backup));
  assert.is(error.code, 'PLAN_INVALID');
  assert.is(error.facts['document'], 2);
  assert.ok(isClosed);
});

test.run();
