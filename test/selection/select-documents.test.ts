import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Decimal128, type Document, Double, deserialize, Long, ObjectId, serialize } from 'bson';
import * as fc from 'fast-check';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { RunEvent } from '../../src/events.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { findSelection } from '../../src/selection/open-selection.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type ChunkedMember, type Chunking, chunkedBackup } from './chunked-backup.ts';
import { planOf, type RootSketch } from './plans.ts';
import { refusal, select as selectIn } from './selecting.ts';

let temporary: TemporaryFolder;
let folder: string;
let events: RunEvent[];
test.before.each(() => {
  temporary = temporaryFolder('select');
  folder = temporary.path;
  events = [];
});
test.after.each(() => temporary.remove());

const bson = (document: Document): Buffer => Buffer.from(serialize(document, { ignoreUndefined: false }));
const member = (collection: string, documents: readonly Document[], path?: string): ChunkedMember => ({
  collection,
  bytes: Buffer.concat(documents.map(bson)),
  ...(path === undefined ? {} : { path }),
});

function select(plan: Plan, backup: Backup, signal?: AbortSignal): Promise<Selection> {
  const emit = (event: RunEvent) => events.push(event);
  return selectIn(plan, { backup, folder, emit, ...(signal === undefined ? {} : { signal }) });
}

async function bytesOf(selection: Selection, collection: string): Promise<Buffer> {
  return readFile(join(selection.directory, 'gravity', `${collection}.bson`));
}

async function idsOf(selection: Selection, collection: string): Promise<unknown[]> {
  const bytes = await bytesOf(selection, collection);
  const ids: unknown[] = [];
  for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at)) {
    ids.push(deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)))['_id']);
  }
  return ids;
}

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

test('a query selects documents as they are, in backup order', async () => {
  const documents = [
    { _id: 1, state: 'published', b: 1, a: new Double(1) },
    { _id: 2, state: 'draft' },
    { _id: 3, state: 'published', at: new Date(0) },
  ];
  const plan = planOf({ collection: 'artworks', query: { state: 'published' } });
  const selection = await select(
    plan,
    chunkedBackup({ access: 'random', members: [member('artworks', documents)] }),
  );
  const expected = Buffer.concat([documents[0], documents[2]].map((document) => bson(document as Document)));
  assert.equal(await bytesOf(selection, 'artworks'), expected);
  const [collection] = selection.manifest.collections;
  assert.is(collection?.scanned, 3);
  assert.is(collection?.count, 2);
  assert.is(collection?.bytes, expected.length);
  const again = await findSelection(join(folder, '.restore-plan'), plan, selection.manifest.backup);
  assert.equal(again, JSON.parse(JSON.stringify(selection)));
});

