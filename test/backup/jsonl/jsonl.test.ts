/** Extended JSON as a source: what the real mongoexport writes, in every form, and what is no such text. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { Double, Int32, Long, serialize } from 'bson';
import fc from 'fast-check';
import * as assert from 'uvu/assert';
import { JsonFramer } from '../../../src/backup/jsonl/jsonl-backup.ts';
import type { Source } from '../../../src/plan/plan.ts';
import { test } from '../../harness.ts';
import { artMarket, fillArtMarket } from '../../lab/art-market.ts';
import { type TemporaryFolder, temporaryFolder } from '../../lab/guard.ts';
import { type Lab, openLab } from '../../lab/lab.ts';
import { mongodump, mongoTool } from '../../lab/tools.ts';
import { inBucket, readBackup, refusal, sourceAt, useCredentials } from '../reading.ts';

let lab: Lab;
let folder: TemporaryFolder;
let database: string;
const WANTED = ['artworks', 'sales'];

const at = (path: string): string => join(folder.path, path);

function jsonlOnDisk(path: string, more: Partial<Source> = {}): Source {
  const from = { kind: 'path', path: at(path), timezone: 'UTC' } as const;
  return sourceAt({ kind: 'jsonl', from }, { database, ...more });
}

test.before(async () => {
  lab = await openLab();
  folder = temporaryFolder('jsonl');
  useCredentials(lab.s3);
  const db = lab.database('gravity');
  database = db.databaseName;
  await fillArtMarket(db, artMarket({ artworks: 200 }));
  await mongodump(lab.staging.uri, ['--db', database, '--out', at('dump')]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

const dumped = (name: string): Buffer => readFileSync(at(`dump/${database}/${name}.bson`));

async function exportTo(pattern: string, args: readonly string[] = []): Promise<void> {
  for (const name of WANTED) {
    const out = at(pattern.replace('{collection}', name));
    mkdirSync(dirname(out), { recursive: true });
    const what = ['--db', database, '--collection', name, '--out', out, '--jsonFormat=canonical'];
    await mongoTool('mongoexport', ['--uri', lab.staging.uri, ...what, ...args]);
  }
}

async function assertSame(source: Source): Promise<void> {
  const { documents, kind } = await readBackup(source, WANTED);
  assert.is(kind, 'Extended JSON');
  for (const name of WANTED) assert.ok(documents.get(name)?.equals(dumped(name)), `${name} has other bytes`);
}

for (const [form, args] of [
  ['lines', []],
  ['array', ['--jsonArray']],
  ['pretty', ['--pretty']],
  ['pretty-array', ['--jsonArray', '--pretty']],
] as const) {
  test(`mongoexport ${args.join(' ')} gives the bytes that mongodump gives`, async () => {
    await exportTo(`${form}/{collection}.json`, args);
    await assertSame(jsonlOnDisk(`${form}/{collection}.json`));
  });
}

test('gzipped and in a bucket', async () => {
  await exportTo('lines/{collection}.json');
  const bucket = await lab.bucket('jsonl');
  for (const name of WANTED) {
    const packed = gzipSync(readFileSync(at(`lines/${name}.json`)));
    await bucket.put(`exports/${name}.jsonl.gz`, packed);
  }
  const { location: from } = inBucket(lab.s3, bucket, 'exports/{collection}.jsonl.gz');
  if (from.kind !== 's3') throw new Error('not in a bucket');
  await assertSame(sourceAt({ kind: 'jsonl', from }, { database }));
});

test('the newest at or before the moment that has a file for every collection', async () => {
  for (const day of ['2016-09-11', '2016-09-12', '2016-09-14']) await exportTo(`${day}/{collection}.json`);
  mkdirSync(at('2016-09-13'));
  writeFileSync(at('2016-09-13/artworks.json'), '');
  const text = '2016-09-13T12:00:00Z';
  const source = jsonlOnDisk('{time:yyyy-MM-dd}/{collection}.json', {
    at: { epochMs: Date.parse(text), text },
  });
  const { events } = await readBackup(source, WANTED);
  const located = events.find((event) => event.type === 'backup-located');
  assert.match(located?.location ?? '', /2016-09-12\/\{collection\}\.json/);
  assert.is(located?.time, Date.parse('2016-09-12T00:00:00Z'));
  assert.match(JSON.stringify(events), /2016-09-13\/artworks\.json was passed over: it does not hold sales/);
});

test('relaxed numbers become what the text says: int32, int64 or double', async () => {
  writeFileSync(
    at('relaxed.jsonl'),
    '{"_id":1,"a":1.0,"b":5000000000,"c":{"$date":"2016-09-13T12:00:00Z"}}\n',
  );
  const { documents } = await readBackup(jsonlOnDisk('relaxed.jsonl'), ['artworks']);
  const typed = {
    _id: new Int32(1),
    a: new Double(1),
    b: Long.fromNumber(5e9),
    c: new Date('2016-09-13T12:00:00Z'),
  };
  assert.equal(documents.get('artworks'), Buffer.from(serialize(typed)));
});

test('an integer without its type is reported, with its place; what says its type or can have one only is not', async () => {
  const summaryOf = async (text: string) => {
    writeFileSync(at('types.jsonl'), text);
    const { summary } = await readBackup(jsonlOnDisk('types.jsonl'), ['artworks']);
    return { relaxed: summary.relaxed, warnings: summary.warnings.join('\n') };
  };
  const exact = [
    '{"_id":{"$oid":"57d17993a09a6759d8000d9e"},"n":{"$numberInt":"1"},"d":{"$date":{"$numberLong":"1"}}}',
    '{"_id":{"$oid":"57d17993a09a6759d8000d9e"},"t":{"$timestamp":{"t":1,"i":2}},"k":{"$minKey":1},"x":1.5}',
    '{"_id":"a","d":{"$date":"2016-09-13T12:00:00Z"},"e":{"$date":1473771600000}}',
  ];
  assert.is((await summaryOf(exact.join('\n'))).relaxed, false);
  for (const value of ['5', '-1', '[1.5,{"b":0}]', '5000000000', '9007199254740993']) {
    const { relaxed, warnings } = await summaryOf(`${exact[0]}\n{"_id":"a","n":${value}}`);
    assert.is(relaxed, true, value);
    assert.match(warnings, /relaxed export; int64 and double may have been lost \(first at document 2, n/);
  }
});

for (const [name, text, words] of [
  ['cut in a document', '{"_id":1}\n{"_id":', /is cut off in the middle of a document/],
  ['cut in an array', '[{"_id":1},{"_id":2}', /is cut off: its array is not closed/],
  ['no JSON', '{"_id":1}\n{_id:2}\n', /broken\.jsonl: document 2: /],
  ['a stray word', '{"_id":1} nonsense', /there is something that is no document \(byte 10\)/],
  ['no comma', '[{"_id":1}{"_id":2}]', /has a document where none may be/],
  ['a comma and no more', '[{"_id":1},]', /there is something that is no document \(byte 11\)/],
  ['more behind the array', '[{"_id":1}]{"_id":2}', /has a document where none may be/],
  ['CSV', '_id,title\n1,x\n', /there is something that is no document \(byte 0\)/],
  ['no UTF-8', Buffer.from([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d]), /document 1: is not valid UTF-8/],
  ['a wrong type', '{"_id":{"$oid":"zz"}}', /document 1: .* at _id/],
] as const) {
  test(`${name}: refused`, async () => {
    writeFileSync(at('broken.jsonl'), text);
    await refusal(readBackup(jsonlOnDisk('broken.jsonl'), ['artworks']), words);
  });
}

test('a file that is not there: refused, naming it', async () => {
  await refusal(
    readBackup(jsonlOnDisk('nowhere/{collection}.json'), WANTED),
    /nowhere\/artworks\.json does not exist/,
  );
});

test('framing does not depend on how the text is cut into chunks', () => {
  const texts = fc.array(
    fc.json({ maxDepth: 3 }).map((value) => `{"v":${value}}`),
    { maxLength: 5 },
  );
  fc.assert(
    fc.property(texts, fc.integer({ min: 1, max: 7 }), fc.boolean(), (documents, size, isArray) => {
      const text = Buffer.from(`\ufeff${isArray ? `[${documents.join(', ')}]\n` : documents.join('\n')}`);
      const framer = new JsonFramer();
      const found: string[] = [];
      for (let i = 0; i < text.length; i += size) {
        for (const one of framer.push(text.subarray(i, i + size))) found.push(one.toString());
      }
      framer.finish();
      assert.equal(found, documents);
    }),
    { seed: 1 },
  );
});

test.run();
