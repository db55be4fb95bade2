/** Documents by a file of ids: what is read, what is refused at its line, and what is said of ids that are not there. */
import { createHash } from 'node:crypto';
import { ObjectId } from 'bson';
import * as assert from 'uvu/assert';
import { readPlan } from '../../src/plan/read-plan.ts';
import { test } from '../harness.ts';
import { PlanFolder } from '../plan/plan-folder.ts';
import { chunkedBackup, memberOf } from './chunked-backup.ts';
import { idsOf, refusal, selectingAnew } from './selecting.ts';

const { select } = selectingAnew(test);
let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

async function planOf(ids: string, more = 'ids: ./ids.txt') {
  folder.write('ids.txt', ids);
  folder.write(
    'plan.yaml',
    `version: 1
name: test
source: { database: gravity, path: ./dump }
collections: [{ collection: artworks, ${more} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`,
  );
  return folder.plan('plan.yaml');
}

const A = new ObjectId('57d17993a09a6759d8000d9e');
const B = new ObjectId('57d17993a09a6759d8000d9f');
const backup = () =>
  chunkedBackup({
    access: 'random',
    members: [
      memberOf('artworks', [
        { _id: A, state: 'sold' },
        { _id: B, state: 'draft' },
        { _id: 'text', state: 'sold' },
        { _id: 5, state: 'sold' },
        { _id: new ObjectId(), state: 'sold' },
        { _id: '57d17993a09a6759d8000da0', state: 'sold' },
      ]),
    ],
  });

test('hex, Extended JSON, and what mongosh and mongoexport print are ids', async () => {
  const lines = [
    '# deleted on Monday',
    A.toHexString(),
    '',
    `  ObjectId('${B.toHexString()}'),`,
    '{"_id":"text"}\r',
    '5',
  ];
  const selection = await select(await planOf(lines.join('\n')), backup());
  assert.equal(await idsOf(selection, 'artworks'), [A, B, 'text', 5]);
  assert.equal(selection.manifest.warnings.slice(1), []);
});

test('ids that the backup lacks, holds in another type, repeat or that the query leaves out are counted and named', async () => {
  const lines = [A, B, '57d17993a09a6759d8000da0', '57d17993a09a6759d8000da1', A].map(String);
  const plan = await planOf(lines.join('\n'), 'ids: ./ids.txt, query: { state: sold }');
  const selection = await select(plan, backup());
  assert.equal(await idsOf(selection, 'artworks'), [A]);
  const said = selection.manifest.warnings.join('\n');
  assert.match(
    said,
    /2 of 4 _ids of \.\/ids\.txt are not in the backup .*d8000da0"\} \(line 3\), .*d8000da1"\} \(line 4\)/,
  );
  assert.match(said, /of 1 of 4 _ids of \.\/ids\.txt the query is not true .*d8000d9f"\} \(line 2\)/);
  assert.match(said, /repeats ids in 1 line, first in line 5; each counts once/);
  const remedy = /write them in the file with their type: ("\w+")/.exec(said)?.[1] as string;
  assert.equal(await idsOf(await select(await planOf(remedy), backup()), 'artworks'), [
    '57d17993a09a6759d8000da0',
  ]);
});

test('a list of which the backup holds nothing is refused like a query that matches nothing', async () => {
  const { code } = await refusal(select(await planOf('57d17993a09a6759d8000da1'), backup()));
  assert.is(code, 'BACKUP');
});

test('what the file says is in the digest, and comments are not', async () => {
  const digest = async (text: string) => (await planOf(text)).digest;
  const one = await digest(`${A}\n`);
  assert.is(await digest(`# reviewed\n\n${A}\n${A}`), one);
  assert.is.not(await digest(`${B}\n`), one);
  assert.is.not(await digest(`"${A}"\n`), one);
});

test('lines that are no ids are refused at their place, and nothing of them is shown', async () => {
  await planOf(`${A}`);
  folder.write('ids.txt', `${A}\nroot:x:0:0\n[1]\n57d1\n`);
  const { faults = [] } = await readPlan(`${folder.path}/plan.yaml`, { env: {} });
  assert.equal(
    faults.map(({ file, line, message }) => `${file}:${line} ${message}`),
    ['./ids.txt:2 this is no id', './ids.txt:3 a value that no _id has', './ids.txt:4 this is no id'],
  );
  assert.not.match(JSON.stringify(faults), 'root:x');
  for (const [name, words] of [
    ['./none.txt', 'there is no such file'],
    ['/etc/passwd', 'a file of another kind'],
    ['./empty.txt', 'holds no id'],
    [`"\${X}.txt"`, 'holds a variable'],
  ] as const) {
    folder.write('empty.txt', '# nothing\n');
    folder.write(
      'plan.yaml',
      `version: 1
name: test
source: { database: gravity, path: ./dump }
collections: [{ collection: artworks, ids: ${name} }]
targets: { staging: { uri: "mongodb://localhost", database: staging } }
`,
    );
    const reading = await readPlan(`${folder.path}/plan.yaml`, { env: { X: './ids' } });
    const texts = (reading.faults ?? []).map(({ message, line }) => `${line} ${message}`).join();
    assert.match(texts, words);
  }
});

test('200,000 ids are read and looked up, each found', async () => {
  const hex = (i: number) => createHash('sha1').update(String(i)).digest('hex').slice(0, 24);
  const ids = Array.from({ length: 200_000 }, (_, i) => hex(i));
  const plan = await planOf(ids.join('\n'));
  assert.is(plan.collections[0]?.ids?.count, 200_000);
  const documents = ids.slice(0, 50_000).map((id) => ({ _id: new ObjectId(id) }));
  const others = Array.from({ length: 50_000 }, () => ({ _id: new ObjectId() }));
  const members = [memberOf('artworks', [...documents, ...others])];
  const { manifest } = await select(plan, chunkedBackup({ access: 'random', members }));
  assert.is(manifest.collections[0]?.count, 50_000);
  assert.match(manifest.warnings.join('\n'), '150000 of 200000 _ids');
});

test.run();
