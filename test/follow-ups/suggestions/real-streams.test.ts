/** Forgotten dependents in streams as mongodump and tar make them. */

import { join } from 'node:path';
import { ObjectId } from 'mongodb';
import * as assert from 'uvu/assert';
import { openBackup } from '../../../src/backup/open-backup.ts';
import { PassingCollections } from '../../../src/follow-ups/suggestions/passing-collections.ts';
import { suggestFollowUps } from '../../../src/follow-ups/suggestions/suggest.ts';
import { suggestionText } from '../../../src/follow-ups/suggestions/suggestion.ts';
import { onDisk } from '../../backup/reading.ts';
import { test } from '../../harness.ts';
import { temporaryFolder } from '../../lab/guard.ts';
import { type Lab, openLab } from '../../lab/lab.ts';
import { mongodump, program } from '../../lab/tools.ts';
import { QUIET } from '../../quiet-run.ts';
import { planOf } from '../../selection/plans.ts';
import { select } from '../../selection/selecting.ts';

let lab: Lab;
let database: string;
const folder = temporaryFolder('streams');
const at = (path: string): string => join(folder.path, path);

test.before(async () => {
  lab = await openLab();
  database = lab.databaseName('shop');
  const db = lab.production.client.db(database);
  const customers = Array.from({ length: 300 }, (_, n) => ({ _id: new ObjectId(), lost: n < 20 }));
  await db.collection('customers').insertMany(customers);
  const orders = customers.flatMap(({ _id }) =>
    [1, 2, 3].map((n) => ({ n, customerId: _id, text: 'x'.repeat(900) })),
  );
  await db.collection('orders').insertMany(orders);
  await db.collection('accounts').insertMany(customers.map(({ _id }) => ({ customerId: _id })));
  await mongodump(lab.production.uri, ['--db', database, '--out', at('dump')]);
  await mongodump(lab.production.uri, [
    ...['--db', database, '--numParallelCollections', '1', `--archive=${at('shop.archive.gz')}`, '--gzip'],
  ]);
  const members = ['accounts', 'customers', 'orders'].flatMap((name) => [
    `${database}/${name}.metadata.json`,
    `${database}/${name}.bson`,
  ]);
  await program('tar', ['-czf', at('shop.tar.gz'), '-C', at('dump'), ...members]);
});
test.after(async () => {
  folder.remove();
  await lab.close();
});

async function suggestionsOf(path: string): Promise<string[]> {
  const plan = planOf({ collection: 'customers', query: { lost: true } });
  const source = onDisk(at(path), { database });
  const backup = await openBackup(QUIET, source, { wanted: new Set(['customers']) });
  try {
    const passed = new PassingCollections();
    const selection = await select(plan, { backup, folder: at(`work ${path}`), onlooker: passed });
    return (await suggestFollowUps(QUIET, { plan, selection, backup, passed })).map(suggestionText);
  } finally {
    await backup.close();
  }
}

const ORDERS = 'orders.customerId: 60 documents refer to the selection (customers); not in this plan';

test('in a .tar.gz the collections after the parents are counted, and those before are named', async () => {
  assert.equal(await suggestionsOf('shop.tar.gz'), [
    ORDERS,
    'not looked for references to the selection in accounts: in this backup they come before customers, so that it was not known yet what they may refer to',
  ]);
});

test('in an archive every other collection is either counted or named', async () => {
  const found = await suggestionsOf('shop.archive.gz');
  for (const [collection, count] of [
    ['orders', 60],
    ['accounts', 20],
  ] as const) {
    const counted = `${collection}.customerId: ${count} documents refer to the selection (customers); not in this plan`;
    const isNamed = found.some((text) => text.startsWith('not looked') && text.includes(collection));
    assert.ok(found.includes(counted) !== isNamed, `${collection}: ${found.join('\n')}`);
  }
});

test.run();
