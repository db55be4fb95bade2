/** The catalogue of faults, T8, once more: a document changes between our last look at it and the write that is to hit it. */
import { Binary, serialize } from 'bson';
import type { Collection, Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { numbered } from '../apply/documents.ts';
import { type Workbench, withWorkbench } from '../apply/workbench.ts';
import { test } from '../harness.ts';
import { type OwnServers, ownServers } from './own-servers.ts';

let servers: OwnServers;

test.before(async () => {
  servers = await ownServers();
});
test.after(() => servers.stop());

const on = (body: (bench: Workbench, a: Collection<Document>) => Promise<void>) =>
  withWorkbench(servers, async (bench) => body(bench, (await bench.db('staging')).collection('a')));

const whenIntended = (change: () => Promise<unknown>) => async (checkpoint: string) => {
  if (checkpoint === 'batch-intended') await change();
};

const large = (n: number): Document => ({ _id: 0, n, bytes: new Binary(Buffer.alloc(9 * 1024 * 1024, n)) });
const largeSelection = {
  collection: 'a',
  documents: [Buffer.from(serialize(large(2)))],
  whenMatched: 'replace',
} as const;

test('two documents too large for one statement, and a change that keeps the size: not overwritten', () =>
  on(async (bench, a) => {
    await a.insertOne(large(1));
    const result = await bench.apply(bench.selection([largeSelection]), 'staging', {
      checkpoint: whenIntended(() => a.updateOne({}, { $set: { n: 7 } })),
    });
    assert.is(result.collections[0]?.conflict, 1);
    assert.match(result.notices[0]?.reason ?? '', 'changed in the target meanwhile');
    assert.is((await a.findOne())?.['n'], 7);
  }));

test('two documents too large for one statement are replaced and put back', () =>
  on(async (bench, a) => {
    await a.insertOne(large(1));
    const before = await bench.documents('staging', 'a');
    const selection = bench.selection([largeSelection]);
    assert.is((await bench.apply(selection, 'staging')).collections[0]?.replaced, 1);
    assert.is((await bench.revert(selection, 'staging')).runs[0]?.collections[0]?.counts.putBack, 1);
    assert.ok((await bench.documents('staging', 'a'))[0]?.equals(before[0] as Buffer));
  }));

test('a change of case alone, where the collection takes cases for equal: neither overwritten nor removed', () =>
  on(async (bench) => {
    const db = await bench.db('staging');
    const a = await db.createCollection<Document>('a', { collation: { locale: 'en', strength: 2 } });
    await a.insertOne({ _id: 0 as never, text: 'seen' });
    const documents = numbered(0, 5);
    const applied = bench.selection([
      { collection: 'a', documents: documents.slice(0, 1), whenMatched: 'replace' },
    ]);
    const result = await bench.apply(applied, 'staging', {
      checkpoint: whenIntended(() => a.updateOne({}, { $set: { text: 'SEEN' } })),
    });
    assert.is(result.collections[0]?.conflict, 1);
    assert.is((await a.findOne())?.['text'], 'SEEN');
    const selection = bench.selection([{ collection: 'a', documents: documents.slice(1) }]);
    await bench.apply(selection, 'staging');
    const report = await bench.revert(selection, 'staging', {
      checkpoint: whenIntended(() =>
        a.updateOne({ _id: 3 as never }, { $set: { text: 'AS IN THE BACKUP' } }),
      ),
    });
    assert.equal(
      [report.runs[0]?.collections[0]?.counts.remove, report.runs[0]?.collections[0]?.counts.changed],
      [3, 1],
    );
    assert.is((await a.findOne({ _id: 3 as never }))?.['text'], 'AS IN THE BACKUP');
  }));

test.run();
