/** Regular expressions that would be at work for ever: the selection ends, and says where. */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { mayBacktrack } from '../../src/query/regex/regex-test.ts';
import { test } from '../harness.ts';
import { bson, chunkedBackup, memberOf } from './chunked-backup.ts';
import { planOf } from './plans.ts';
import { idsOf, refusal, selectingAnew } from './selecting.ts';

const selecting = selectingAnew(test);

/** Each of the 40 letters may belong to any round of the outer repetition: 2^39 ways to find that `!` is not among them. */
const ENDLESS = { $regex: '^(a+)+$' };
const TRAP = `${'a'.repeat(40)}!`;

test('a pattern without an end is a fault of the plan, and names the document', async () => {
  const backup = chunkedBackup({
    access: 'random',
    members: [
      memberOf(
        'artworks',
        ['aaa', 'b', TRAP, 'aa'].map((name, _id) => ({ _id, name })),
      ),
    ],
  });
  const plan = planOf({ collection: 'artworks', query: { name: ENDLESS } });
  const error = await refusal(selecting.select(plan, backup, { patternMs: 300 }));
  assert.is(error.code, 'PLAN_INVALID');
  assert.match(
    error.message,
    /no answer for document 3 of .*artworks\.bson: its regular expression was still at work/,
  );
  assert.match(error.hint ?? '', /share out the same text/);
  assert.is(error.facts['document'], 3);
  assert.equal(readdirSync(join(selecting.workDirectory, 'selections')), []);
});

test('so it is where the document was put off until its parents were known', async () => {
  const backup = chunkedBackup({
    access: 'sequential',
    members: [
      memberOf(
        'lots',
        [TRAP, 'aa'].map((name, _id) => ({ _id, artwork_id: 7, name })),
      ),
      memberOf('artworks', [{ _id: 7 }]),
    ],
  });
  const dependents = [{ collection: 'lots', foreignKey: 'artwork_id', query: { name: ENDLESS } }];
  const plan = planOf({ collection: 'artworks', query: {}, dependents });
  const error = await refusal(selecting.select(plan, backup, { patternMs: 300 }));
  assert.is(error.code, 'PLAN_INVALID');
  assert.is(error.facts['document'], 1);
  assert.is(error.facts['collection'], 'lots');
});

/** Small chunks, which are gathered, and now and then a large one, which is not. */
function unevenLengths(): () => number {
  let chunks = 0;
  return () => (++chunks % 40 === 0 ? 700_000 : 20_000);
}

test('where the text lets it come to an end, it selects as any other', async () => {
  const documents = Array.from({ length: 60_000 }, (_, _id) => ({
    _id,
    name: `${'a'.repeat(_id % 7)}${_id % 3 === 0 ? '' : '!'}`,
  }));
  const backup = chunkedBackup({
    access: 'random',
    members: [memberOf('artworks', documents)],
    nextLength: unevenLengths(),
  });
  const plan = planOf({ collection: 'artworks', query: { name: ENDLESS } });
  const selection = await selecting.select(plan, backup);
  const expected = documents.filter(({ name }) => /^a+$/.test(name)).map(({ _id }) => _id);
  assert.equal(await idsOf(selection, 'artworks'), expected);
});

test('a damaged document is named as with any other query', async () => {
  const { bytes } = memberOf(
    'artworks',
    Array.from({ length: 60_000 }, (_, _id) => ({ _id, name: 'aa' })),
  );
  const size = bytes.length / 60_000;
  bytes[50_000 * size - 1] = 1;
  const backup = chunkedBackup({
    access: 'random',
    members: [{ collection: 'artworks', bytes }],
    nextLength: unevenLengths(),
  });
  const plan = planOf({ collection: 'artworks', query: { name: ENDLESS } });
  const { code, facts } = await refusal(selecting.select(plan, backup));
  assert.is(code, 'BACKUP');
  assert.is(facts['document'], 50_000);
  assert.ok((facts['offset'] as number) >= 49_999 * size && (facts['offset'] as number) < 50_000 * size);
});

test('patterns with a repetition or a choice are watched, wherever they stand', () => {
  for (const query of [
    { name: ENDLESS },
    { name: /x.*y.*z/ },
    { $or: [{ a: 1 }, { name: { $not: { $regex: 'a{2,}b*' } } }] },
    { tags: { $elemMatch: { $in: [/(x+)*/] } } },
    { $jsonSchema: { properties: { name: { pattern: '(a*)*' } } } },
    { $jsonSchema: { patternProperties: { '(a*)*': {} } } },
    { name: /\s+$/ },
    { name: /^(a?){40}b/ },
    { name: /^(a|aa){40}$/ },
    { name: { $regex: 'a{2,3}b{4}c+' } },
  ])
    assert.is(mayBacktrack(bson(query)), true, JSON.stringify(query));
  for (const query of [
    {},
    { name: /^abc.[de]$/i },
    { name: 'a+*' },
    { state: { $in: ['a*', 'b*'] } },
    { name: { $regex: '^abc' } },
  ])
    assert.is(mayBacktrack(bson(query)), false, JSON.stringify(query));
});

test.run();
