import * as assert from 'uvu/assert';
import { documentValue } from '../../src/bson/diff-documents.ts';
import { parseExtendedJson } from '../../src/bson/parse-extended-json.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { classifyPair } from '../../src/comparison/pair.ts';
import { test } from '../harness.ts';

const document = (text: string): RawValue => documentValue(writeExtendedJson(parseExtendedJson(text)));
const BACKUP = document('{"_id":1,"at":{"$date":"2016-09-12T10:00:00Z"}}');
const NEWER = document('{"_id":1,"at":{"$date":"2016-09-13T11:00:00Z"}}');

test('a stale document names both dates, unless the plan masks them', () => {
  const rules = { isSoftDeleted: undefined, updatedAt: 'at' };
  assert.is(
    classifyPair(BACKUP, NEWER, { ...rules, hidesUpdatedAt: false }).reason,
    'at is newer in the target: 2016-09-13T11:00:00Z there, 2016-09-12T10:00:00Z in the backup',
  );
  assert.is(
    classifyPair(BACKUP, NEWER, { ...rules, hidesUpdatedAt: true }).reason,
    'at is newer in the target',
  );
});

test.run();
