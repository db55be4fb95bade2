import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, Double, Long } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import { findSelection } from '../../src/selection/open-selection.ts';
import { test } from '../harness.ts';
import { ART, bson, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { bytesOf, idsOf, refusal, selectingAnew } from './selecting.ts';

const selecting = selectingAnew(test);
const { select } = selecting;

test('a query selects documents as they are, in backup order', async () => {
  const documents = [
    { _id: 1, state: 'published', b: 1, a: new Double(1) },
    { _id: 2, state: 'draft' },
    { _id: 3, state: 'published', at: new Date(0) },
  ];
  const plan = planOf({ collection: 'artworks', query: { state: 'published' } });
  const selection = await select(
    plan,
    chunkedBackup({ access: 'random', members: [memberOf('artworks', documents)] }),
  );
  const expected = Buffer.concat([documents[0], documents[2]].map((document) => bson(document as Document)));
  assert.equal(await bytesOf(selection, 'artworks'), expected);
  const [collection] = selection.manifest.collections;
  assert.is(collection?.scanned, 3);
  assert.is(collection?.count, 2);
  assert.is(collection?.bytes, expected.length);
  const again = await findSelection(selecting.workDirectory, plan, selection.manifest.backup);
  assert.equal(again, JSON.parse(JSON.stringify(selection)));
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
    const backup = chunkedBackup({ access: 'random', members: [memberOf('artworks', all)] });
    const { manifest } = await select(plan, backup);
    assert.ok(await findSelection(selecting.workDirectory, plan, manifest.backup), JSON.stringify(query));
  }
});

test('a document that several members hold counts once when its copies are equal', async () => {
  const selection = await select(
    planOf({ collection: 'artworks', query: { partner: 'p' } }),
    chunkedBackup({
      access: 'sequential',
      members: [
        memberOf(
          'artworks',
          [
            { _id: 1, partner: 'p' },
            { _id: 2, partner: 'p' },
          ],
          'a/gravity/artworks.bson',
        ),
        memberOf(
          'artworks',
          [
            { _id: 3, partner: 'p' },
            { _id: 1, partner: 'p' },
          ],
          'b/gravity/artworks.bson',
        ),
        memberOf(
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
    selecting.workDirectory,
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
          memberOf('artworks', [{ _id: 1, title: 'Water Lilies' }], 'a/gravity/artworks.bson'),
          memberOf('artworks', [{ _id: new Double(1), title: 'Water Lilies' }], 'b/gravity/artworks.bson'),
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
  const bytes = memberOf('counters', documents).bytes;
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

for (const dependents of [[], [{ collection: 'lots', foreignKey: 'artwork' }]]) {
  test(`B11 the same _id twice within one member is reported, and the first restored (${dependents.length} dependents)`, async () => {
    const twice = [{ _id: 1 }, { _id: 2 }, { _id: new Double(1) }, { _id: Long.fromNumber(1), late: true }];
    const selection = await select(
      planOf({ collection: 'artworks', query: {}, dependents }),
      chunkedBackup({
        access: 'random',
        members: [memberOf('artworks', twice), memberOf('lots', [{ _id: 1, artwork: 1 }])],
      }),
    );
    assert.is(selection.manifest.collections[0]?.count, 2);
    assert.equal(
      await bytesOf(selection, 'artworks'),
      Buffer.concat(twice.slice(0, 2).map((document) => bson(document))),
    );
    assert.match(
      selection.manifest.warnings.join('\n'),
      /artworks: 2 documents of the backup repeat the _id of an earlier one, first _id .*1.*; only the first/,
    );
  });

  test(`an _id of null comes through, and its copy counts once (${dependents.length} dependents)`, async () => {
    const artworks = [{ _id: null }, { _id: 1 }];
    const members = ['a', 'b'].map((host) => memberOf('artworks', artworks, `${host}/gravity/artworks.bson`));
    const selection = await select(
      planOf({ collection: 'artworks', query: {}, dependents }),
      chunkedBackup({ access: 'random', members: [...members, memberOf('lots', [])] }),
    );
    assert.equal(await idsOf(selection, 'artworks'), [null, 1]);
  });
}

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
  assert.equal(await readdir(join(selecting.workDirectory, 'selections')), [], 'nothing is left');
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
    chunkedBackup({
      access: 'sequential',
      members: [memberOf('artworks', [{ _id: 1 }]), memberOf('bids', [])],
    }),
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
  const error = await refusal(
    select(planOf({ collection: 'bids', query: {} }), backup, { signal: controller.signal }),
  );
  assert.is(error, reason);
  assert.equal(await readdir(join(selecting.workDirectory, 'selections')), []);
});

test('events tell what is done', async () => {
  await select(
    planOf({ collection: 'artworks', query: { _id: 1 } }),
    chunkedBackup({ access: 'random', members: ART }),
  );
  assert.equal(
    selecting.events.map(({ type }) => type),
    ['selection-started', 'selection-progress', 'selection-finished'],
  );
  assert.equal(selecting.events[1], {
    type: 'selection-progress',
    bytesRead: ART[0]?.bytes.length,
    scanned: 3,
    selected: 1,
  });
});

test.run();
