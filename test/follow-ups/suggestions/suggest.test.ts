import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Document, ObjectId, serialize } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../../src/backup/backup.ts';
import { PassingCollections } from '../../../src/follow-ups/suggestions/passing-collections.ts';
import { oldDocuments, suggestFollowUps } from '../../../src/follow-ups/suggestions/suggest.ts';
import { suggestionText } from '../../../src/follow-ups/suggestions/suggestion.ts';
import type { CollectionPlan, Plan } from '../../../src/plan/plan.ts';
import { test } from '../../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { QUIET } from '../../quiet-run.ts';
import { type ChunkedBackup, chunkedBackup } from '../../selection/chunked-backup.ts';
import { planOf } from '../../selection/plans.ts';
import { select } from '../../selection/selecting.ts';

let folder: TemporaryFolder;
test.before.each(() => {
  folder = temporaryFolder('suggest');
});
test.after.each(() => folder.remove());

const oid = (n: number): ObjectId => new ObjectId(n.toString(16).padStart(24, '0'));

function backupOf(
  data: Readonly<Record<string, readonly Document[]>>,
  access: Backup['access'] = 'random',
): ChunkedBackup {
  return chunkedBackup({
    access,
    members: Object.entries(data).map(([collection, documents]) => ({
      collection,
      bytes: Buffer.concat(documents.map((document) => Buffer.from(serialize(document)))),
    })),
    collections: Object.keys(data).map((collection) => ({ collection, text: '{}', type: 'collection' })),
  });
}

async function suggestions(plan: Plan, backup: ChunkedBackup): Promise<string[]> {
  const passed = new PassingCollections();
  const selection = await select(plan, { backup, folder: folder.path, onlooker: passed });
  return (await suggestFollowUps(QUIET, { plan, selection, backup, passed })).map(suggestionText);
}

const WORKS = [1, 2, 3].map((n) => ({ _id: oid(n), partner: n < 3 ? 'lost' : 'other' }));
const PLAN = planOf({
  collection: 'artworks',
  query: { partner: 'lost' },
  dependents: [{ collection: 'sale_artworks', foreignKey: 'artwork_id' }],
});

test('collections that refer to the selection and are not in the plan are named, with how many documents do', async () => {
  const found = await suggestions(
    PLAN,
    backupOf({
      artworks: WORKS,
      sale_artworks: [{ _id: 1, artwork_id: oid(1) }],
      offers: [
        { _id: 1, artwork_id: oid(1) },
        { _id: 2, artwork_id: oid(2) },
        { _id: 3, artwork_id: oid(3) },
      ],
      shows: [{ _id: 1, rooms: [{ artworkIds: [oid(3), oid(2)] }] }],
      // Called otherwise; found by a value.
      notes: [{ _id: 1, about: { thing: oid(1) } }],
      // By name, but none of the selected.
      favourites: [{ _id: 1, artwork_id: oid(3) }],
      people: [{ _id: 1, name: 'somebody' }],
      empty: [],
    }),
  );
  assert.equal(found, [
    'offers.artwork_id: 2 documents refer to the selection (artworks); not in this plan',
    'notes.about.thing: 1 document refers to the selection (artworks); not in this plan',
    'shows.rooms.artworkIds: 1 document refers to the selection (artworks); not in this plan',
  ]);
});

test('references to what was selected as a dependent are found as well', async () => {
  const found = await suggestions(
    PLAN,
    backupOf({
      artworks: WORKS,
      sale_artworks: [{ _id: oid(100), artwork_id: oid(1) }],
      bids: [{ _id: 1, sale_artwork_id: oid(100) }],
    }),
  );
  assert.equal(found, [
    'bids.sale_artwork_id: 1 document refers to the selection (sale_artworks); not in this plan',
  ]);
});

test('a number that happens to be equal is no reference unless the field is called so', async () => {
  const plan = planOf({ collection: 'artworks', query: { _id: 7 } });
  const found = await suggestions(
    plan,
    backupOf({ artworks: [{ _id: 7 }], counters: [{ _id: 1, n: 7 }], offers: [{ _id: 1, artwork_id: 7 }] }),
  );
  assert.equal(found, ['offers.artwork_id: 1 document refers to the selection (artworks); not in this plan']);
});

