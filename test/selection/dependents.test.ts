/** Dependents: chosen by the keys of their parents, in whatever order a backup hands them out. */
import { readdir } from 'node:fs/promises';
import { Decimal128, Double, Long, ObjectId } from 'bson';
import * as assert from 'uvu/assert';
import type { Plan } from '../../src/plan/plan.ts';
import { test } from '../harness.ts';
import { ART, type ChunkedMember, type Chunking, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { idsOf, refusal, selectingAnew } from './selecting.ts';

const { select } = selectingAnew(test);

/** The same data in every way a backup can be read. */
const WAYS: readonly {
  readonly name: string;
  readonly chunking: (members: readonly ChunkedMember[]) => Chunking;
}[] = [
  { name: 'random access', chunking: (members) => ({ access: 'random', members }) },
  { name: 'stream', chunking: (members) => ({ access: 'sequential', members }) },
  {
    name: 'stream, children first',
    chunking: (members) => ({ access: 'sequential', members: [...members].reverse() }),
  },
  {
    name: 'stream, interleaved',
    chunking: (members) => {
      let turn = 0;
      return { access: 'interleaved', members, nextLength: () => 7, nextMember: () => turn++ };
    },
  },
];

for (const { name, chunking } of WAYS) {
  test(`dependents to any depth (${name})`, async () => {
    const backup = chunkedBackup(chunking(ART));
    const selection = await select(
      planOf({
        collection: 'artworks',
        query: { partner: 'p' },
        dependents: [
          {
            collection: 'sale_artworks',
            foreignKey: 'artwork_id',
            query: { state: { $ne: 'draft' } },
            dependents: [{ collection: 'bids', foreignKey: 'lot' }],
          },
        ],
      }),
      backup,
    );
    assert.equal(await idsOf(selection, 'artworks'), [1, 3]);
    assert.equal(await idsOf(selection, 'sale_artworks'), [10, 13]);
    assert.equal(await idsOf(selection, 'bids'), [20, 23]);
    assert.equal([...backup.reads.values()], [1, 1, 1], 'each member is read once');
    assert.equal(
      selection.manifest.collections.map(({ collection, scanned }) => [collection, scanned]),
      [
        ['artworks', 3],
        ['sale_artworks', 4],
        ['bids', 6],
      ],
    );
    assert.equal(await readdir(selection.directory), ['gravity', 'manifest.json']);
  });

  test(`keys in arrays and sub-documents, of mixed number types (${name})`, async () => {
    const selection = await select(
      planOf({
        collection: 'sales',
        query: {},
        dependents: [
          { collection: 'lots', foreignKey: 'refs.sale', localKey: 'keys' },
          { collection: 'notes', foreignKey: 'about.1', localKey: 'owner.id' },
        ],
      }),
      chunkedBackup(
        chunking([
          memberOf('sales', [
            { _id: 1, keys: [1, 'one'], owner: { id: new ObjectId('0'.repeat(24)) } },
            { _id: 2, keys: Decimal128.fromString('2.50'), owner: [{ id: 7 }, { id: Long.fromNumber(8) }] },
            { _id: 3, keys: [[4, 5]], owner: { id: null } },
          ]),
          memberOf('lots', [
            { _id: 'a', refs: [{ sale: new Double(1) }, { sale: 99 }] },
            { _id: 'b', refs: { sale: new Double(2.5) } },
            { _id: 'c', refs: { sale: ['two', 'one'] } },
            { _id: 'd', refs: [[{ sale: 1 }]] },
            { _id: 'e', refs: { sale: '1' } },
            { _id: 'f', refs: { sale: [4, 5] } },
            { _id: 'g', refs: [] },
          ]),
          memberOf('notes', [
            { _id: 'a', about: [0, new Double(8)] },
            { _id: 'b', about: [8, 0] },
            { _id: 'c', about: { 1: new ObjectId('0'.repeat(24)) } },
            { _id: 'd', about: [{ 1: 7 }] },
            { _id: 'e', about: [0, null] },
          ]),
        ]),
      ),
    );
    assert.equal(await idsOf(selection, 'lots'), ['a', 'b', 'c', 'f']);
    assert.equal(await idsOf(selection, 'notes'), ['a', 'c', 'd']);
  });

  test(`a collection reached by two routes gives each document once, in backup order (${name})`, async () => {
    const selection = await select(
      planOf(
        {
          collection: 'artists',
          query: { _id: 'monet' },
          dependents: [{ collection: 'images', foreignKey: 'artist' }],
        },
        {
          collection: 'artworks',
          query: { _id: 5 },
          dependents: [{ collection: 'images', foreignKey: 'artwork' }],
        },
      ),
      chunkedBackup(
        chunking([
          memberOf('artists', [{ _id: 'monet' }, { _id: 'manet' }]),
          memberOf('artworks', [{ _id: 5 }, { _id: 6 }]),
          memberOf('images', [
            { _id: 1, artwork: 5 },
            { _id: 2, artist: 'monet', artwork: 5 },
            { _id: 3, artist: 'manet', artwork: 6 },
            { _id: 4, artist: 'monet' },
          ]),
        ]),
      ),
    );
    assert.equal(await idsOf(selection, 'images'), [1, 2, 4]);
  });

  test(`a tree in one collection is followed to its end, with what hangs on it (${name})`, async () => {
    const selection = await select(
      planOf({
        collection: 'categories',
        query: { _id: 'root' },
        dependents: [
          {
            collection: 'categories',
            foreignKey: 'parent',
            dependents: [{ collection: 'labels', foreignKey: 'category' }],
          },
          { collection: 'products', foreignKey: 'category' },
        ],
      }),
      chunkedBackup(
        chunking([
          memberOf('categories', [
            // Grandchildren stand before their parents, so that one look is not enough.
            { _id: 'c', parent: 'b' },
            { _id: 'x', parent: 'other' },
            { _id: 'd', parent: 'c' },
            { _id: 'b', parent: 'a' },
            { _id: 'a', parent: 'root' },
            { _id: 'root', parent: null },
            { _id: 'other' },
          ]),
          memberOf('products', [
            { _id: 1, category: 'd' },
            { _id: 2, category: 'x' },
            { _id: 3, category: 'root' },
          ]),
          memberOf('labels', [
            { _id: 1, category: 'd' },
            { _id: 2, category: 'root' },
          ]),
        ]),
      ),
    );
    assert.equal(await idsOf(selection, 'categories'), ['c', 'd', 'b', 'a', 'root']);
    assert.equal(await idsOf(selection, 'products'), [1, 3]);
    assert.equal(await idsOf(selection, 'labels'), [1], 'labels hang on children only');
  });

  test(`a loop over two collections is followed to its end (${name})`, async () => {
    const selection = await select(
      planOf(
        {
          collection: 'sales',
          query: { _id: 's1' },
          dependents: [{ collection: 'lots', foreignKey: 'sale' }],
        },
        {
          collection: 'lots',
          query: { _id: 'l9' },
          dependents: [{ collection: 'sales', foreignKey: '_id', localKey: 'sale' }],
        },
      ),
      chunkedBackup(
        chunking([
          memberOf('sales', [{ _id: 's1' }, { _id: 's2' }, { _id: 's3' }]),
          memberOf('lots', [
            { _id: 'l1', sale: 's1' },
            { _id: 'l2', sale: 's2' },
            { _id: 'l9', sale: 's3' },
          ]),
        ]),
      ),
    );
    assert.equal(await idsOf(selection, 'sales'), ['s1', 's3']);
    assert.equal(await idsOf(selection, 'lots'), ['l1', 'l9']);
  });
}

test('parents that turn up after their children, in a second shard of a stream, are not missed', async () => {
  const backup = chunkedBackup({
    access: 'sequential',
    members: [
      memberOf('artworks', [{ _id: 1, partner: 'p' }], 'c0/gravity/artworks.bson'),
      memberOf(
        'sale_artworks',
        [
          { _id: 10, artwork_id: 2 },
          { _id: 11, artwork_id: 1 },
        ],
        'c0/gravity/sale_artworks.bson',
      ),
      memberOf(
        'bids',
        [
          { _id: 20, lot: 10 },
          { _id: 21, lot: 13 },
        ],
        'c0/gravity/bids.bson',
      ),
      memberOf('artworks', [{ _id: 2, partner: 'p' }], 'c1/gravity/artworks.bson'),
      memberOf(
        'sale_artworks',
        [
          { _id: 12, artwork_id: 2 },
          { _id: 13, artwork_id: 3 },
        ],
        'c1/gravity/sale_artworks.bson',
      ),
      memberOf('bids', [{ _id: 22, lot: 12 }], 'c1/gravity/bids.bson'),
    ],
  });
  const selection = await select(
    planOf({
      collection: 'artworks',
      query: { partner: 'p' },
      dependents: [
        {
          collection: 'sale_artworks',
          foreignKey: 'artwork_id',
          dependents: [{ collection: 'bids', foreignKey: 'lot' }],
        },
      ],
    }),
    backup,
  );
  assert.equal(await idsOf(selection, 'sale_artworks'), [10, 11, 12]);
  assert.equal(await idsOf(selection, 'bids'), [20, 22]);
  assert.ok(
    [...backup.reads.values()].every((reads) => reads === 1),
    'each member is read once',
  );
  assert.equal(
    selection.manifest.collections.map(({ scanned }) => scanned),
    [2, 4, 3],
  );
});

test('an expression without an answer for a child ends the selection where the child is wanted, in every order', async () => {
  const members = [
    memberOf('artworks', [{ _id: 1 }, { _id: 2 }]),
    memberOf('lots', [
      { _id: 1, artwork: 1, price: 5 },
      { _id: 2, artwork: 2, price: 'none' },
    ]),
  ];
  const planFor = (_id: number): Plan =>
    planOf({
      collection: 'artworks',
      query: { _id },
      dependents: [
        {
          collection: 'lots',
          foreignKey: 'artwork',
          query: { $expr: { $gt: [{ $add: ['$price', 1] }, 0] } },
        },
      ],
    });
  for (const { name, chunking } of WAYS) {
    const error = await refusal(select(planFor(2), chunkedBackup(chunking(members))));
    assert.match(error.message, /has no answer for document 2 of dump\/gravity\/lots\.bson/, name);
    assert.equal(await idsOf(await select(planFor(1), chunkedBackup(chunking(members))), 'lots'), [1], name);
  }
});

test.run();