const ART: readonly ChunkedMember[] = [
  member('artworks', [
    { _id: 1, partner: 'p' },
    { _id: 2, partner: 'q' },
    { _id: 3, partner: 'p' },
  ]),
  member('sale_artworks', [
    { _id: 10, artwork_id: 1, state: 'open' },
    { _id: 11, artwork_id: 2, state: 'open' },
    { _id: 12, artwork_id: 3, state: 'draft' },
    { _id: 13, artwork_id: 3, state: 'open' },
  ]),
  member('bids', [
    { _id: 20, lot: 10 },
    { _id: 21, lot: 11 },
    { _id: 22, lot: 12 },
    { _id: 23, lot: 13 },
    { _id: 24 },
    { _id: 25, lot: null },
  ]),
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
          member('sales', [
            { _id: 1, keys: [1, 'one'], owner: { id: new ObjectId('0'.repeat(24)) } },
            { _id: 2, keys: Decimal128.fromString('2.50'), owner: [{ id: 7 }, { id: Long.fromNumber(8) }] },
            { _id: 3, keys: [[4, 5]], owner: { id: null } },
          ]),
          member('lots', [
            { _id: 'a', refs: [{ sale: new Double(1) }, { sale: 99 }] },
            { _id: 'b', refs: { sale: new Double(2.5) } },
            { _id: 'c', refs: { sale: ['two', 'one'] } },
            { _id: 'd', refs: [[{ sale: 1 }]] },
            { _id: 'e', refs: { sale: '1' } },
            { _id: 'f', refs: { sale: [4, 5] } },
            { _id: 'g', refs: [] },
          ]),
          member('notes', [
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
          member('artists', [{ _id: 'monet' }, { _id: 'manet' }]),
          member('artworks', [{ _id: 5 }, { _id: 6 }]),
          member('images', [
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
          member('categories', [
            // Grandchildren stand before their parents, so that one look is not enough.
            { _id: 'c', parent: 'b' },
            { _id: 'x', parent: 'other' },
            { _id: 'd', parent: 'c' },
            { _id: 'b', parent: 'a' },
            { _id: 'a', parent: 'root' },
            { _id: 'root', parent: null },
            { _id: 'other' },
          ]),
          member('products', [
            { _id: 1, category: 'd' },
            { _id: 2, category: 'x' },
            { _id: 3, category: 'root' },
          ]),
          member('labels', [
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
          member('sales', [{ _id: 's1' }, { _id: 's2' }, { _id: 's3' }]),
          member('lots', [
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
      member('artworks', [{ _id: 1, partner: 'p' }], 'c0/gravity/artworks.bson'),
      member(
        'sale_artworks',
        [
          { _id: 10, artwork_id: 2 },
          { _id: 11, artwork_id: 1 },
        ],
        'c0/gravity/sale_artworks.bson',
      ),
      member(
        'bids',
        [
          { _id: 20, lot: 10 },
          { _id: 21, lot: 13 },
        ],
        'c0/gravity/bids.bson',
      ),
      member('artworks', [{ _id: 2, partner: 'p' }], 'c1/gravity/artworks.bson'),
      member(
        'sale_artworks',
        [
          { _id: 12, artwork_id: 2 },
          { _id: 13, artwork_id: 3 },
        ],
        'c1/gravity/sale_artworks.bson',
      ),
      member('bids', [{ _id: 22, lot: 12 }], 'c1/gravity/bids.bson'),
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

test('the sha256 in the manifest is that of the file, whether it was taken while writing or from the backup', async () => {
  const documents = Array.from({ length: 12_000 }, (_, _id) => ({
    _id,
    pad: 'x'.repeat(80),
    odd: _id % 2 === 1,
  }));
  const late = { _id: -1, odd: true };
  for (const [query, all] of [
    [{}, documents],
    [{ odd: true }, documents],
    [{ odd: { $exists: true } }, documents],
    // Everything is chosen for more than a megabyte, and then something is not.
    [{ _id: { $gte: 0 } }, [...documents, late]],
  ] as const) {
    const plan = planOf({ collection: 'artworks', query });
    const backup = chunkedBackup({ access: 'random', members: [member('artworks', all)] });
    const { manifest } = await select(plan, backup);
    assert.ok(
      await findSelection(join(folder, '.restore-plan'), plan, manifest.backup),
      JSON.stringify(query),
    );
  }
});

test('a document that several members hold counts once when its copies are equal', async () => {
  const selection = await select(
    planOf({ collection: 'artworks', query: { partner: 'p' } }),
    chunkedBackup({
      access: 'sequential',
      members: [
        member(
          'artworks',
          [
            { _id: 1, partner: 'p' },
            { _id: 2, partner: 'p' },
          ],
          'a/gravity/artworks.bson',
        ),
        member(
          'artworks',
          [
            { _id: 3, partner: 'p' },
            { _id: 1, partner: 'p' },
          ],
          'b/gravity/artworks.bson',
        ),
        member(
          'artworks',
          [
            { _id: 3, partner: 'p' },
            { _id: 4, partner: 'p' },
          ],
          'c/gravity/artworks.bson',
        ),
      ],
    }),
  );
  assert.equal(await idsOf(selection, 'artworks'), [1, 2, 3, 4]);
  const found = await findSelection(
    join(folder, '.restore-plan'),
    planOf({ collection: 'artworks', query: { partner: 'p' } }),
    selection.manifest.backup,
  );
  assert.is(found?.manifest.collections[0]?.count, 4, 'count, size and sha256 are those of the file');
});

test('a document that two members hold differently is refused, naming both', async () => {
  const error = await refusal(
    select(
      planOf({ collection: 'artworks', query: {} }),
      chunkedBackup({
        access: 'random',
        members: [
          member('artworks', [{ _id: 1, title: 'Water Lilies' }], 'a/gravity/artworks.bson'),
          member('artworks', [{ _id: new Double(1), title: 'Water Lilies' }], 'b/gravity/artworks.bson'),
        ],
      }),
    ),
  );
  assert.is(error.code, 'BACKUP');
  assert.match(
    error.message,
    /two different documents with _id .*1.*a\/gravity\/artworks\.bson and in b\/gravity/,
  );
});

test('the same copies are found when there are more than are held at a time', async () => {
  const documents = Array.from({ length: 230_000 }, (_, i) => ({ _id: i }));
  const bytes = member('counters', documents).bytes;
  const selection = await select(
    planOf({ collection: 'counters', query: {} }),
    chunkedBackup({
      access: 'random',
      members: [
        { collection: 'counters', bytes, path: 'a/counters.bson' },
        { collection: 'counters', bytes, path: 'b/counters.bson' },
      ],
    }),
  );
  assert.is(selection.manifest.collections[0]?.count, 230_000);
  assert.is(Buffer.compare(await bytesOf(selection, 'counters'), bytes), 0);
});

test('B11 the same _id twice within one member is reported', async () => {
  const selection = await select(
    planOf({ collection: 'artworks', query: {} }),
    chunkedBackup({
      access: 'random',
      members: [
        member('artworks', [{ _id: 1 }, { _id: 2 }, { _id: new Double(1) }, { _id: Long.fromNumber(1) }]),
      ],
    }),
  );
  assert.is(selection.manifest.collections[0]?.count, 4);
  assert.match(
    selection.manifest.warnings.join('\n'),
    /artworks: 2 documents of the backup repeat the _id of an earlier one.*1/,
  );
});

test('a query that matches nothing, and every such query, is refused by name', async () => {
  const error = await refusal(
    select(
      planOf(
        { collection: 'artworks', query: { partner: 'nobody' } },
        { collection: 'sale_artworks', query: { state: 'open' } },
        { collection: 'bids', query: { lot: 999 } },
      ),
      chunkedBackup({ access: 'random', members: ART }),
    ),
  );
  assert.is(error.exitCode, 12);
  assert.match(
    error.message,
    /none of the 3 documents of artworks \(test\.yaml:1:1\); none of the 6 documents of bids/,
  );
  assert.equal(error.facts, { unmatched: ['artworks', 'bids'] });
  assert.equal(await readdir(join(folder, '.restore-plan', 'selections')), [], 'nothing is left');
});

test('a dependent to which nothing refers is a warning', async () => {
  const selection = await select(
    planOf({
      collection: 'artworks',
      query: { _id: 2 },
      dependents: [{ collection: 'bids', foreignKey: 'artwork' }],
    }),
    chunkedBackup({ access: 'random', members: ART }),
  );
  assert.match(
    selection.manifest.warnings.join('\n'),
    /bids: no document refers by artwork to a selected document of artworks \(test\.yaml:1:1\.1\)/,
  );
  assert.equal(await idsOf(selection, 'bids'), []);
});

test('a collection that the backup lacks is refused, saying what it holds where that is known', async () => {
  const plan = planOf({
    collection: 'artworks',
    query: {},
    dependents: [{ collection: 'sale_artwroks', foreignKey: 'artwork_id' }],
  });
  const unknown = await refusal(select(plan, chunkedBackup({ access: 'sequential', members: ART })));
  assert.is(unknown.exitCode, 12);
  assert.match(unknown.message, /holds no collection sale_artwroks \(test\.yaml:1:1\.1\)/);
  const collections = ['artworks', 'bids'].map((collection) => ({
    collection,
    text: undefined,
    type: 'collection' as const,
  }));
  const known = await refusal(select(plan, chunkedBackup({ access: 'random', members: ART, collections })));
  assert.match(known.hint ?? '', /It holds artworks, bids\./);
});

test('an empty collection is not a missing one', async () => {
  const selection = await select(
    planOf({
      collection: 'artworks',
      query: { _id: 1 },
      dependents: [{ collection: 'bids', foreignKey: 'artwork' }],
    }),
    chunkedBackup({ access: 'sequential', members: [member('artworks', [{ _id: 1 }]), member('bids', [])] }),
  );
  assert.equal(
    selection.manifest.collections.map(({ scanned }) => scanned),
    [1, 0],
  );
});

for (const [type, word] of [
  ['view', /artworks is a view in test/],
  ['timeseries', /artworks is a time series collection in test/],
] as const) {
  test(`a ${type} is refused by name`, async () => {
    const metadata = [{ collection: 'artworks', text: '{}', type }];
    for (const known of [{ collections: metadata }, { metadata }]) {
      const error = await refusal(
        select(
          planOf({ collection: 'artworks', query: {} }),
          chunkedBackup({ access: 'sequential', members: [], ...known }),
        ),
      );
      assert.is(error.exitCode, 12);
      assert.match(error.message, word);
    }
  });
}

test('two entries that restore one collection differently contradict each other', async () => {
  const error = await refusal(
    select(
      planOf(
        { collection: 'artworks', query: { _id: 1 } },
        { collection: 'artworks', query: { _id: 2 }, into: 'artworks_restored' },
      ),
      chunkedBackup({ access: 'random', members: ART }),
    ),
  );
  assert.is(error.code, 'PLAN_INVALID');
});

test('an expression without an answer for a document ends the selection and names the document', async () => {
  const error = await refusal(
    select(
      planOf({ collection: 'artworks', query: { $expr: { $add: ['$partner', 1] } } }),
      chunkedBackup({ access: 'random', members: ART }),
    ),
  );
  assert.is(error.code, 'PLAN_INVALID');
  assert.match(error.message, /\$expr\.\$add has no answer for document 1 of .*: \$add needs numbers/);
});

test('an expression without an answer for a child ends the selection where the child is wanted, in every order', async () => {
  const members = [
    member('artworks', [{ _id: 1 }, { _id: 2 }]),
    member('lots', [
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

test('a query that compares text is refused where the collection has a collation', async () => {
  const text =
    '{"options":{"collation":{"locale":"en","strength":2}},"indexes":[],"collectionName":"artworks"}';
  const backup = (): Backup =>
    chunkedBackup({
      access: 'sequential',
      members: ART,
      metadata: [{ collection: 'artworks', text, type: 'collection' }],
    });
  const error = await refusal(select(planOf({ collection: 'artworks', query: { partner: 'p' } }), backup()));
  assert.is(error.code, 'PLAN_INVALID');
  assert.match(error.message, /artworks compares text by the collation of locale en/);
  const byPattern = await select(planOf({ collection: 'artworks', query: { partner: /^p$/ } }), backup());
  assert.equal(await idsOf(byPattern, 'artworks'), [1, 3]);
});

test('metadata goes along as it is, and so do the warnings of whoever read the backup', async () => {
  const text = '{"options":{"collation":{"locale":"en"}},"indexes":[],"collectionName":"artworks"}';
  const selection = await select(
    planOf({ collection: 'artworks', query: {} }, { collection: 'bids', query: {} }),
    chunkedBackup({
      access: 'sequential',
      members: ART,
      metadata: [{ collection: 'artworks', text, type: 'collection' }],
    }),
  );
  assert.is(await readFile(join(selection.directory, 'gravity', 'artworks.metadata.json'), 'utf8'), text);
  assert.equal(
    selection.manifest.collections.map(({ metadataFile }) => metadataFile),
    ['artworks.metadata.json', undefined],
  );
  assert.equal(selection.manifest.warnings, ['chunks are odd']);
});

test('everything a selection writes is for its owner alone', async () => {
  const selection = await select(
    planOf({ collection: 'artworks', query: {} }),
    chunkedBackup({ access: 'random', members: ART }),
  );
  for (const path of ['', 'gravity', 'gravity/artworks.bson', 'manifest.json']) {
    const { mode } = await stat(join(selection.directory, path));
    assert.is(mode & 0o077, 0, path);
  }
});

test('a run that is stopped leaves nothing and says why', async () => {
  const controller = new AbortController();
  const reason = new RestorePlanError('SIGINT', 'stopped by SIGINT');
  let chunks = 0;
  const backup = chunkedBackup({
    access: 'sequential',
    members: ART,
    nextLength: () => {
      if (++chunks === 3) controller.abort(reason);
      return 20;
    },
  });
  const error = await refusal(select(planOf({ collection: 'bids', query: {} }), backup, controller.signal));
  assert.is(error, reason);
  assert.equal(await readdir(join(folder, '.restore-plan', 'selections')), []);
});

test('events tell what is done', async () => {
  await select(
    planOf({ collection: 'artworks', query: { _id: 1 } }),
    chunkedBackup({ access: 'random', members: ART }),
  );
  assert.equal(
    events.map(({ type }) => type),
    ['selection-started', 'selection-progress', 'selection-finished'],
  );
  assert.equal(events[1], {
    type: 'selection-progress',
    bytesRead: ART[0]?.bytes.length,
    scanned: 3,
    selected: 1,
  });
});

// A plan over three collections of few distinct keys, so that references hit, miss, repeat and form trees and loops.
const KEY = fc.oneof(
  fc.integer({ min: 0, max: 5 }),
  fc.integer({ min: 0, max: 5 }).map((n) => new Double(n)),
  fc.constantFrom('a', 'b', null),
);
const DOCUMENT = fc.record(
  { up: fc.oneof(KEY, fc.array(KEY, { maxLength: 3 })), side: KEY, pad: fc.string({ maxLength: 30 }) },
  { requiredKeys: [] },
);
const COLLECTIONS = ['one', 'two', 'three'] as const;
const PLANS: readonly RootSketch[] = [
  { collection: 'one', query: {}, dependents: [{ collection: 'two', foreignKey: 'up' }] },
  {
    collection: 'one',
    query: { side: 1 },
    dependents: [
      { collection: 'one', foreignKey: 'up' },
      {
        collection: 'two',
        foreignKey: 'up',
        localKey: 'side',
        dependents: [{ collection: 'three', foreignKey: 'up' }],
      },
      { collection: 'three', foreignKey: 'side', localKey: 'up', query: { side: { $gte: 1 } } },
    ],
  },
  {
    collection: 'two',
    query: { side: { $exists: true } },
    dependents: [
      {
        collection: 'one',
        foreignKey: '_id',
        localKey: 'up',
        dependents: [
          {
            collection: 'three',
            foreignKey: 'side',
            dependents: [{ collection: 'one', foreignKey: 'side' }],
          },
        ],
      },
    ],
  },
];

test(
  'a selection is what a naive reading of the plan gives, however the backup is cut and ordered',
  async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...PLANS),
        fc.tuple(...COLLECTIONS.map(() => fc.array(DOCUMENT, { maxLength: 12 }))),
        fc.record({
          access: fc.constantFrom('random' as const, 'sequential' as const),
          order: fc.shuffledSubarray([0, 1, 2], { minLength: 3 }),
          lengths: fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 20 }),
          turns: fc.array(fc.nat({ max: 2 }), { minLength: 1, maxLength: 20 }),
        }),
        async (sketch, collections, { access, order, lengths, turns }) => {
          const data = new Map(
            COLLECTIONS.map((name, i) => [
              name as string,
              (collections[i] as Document[]).map((each, _id) => ({ _id, ...each })),
            ]),
          );
          let length = 0;
          let turn = 0;
          const backup = chunkedBackup({
            access,
            members: order.map((i) =>
              member(COLLECTIONS[i] as string, data.get(COLLECTIONS[i] as string) as Document[]),
            ),
            nextLength: () => lengths[length++ % lengths.length] as number,
            nextMember: () => turns[turn++ % turns.length] as number,
          });
          const expected = naiveSelection(sketch, data);
          if (expected.get(sketch.collection)?.size === 0) {
            assert.is((await refusal(select(planOf(sketch), backup))).code, 'BACKUP');
            return;
          }
          const selection = await select(planOf(sketch), backup);
          for (const [collection, ids] of expected) {
            assert.equal(
              await idsOf(selection, collection),
              [...ids].sort((a, b) => a - b),
              collection,
            );
          }
          assert.ok(
            [...backup.reads.values()].every((reads) => reads === 1),
            'each member is read once',
          );
        },
      ),
      { numRuns: 250, seed: 3 },
    );
  },
  { deadlineMs: 60_000 },
);

/** The plan read literally: routes are followed until nothing new is found. Values are compared as JavaScript numbers and strings. */
function naiveSelection(
  root: RootSketch,
  data: ReadonlyMap<string, readonly Document[]>,
): Map<string, Set<number>> {
  const chosen = new Map<string, Set<number>>();
  const plain = (value: unknown): unknown => (value instanceof Double ? value.value : value);
  const values = (document: Document, path: string): unknown[] =>
    [document[path]]
      .flat()
      .map(plain)
      .filter((value) => value !== null && value !== undefined);
  const passes = (document: Document, query: Document): boolean =>
    Object.entries(query).every(([field, wanted]) => {
      const value = plain(document[field]);
      if (wanted.$exists === true) return field in document;
      if (wanted.$gte !== undefined) return typeof value === 'number' && value >= wanted.$gte;
      return value === wanted;
    });
  type Sketch = Omit<RootSketch, 'query'> & { query?: Document; foreignKey?: string; localKey?: string };
  const follow = (sketch: Sketch, parents: readonly Document[]): void => {
    const own = (data.get(sketch.collection) ?? []).filter(
      (document) =>
        passes(document, sketch.query ?? {}) &&
        (sketch.foreignKey === undefined ||
          parents.some((parent) =>
            values(parent, sketch.localKey ?? '_id').some((key) =>
              values(document, sketch.foreignKey as string).includes(key),
            ),
          )),
    );
    const ids = chosen.get(sketch.collection) ?? new Set();
    for (const { _id } of own) ids.add(_id as number);
    chosen.set(sketch.collection, ids);
    for (const dependent of sketch.dependents ?? []) {
      if (dependent.collection !== sketch.collection) continue;
      // A tree: its members are parents as those above them are.
      for (let size = -1; size < own.length; ) {
        size = own.length;
        const more = (data.get(sketch.collection) ?? []).filter(
          (document) =>
            !own.includes(document) &&
            own.some((parent) =>
              values(parent, dependent.localKey ?? '_id').some((key) =>
                values(document, dependent.foreignKey).includes(key),
              ),
            ),
        );
        own.push(...more);
        for (const { _id } of more) ids.add(_id as number);
      }
    }
    for (const dependent of sketch.dependents ?? []) {
      if (dependent.collection !== sketch.collection) follow(dependent, own);
    }
  };
  follow(root, []);
  return chosen;
}

test.run();