const OFFERS = [
  { _id: 1, artwork_id: oid(1) },
  { _id: 2, artwork_id: oid(3) },
  { _id: 3, artwork_id: oid(2) },
];

for (const access of ['sequential', 'interleaved'] as const) {
  test(`in a stream (${access}) what comes after the parents is looked at as it comes by, once`, async () => {
    const backup = backupOf(
      {
        artworks: WORKS,
        sale_artworks: [{ _id: 1, artwork_id: oid(1) }],
        people: [{ _id: 1 }],
        offers: OFFERS,
      },
      access,
    );
    assert.equal(await suggestions(PLAN, backup), [
      'offers.artwork_id: 2 documents refer to the selection (artworks); not in this plan',
    ]);
    assert.is(backup.reads.get('dump/gravity/offers.bson'), 1);
  });
}

test('of what comes before its parents in a stream, it says that it did not look', async () => {
  const backup = backupOf(
    { bids: OFFERS, artworks: WORKS, offers: OFFERS, sale_artworks: [{ _id: 1, artwork_id: oid(1) }] },
    'sequential',
  );
  const before = (collection: string): string =>
    `in this backup they come before ${collection}, so that it was not known yet what they may refer to`;
  assert.equal(await suggestions(PLAN, backup), [
    'offers.artwork_id: 2 documents refer to the selection (artworks); not in this plan',
    `not looked for references to the selection in bids: ${before('artworks')}`,
    `not looked for references to the selection in bids, offers: ${before('sale_artworks')}`,
  ]);
});

test('a second part of a parent that comes later makes the count one of at least so many', async () => {
  const bytes = (documents: readonly Document[]): Buffer =>
    Buffer.concat(documents.map((document) => Buffer.from(serialize(document))));
  const plan = planOf({ collection: 'artworks', query: { partner: 'lost' } });
  const backup = chunkedBackup({
    access: 'sequential',
    members: [
      { collection: 'artworks', bytes: bytes(WORKS.slice(0, 1)), path: 'a/gravity/artworks.bson' },
      { collection: 'offers', bytes: bytes(OFFERS), path: 'a/gravity/offers.bson' },
      { collection: 'artworks', bytes: bytes(WORKS.slice(1)), path: 'b/gravity/artworks.bson' },
      { collection: 'offers', bytes: bytes(OFFERS), path: 'b/gravity/offers.bson' },
    ],
  });
  const [found, notLooked] = await suggestions(plan, backup);
  assert.is(
    found,
    'offers.artwork_id: at least 3 documents refer to the selection (artworks); not in this plan',
  );
  assert.match(notLooked ?? '', /^not looked for references to the selection in offers: /);
});

test('a stream whose selection was made before is not read again for it, and that is said', async () => {
  const backup = backupOf({ artworks: WORKS, sale_artworks: [], offers: OFFERS }, 'sequential');
  const selection = await select(PLAN, { backup, folder: folder.path });
  const [found, more] = await suggestFollowUps(QUIET, { plan: PLAN, selection, backup });
  assert.is(found?.kind, 'notLookedAt');
  assert.is(more, undefined);
  assert.is(backup.reads.get('dump/gravity/offers.bson'), undefined);
});

test('damage of a collection that the plan does not need does not end the reading of a stream', async () => {
  const backup = chunkedBackup({
    access: 'sequential',
    members: [
      { collection: 'artworks', bytes: Buffer.concat(WORKS.map((work) => Buffer.from(serialize(work)))) },
      { collection: 'sale_artworks', bytes: Buffer.from(serialize({ _id: 1, artwork_id: oid(1) })) },
      { collection: 'offers', bytes: Buffer.from([3, 0, 0, 0, 0, 0, 0]) },
    ],
  });
  assert.equal(await suggestions(PLAN, backup), []);
});

