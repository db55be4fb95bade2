import * as assert from 'uvu/assert';
import { documentValue } from '../../src/bson/diff-documents.ts';
import { findId } from '../../src/bson/stored-form.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { shardKeyCheck } from '../../src/comparison/collection-checks.ts';
import type { TargetCollection } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { toBytes } from './comparing.ts';

test('a server before 4.4 refuses a document without the shard key', async () => {
  const bytes = toBytes({ _id: 1 });
  const candidate = { index: 0, document: documentValue(bytes), id: findId(bytes) as RawValue };
  for (const [version, refused] of [
    ['4.2.24', true],
    ['4.4.0', false],
    ['8.2.0', false],
    ['10.0.0', false],
  ] as const) {
    const collection = { shardKey: ['region'] } as unknown as TargetCollection;
    const objections = await shardKeyCheck({ collection, version, warn: () => undefined })?.([candidate]);
    assert.is(objections?.has(candidate), refused, version);
  }
});

test.run();
