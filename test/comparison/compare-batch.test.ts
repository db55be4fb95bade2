import * as assert from 'uvu/assert';
import { documentValue } from '../../src/bson/diff-documents.ts';
import { parseExtendedJson } from '../../src/bson/extended-json.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { classifyPair } from '../../src/comparison/compare-batch.ts';
import { test } from '../harness.ts';

const document = (text: string): RawValue => documentValue(writeExtendedJson(parseExtendedJson(text)));
const BACKUP = document('{"_id":1,"at":{"$date":"2016-09-12T10:00:00Z"}}');
const NEWER = document('{"_id":1,"at":{"$date":"2016-09-13T11:00:00Z"}}');

test('a stale document names both dates, unless the plan masks them', () => {
  const rules = { isSoftDeleted: undefined, updatedAt: 'at' };
  const shown = classifyPair(BACKUP, NEWER, { ...rules, hidesUpdatedAt: false });
  assert.is(shown.reason, 'at is newer in the target');
  assert.is(shown.reasonValues, '2016-09-13T11:00:00Z there, 2016-09-12T10:00:00Z in the backup');
  const hidden = classifyPair(BACKUP, NEWER, { ...rules, hidesUpdatedAt: true });
  assert.is(hidden.reason, 'at is newer in the target');
  assert.is(hidden.reasonValues, undefined);
});

test.run();
