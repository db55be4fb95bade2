import * as assert from 'uvu/assert';
import { Documents } from '../../src/bson/documents.ts';
import { shardKeyCheck } from '../../src/comparison/compare-batch.ts';
import type { TargetCollection } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { toBytes } from './comparing.ts';

test('a server before 4.4 refuses a document without the shard key', async () => {
  const documents = Documents.of([toBytes({ _id: 1 })]);
  for (const [version, refused] of [
    ['4.2.24', true],
    ['4.4.0', false],
    ['8.2.0', false],
    ['10.0.0', false],
  ] as const) {
    const collection = { shardKey: ['region'] } as unknown as TargetCollection;
    const check = shardKeyCheck(collection, version, () => undefined);
    assert.is((await check?.(documents, [0]))?.has(0), refused, version);
  }
});

test.run();