test('a damaged collection that the plan does not need is passed over', async () => {
  const backup = chunkedBackup({
    access: 'random',
    members: [
      { collection: 'artworks', bytes: Buffer.from(serialize(WORKS[0] as Document)) },
      { collection: 'sale_artworks', bytes: Buffer.alloc(0) },
      { collection: 'offers', bytes: Buffer.from([3, 0, 0, 0, 0, 0, 0]) },
    ],
    collections: ['artworks', 'sale_artworks', 'offers'].map((collection) => ({
      collection,
      text: '{}',
      type: 'collection' as const,
    })),
  });
  assert.equal(await suggestions(PLAN, backup), []);
});

test('what was found is kept with the selection, so a second dry-run does not read for it again', async () => {
  const backup = backupOf({ artworks: WORKS, sale_artworks: [], offers: [{ _id: 1, artwork_id: oid(1) }] });
  const selection = await select(PLAN, { backup, folder: folder.path });
  const first = await suggestFollowUps(QUIET, { plan: PLAN, selection, backup });
  const reads = backup.reads.get('dump/gravity/offers.bson');
  assert.equal(await suggestFollowUps(QUIET, { plan: PLAN, selection, backup }), first);
  assert.is(backup.reads.get('dump/gravity/offers.bson'), reads);
  assert.is(JSON.parse(readFileSync(join(selection.directory, 'suggestions.json'), 'utf8')).format, 2);
  rmSync(join(selection.directory, 'suggestions.json'));
});

test('a collection that two routes reach is judged by the first `updatedAt`, as in a comparison', async () => {
  const at = { epochMs: Date.parse('2016-09-13T13:00:00Z'), text: '2016-09-13T09:00:00-04:00' };
  const [first, second] = planOf({ collection: 'artworks', query: {} }, { collection: 'artworks', query: {} })
    .collections as [CollectionPlan, CollectionPlan];
  const plan = planOf({ collection: 'artworks', query: {} });
  const selection = await select(plan, {
    backup: backupOf({ artworks: [{ _id: 1, changed: new Date(0), seen: new Date() }] }),
    folder: folder.path,
  });
  const collections = [
    { ...first, updatedAt: 'changed' },
    { ...second, updatedAt: 'seen' },
  ];
  const found = await oldDocuments({ ...plan, source: { ...plan.source, at }, collections }, selection);
  assert.equal(
    found.map(({ kind, field }) => [kind, field]),
    [['oldDocuments', 'changed']],
  );
});

test('a date that no calendar writes in four digits is told in words', () => {
  const found = { kind: 'oldDocuments', collection: 'artworks', field: 'updated_at', days: 90 } as const;
  const text = suggestionText({ ...found, documents: 1, selected: 3, oldest: -9e18 });
  assert.match(text, '(updated_at, oldest before the year 0)');
});

test('an updatedAt that no selected document has is named: nothing would be called stale', async () => {
  const plan = planOf({ collection: 'artworks', query: {} });
  const misspelt: Plan = {
    ...plan,
    collections: plan.collections.map((each): CollectionPlan => ({ ...each, updatedAt: 'updatedat' })),
  };
  const found = await suggestions(
    misspelt,
    backupOf({
      artworks: [
        { _id: 1, updated_at: new Date(0) },
        { _id: 2, updatedat: 'yesterday' },
      ],
    }),
  );
  assert.equal(found, [
    'artworks: no date in updatedat (updatedAt) in any of 2 selected documents; none can be called stale',
  ]);
});

test('documents that were old already at the moment of the loss are counted', async () => {
  const at = { epochMs: Date.parse('2016-09-13T13:00:00Z'), text: '2016-09-13T09:00:00-04:00' };
  const plan = planOf({ collection: 'artworks', query: {} });
  const dated: Plan = {
    ...plan,
    source: { ...plan.source, at },
    collections: plan.collections.map((each): CollectionPlan => ({ ...each, updatedAt: 'updated_at' })),
  };
  const found = await suggestions(
    dated,
    backupOf({
      artworks: [
        { _id: 1, updated_at: new Date('2014-02-03T00:00:00Z') },
        { _id: 2, updated_at: new Date('2016-09-12T00:00:00Z') },
        { _id: 3 },
      ],
    }),
  );
  assert.equal(found, [
    'artworks: 1 of 3 selected documents were last updated more than 90 days before `at` (updated_at, oldest 2014-02-03); see whether they are still current',
  ]);
});

test.run();
