import * as assert from 'uvu/assert';
import { isForeign, recordedServer } from '../../src/ledger/runs.ts';
import type { ServerIdentity } from '../../src/target/target.ts';
import { test } from '../harness.ts';

const identity = (kind: ServerIdentity['kind'], id: string, exact = true): ServerIdentity => ({
  ...{ kind, id, exact, members: [], processId: 'p', version: '8.2.0' },
});
const set = (id: string) => ({ database: 'shop', identity: identity('replica set', id, id.includes('/')) });
const cluster = (id: string, exact = true) => ({
  database: 'shop',
  identity: identity('sharded cluster', id, exact),
});
const alone = (id: string) => ({ database: 'shop', identity: identity('standalone', id) });

type Place = ReturnType<typeof set>;
const PLACES: Readonly<Record<string, { written: Place; read: Place; foreign: boolean }>> = {
  'the same replica set': { written: set('rs0/1'), read: set('rs0/1'), foreign: false },
  'the same set under another name': { written: set('rs0/1'), read: set('rs1/1'), foreign: false },
  'another set of the same name': { written: set('rs0/1'), read: set('rs0/2'), foreign: true },
  'a set of the same name, read by a user who may not ask for its id': {
    ...{ written: set('rs0/1'), read: set('rs0'), foreign: false },
  },
  'a set of another name, read by such a user': { written: set('rs0/1'), read: set('rs1'), foreign: true },
  'a set of another name, written by such a user': { written: set('rs0'), read: set('rs1/1'), foreign: true },
  'another database of the same set': {
    ...{ written: { ...set('rs0/1'), database: 'shop_2' }, read: set('rs0/1'), foreign: true },
  },
  'a standalone that was started again': { written: alone('p1'), read: alone('p2'), foreign: false },
  'a standalone that became a replica set': { written: alone('p1'), read: set('rs0/1'), foreign: false },
  'a replica set, read in a standalone': { written: set('rs0/1'), read: alone('p1'), foreign: true },
  'the same cluster': { written: cluster('c1'), read: cluster('c1'), foreign: false },
  'another cluster': { written: cluster('c1'), read: cluster('c2'), foreign: true },
  'a cluster that hides its id': { written: cluster('c1'), read: cluster('p', false), foreign: false },
};

for (const [name, { written, read, foreign }] of Object.entries(PLACES)) {
  test(`a record is ${foreign ? '' : 'not '}foreign: ${name}`, () => {
    assert.is(isForeign({ server: recordedServer(written) }, read), foreign);
  });
}

test('a record of format 1 is not foreign', () => {
  assert.is(isForeign({ server: undefined }, set('rs0/1')), false);
});

test.run();
