/** Ways to get production written to before staging vouches for it. Each must be refused, with nothing written. */

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { deserialize, Long } from 'bson';
import type { Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { acceptAtHand } from '../../src/apply/accept.ts';
import { RUNS } from '../../src/ledger/layout.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { failure, numbered } from './documents.ts';
import {
  type Attempt,
  accept,
  applied,
  approve,
  approvedBy,
  COLLECTION,
  DOCUMENTS,
  stopAt,
  tryAll,
} from './gate-attempts.ts';
import { ACTOR, openWorkbench, type Workbench } from './workbench.ts';

let lab: Lab;

test.before(async () => {
  lab = await openLab();
});
test.after(() => lab.close());

/** Staging holds every `_id` already, each with other content. */
async function keptAll(bench: Workbench, selection: Selection): Promise<undefined> {
  const others = DOCUMENTS.map((_, _id) => ({ _id }) as never);
  await (await bench.db('staging')).collection('a').insertMany(others);
  await bench.apply(selection, 'staging');
}

const ATTEMPTS: Readonly<Record<string, Attempt>> = {
  'staging was never applied to': { prepare: async () => undefined, says: 'never applied to staging' },
  'staging stopped while documents were written': {
    prepare: async (bench, selection) => void (await stopAt(bench, selection, 'batch-written')),
    says: 'staging is applying',
  },
  'staging was written to but not read back': {
    prepare: async (bench, selection) => void (await stopAt(bench, selection, 'verified')),
    says: 'staging is applied',
  },
  'staging could not take a document': {
    prepare: async (bench, selection) => {
      const db = await bench.db('staging');
      await db.createCollection('a', { validator: { _id: { $ne: 7 } } });
      await bench.apply(selection, 'staging');
      return undefined;
    },
    says: 'staging is incomplete',
  },
  'staging was reverted': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await bench.revert(selection, 'staging');
      return undefined;
    },
    says: 'staging is reverted',
  },
  'staging is half reverted': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const checkpoint = async (name: string): Promise<void> => {
        if (name === 'batch-intended') throw new Error('crash');
      };
      await bench.revert(selection, 'staging', { checkpoint }).catch(() => undefined);
      return undefined;
    },
    says: 'staging is reverting',
  },
  'staging is reverted while the operator thinks': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { confirm: async () => void (await bench.revert(selection, 'staging')) };
    },
    says: 'staging is reverted',
  },
  'the plan selects other documents since': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { selection: bench.selection([{ ...COLLECTION, documents: numbered(0, 21) }]) };
    },
    says: 'another selection of this plan',
  },
  'the plan writes into another collection since': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { selection: bench.selection([{ ...COLLECTION, into: 'b' }]) };
    },
    says: 'another selection of this plan',
  },
  'the plan replaces since, where it kept before': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { selection: bench.selection([{ ...COLLECTION, whenMatched: 'replace' }]) };
    },
    says: 'another selection of this plan',
  },
  'a document is gone from staging again': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await (await bench.db('staging')).collection('a').deleteOne({ _id: 7 as never });
      return undefined;
    },
    says: '1 document of the selection is missing on staging (a {"$numberInt":"7"})',
  },
  'the collection is gone from staging': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await (await bench.db('staging')).collection('a').drop();
      return undefined;
    },
    says: '20 documents of the selection are missing on staging (a {"$numberInt":"0"},',
  },
  'a document is changed on staging, by the type of a number alone': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const db = await bench.db('staging');
      const found = await db.collection('a').findOneAndDelete({ _id: 7 as never });
      await db.collection('a').insertOne({ ...found, _id: new Long(7) as never });
      return undefined;
    },
    says: '1 document of the selection differs on staging (a {"$numberInt":"7"})',
  },
  'a document is changed on staging while the operator thinks': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const a = (await bench.db('staging')).collection('a');
      return { confirm: async () => void (await a.updateOne({ _id: 7 as never }, { $set: { text: 'x' } })) };
    },
    says: '1 document of the selection differs on staging (a {"$numberInt":"7"})',
  },
  'staging kept a document of other content': {
    prepare: async (bench, selection) => {
      await (await bench.db('staging')).collection('a').insertOne({ _id: 7 as never });
      await bench.apply(selection, 'staging');
      return undefined;
    },
    says: '1 document of the selection differs on staging (a {"$numberInt":"7"})',
  },
  'staging kept every document, which only the plan may accept': {
    prepare: keptAll,
    says: /^refused: no document of the selection is on staging with the backup's content \(20 kept\)[^;]*$/,
  },
  'staging kept a document, and the plan accepts what was kept where everything was': {
    plan: () => ({ gate: { acceptKept: true } }),
    prepare: async (bench, selection) => {
      await (await bench.db('staging')).collection('a').insertOne({ _id: 7 as never });
      await bench.apply(selection, 'staging');
      return undefined;
    },
    says: '1 document of the selection differs on staging (a {"$numberInt":"7"})',
  },
  'staging kept every document, as the plan accepts, and lost one': {
    plan: () => ({ gate: { acceptKept: true } }),
    prepare: async (bench, selection) => {
      await keptAll(bench, selection);
      await (await bench.db('staging')).collection('a').deleteOne({ _id: 7 as never });
      return undefined;
    },
    says: '1 document of the selection is missing on staging (a {"$numberInt":"7"})',
  },
  'the soak is not over': { plan: () => ({ gate: { soakMs: 60_000 } }), prepare: applied, says: 'soaked' },
  'nobody approved': { plan: () => approvedBy(1), prepare: applied, says: '0 of 1 approvals' },
  'the one who applied approved': {
    plan: () => approvedBy(1),
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await approve(bench, selection, 'anna');
      return undefined;
    },
    says: '0 of 1 approvals',
  },
  'one person approved twice': {
    plan: () => approvedBy(2),
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await approve(bench, selection, 'bert');
      await approve(bench, selection, 'bert');
      return undefined;
    },
    says: '1 of 2 approvals',
  },
  'approval was given before staging was written to once more': {
    plan: () => approvedBy(1),
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await approve(bench, selection, 'bert');
      await (await bench.db('staging')).collection('a').deleteOne({ _id: 7 as never });
      await bench.apply(selection, 'staging');
      return undefined;
    },
    says: '0 of 1 approvals',
  },
  'one server under two database names': {
    plan: () => ({ productionUri: lab.staging.uri, productionDatabase: lab.databaseName('gate-other') }),
    // Staging is refused for the same reason, which another test shows.
    prepare: async () => undefined,
    says: 'the same server',
  },
  'one server under two spellings': {
    plan: () => ({
      productionUri: lab.staging.uri.replace('127.0.0.1', 'localhost'),
      productionDatabase: lab.databaseName('gate-other'),
    }),
    // Refused for staging already, too.
    prepare: async () => undefined,
    says: 'the same server',
  },
  'the database given as staging is recorded as production': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const runs = (await bench.db('staging')).collection(RUNS);
      const [run] = await runs.find().toArray();
      const _id = { plan: bench.plan.name, selection: 'b'.repeat(64) };
      await runs.insertOne({ ...run, _id: _id as never, target: 'production' });
      return undefined;
    },
    says: 'recorded in its own ledger as production',
  },
  'the database given as production is recorded as staging': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const [run] = await (await bench.db('staging')).collection(RUNS).find().toArray();
      const production = await bench.db('production');
      const _id = { plan: bench.plan.name, selection: 'b'.repeat(64) };
      const { server: _, ...ofNoServer } = run as Document;
      await production.collection(RUNS).insertOne({ ...ofNoServer, _id: _id as never });
      return undefined;
    },
    says: 'recorded in its own ledger as staging',
  },
  'no staging is handed in': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { other: undefined };
    },
    says: 'staging was not given',
  },
  'production is handed in as its own staging': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { other: (await bench.target('production')).reader };
    },
    says: "not a connection to the plan's staging",
  },
  'another database is handed in as staging': {
    prepare: async (_bench, selection) => {
      const elsewhere = openWorkbench(lab);
      const twin = elsewhere.selection([COLLECTION]);
      await elsewhere.apply(twin, 'staging');
      assert.is(twin.manifest.digest, selection.manifest.digest);
      return { other: (await elsewhere.target('staging')).reader, end: () => elsewhere.close() };
    },
    says: "not a connection to the plan's staging",
  },
  'an object that answers like staging is handed in': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const { reader } = await bench.target('staging');
      return {
        other: Object.assign(Object.create(null), {
          name: 'staging',
          plan: reader.plan,
          find: async () => [],
        }),
      };
    },
    says: "not a connection to the plan's staging",
  },
  'production is connected to under the name of staging': {
    prepare: async (bench) => {
      const { production } = bench.plan.targets;
      const disguised = await connectTarget(QUIET, 'staging', production as NonNullable<typeof production>);
      return { target: disguised, other: undefined, end: () => disguised.close() };
    },
    says: 'not made from the plan',
  },
  'the selection was made from another version of the plan': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const manifest = { ...selection.manifest, planDigest: 'b'.repeat(64) };
      return { selection: { ...selection, manifest } };
    },
    says: 'another version of the plan',
  },
  'the manifest claims the digest that staging verified': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const other = bench.selection([{ ...COLLECTION, documents: numbered(0, 21) }]);
      const manifest = { ...other.manifest, digest: selection.manifest.digest };
      return { selection: { ...other, manifest } };
    },
    says: 'does not agree with its own digest',
  },
  'the selected documents were changed on the disk': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      const path = join(selection.directory, 'gravity', 'a.bson');
      const bytes = readFileSync(path);
      bytes[bytes.indexOf('backup')] = 'B'.charCodeAt(0);
      writeFileSync(path, bytes);
      return undefined;
    },
    says: 'the selection changed while staging was compared with it',
    code: 'VERIFICATION',
  },
  'the selected documents go from the disk while the operator thinks': {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      return { confirm: async () => rmSync(join(selection.directory, 'gravity', 'a.bson')) };
    },
    says: 'the selection changed while staging was compared with it',
    code: 'VERIFICATION',
  },
  "staging's record is of a newer version": {
    prepare: async (bench, selection) => {
      await bench.apply(selection, 'staging');
      await (await bench.db('staging')).collection(RUNS).updateOne({}, { $set: { format: 3 } });
      return undefined;
    },
    says: 'newer version',
    code: 'TARGET',
  },
  "staging's record was edited by hand": {
    prepare: async (bench, selection) => {
      await stopAt(bench, selection, 'batch-written');
      await (await bench.db('staging')).collection(RUNS).updateOne({}, { $set: { status: 'Verified!' } });
      return undefined;
    },
    says: 'damaged',
    code: 'TARGET',
  },
};

tryAll(() => lab, ATTEMPTS);

for (const [soakMs, left] of [
  [30_000, /soaked on staging for \d+ s of 30 s$/],
  [15 * 60_000, /of 15 min$/],
  [26 * 3_600_000 + 90_000, /of 26 h 1 min$/],
] as const) {
  test(`a soak of ${soakMs / 1000} s is told in units in which it can be seen to pass`, async () => {
    const bench = openWorkbench(lab, { gate: { soakMs } });
    const selection = bench.selection([COLLECTION]);
    await bench.apply(selection, 'staging');
    assert.match((await failure(bench.apply(selection, 'production'))).message, left);
    await bench.close();
  });
}

test('who applied several times is named once among those who cannot approve', async () => {
  const bench = openWorkbench(lab, approvedBy(1));
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'staging');
  const refusal = await failure(bench.apply(selection, 'production'));
  assert.is(refusal.hint, 'Somebody other than anna must run `approve()`.');
  await bench.close();
});

test('documents that somebody accepted on staging by name do not shut production, and the gate lists them', async () => {
  const bench = openWorkbench(lab);
  const selection = bench.selection([COLLECTION]);
  const a = (await bench.db('staging')).collection('a');
  await a.insertOne({ _id: 7 as never });
  await bench.apply(selection, 'staging');
  await a.deleteOne({ _id: 8 as never });
  await accept(bench, selection, [7]);
  const refusal = await failure(bench.apply(selection, 'production'));
  assert.match(
    refusal.message,
    /^refused: 1 document of the selection is missing on staging \(a \{"\$numberInt":"8"\}\)$/,
  );
  await accept(bench, selection, [7, 8]);
  await bench.apply(selection, 'production');
  const opened = bench.events.find(({ type }) => type === 'gate-opened');
  assert.match(
    JSON.stringify(opened),
    'staging holds 18 documents byte for byte, and 2 are accepted by name: 2 of a (different: looked at)',
  );
  await bench.close();
});

test('the plan’s word opens production where staging kept every document, and the gate says so', async () => {
  const bench = openWorkbench(lab, { gate: { acceptKept: true } });
  const selection = bench.selection([COLLECTION]);
  await keptAll(bench, selection);
  await bench.apply(selection, 'production');
  const opened = bench.events.find(({ type }) => type === 'gate-opened');
  assert.match(
    JSON.stringify(opened),
    /no document is there with the backup's content, .* \(gate\.acceptKept\)/,
  );
  await bench.expectRestored('production', selection, { a: DOCUMENTS });
  await bench.close();
});

test('documents that staging held already are as good as restored ones', async () => {
  const bench = openWorkbench(lab);
  const selection = bench.selection([COLLECTION]);
  const raw = DOCUMENTS.map((document) => deserialize(document, { promoteValues: false }));
  await (await bench.db('staging')).collection('a').insertMany(raw as never);
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'production');
  assert.match(JSON.stringify(bench.events), 'staging holds every document byte for byte');
  await bench.expectRestored('production', selection, { a: DOCUMENTS });
  await bench.close();
});

for (const [name, stricter, says] of [
  ['soak', { soakMs: 60_000 }, /soaked on staging for \d+ s of 1 min, as the plan made-by-test asked/],
  ['approvals', { approvals: 1 }, /0 of 1 approvals are given, as the plan made-by-test asked/],
] as const) {
  test(`lowering ${name} in the plan opens nothing until staging is applied to by that plan`, async () => {
    const strict = openWorkbench(lab, { gate: stricter });
    const lax = openWorkbench(lab, { database: strict.plan.targets.staging.database });
    const selection = lax.selection([COLLECTION]);
    await strict.apply(selection, 'staging');
    const refusal = await failure(lax.apply(selection, 'production'));
    assert.match(refusal.message, says);
    assert.match(refusal.hint ?? '', "Or run `apply('staging')` again");
    await lax.apply(selection, 'staging');
    await lax.apply(selection, 'production');
    await lax.expectRestored('production', selection, { a: DOCUMENTS });
    await lax.close();
    await strict.close();
  });
}

test('another plan of the same selection opens nothing that a stricter one asked later', async () => {
  const lax = openWorkbench(lab);
  const strict = openWorkbench(lab, {
    database: lax.plan.targets.staging.database,
    gate: { soakMs: 60_000 },
  });
  const selection = lax.selection([COLLECTION]);
  await lax.apply(selection, 'staging');
  await strict.apply(selection, 'staging', { plan: { ...strict.plan, name: 'the-strict-one' } });
  const refusal = await failure(lax.apply(selection, 'production'));
  assert.match(refusal.message, /of 1 min, as the plan the-strict-one asked/);
  await lax.apply(selection, 'staging');
  await lax.apply(selection, 'production');
  await lax.close();
  await strict.close();
});

test('what is accepted for a plan of fewer rules makes no newer apply of it', async () => {
  const lax = openWorkbench(lab);
  const plan = { ...lax.plan, name: 'the-lax-one' };
  const strict = openWorkbench(lab, {
    database: lax.plan.targets.staging.database,
    gate: { soakMs: 60_000 },
  });
  const selection = lax.selection([COLLECTION]);
  await lax.apply(selection, 'staging', { plan });
  await strict.apply(selection, 'staging');
  const a = (await lax.db('staging')).collection('a');
  const [before] = await a.find({ _id: 7 as never }).toArray();
  await a.updateOne({ _id: 7 as never }, { $set: { text: 'another' } });
  const target = await lax.target('staging');
  const { accepted } = await acceptAtHand(QUIET, {
    ...{ plan, selection, target, actor: ACTOR, reason: 'looked at', show: 1 },
    confirm: async () => undefined,
  });
  await a.replaceOne({ _id: 7 as never }, before as Document);
  const [first] = await lax.runs('staging');
  assert.equal([accepted, first?.key.plan], [1, 'the-lax-one'], 'its record was written last');
  const refusal = await failure(lax.apply(selection, 'production'));
  assert.match(refusal.message, /of 1 min, as the plan made-by-test asked/);
  await lax.apply(selection, 'staging', { plan });
  await lax.apply(selection, 'production');
  await lax.close();
  await strict.close();
});

test('times in the ledger that no calendar has, or that are still to come, end in a verdict', async () => {
  const bench = openWorkbench(lab);
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  const runs = (await bench.db('staging')).collection(RUNS);
  const LAST = 8.64e15;
  for (const [verifiedAt, soakMs] of [
    [LAST, 60_000],
    [Date.now(), Number.MAX_SAFE_INTEGER],
  ] as const) {
    await runs.updateOne({}, { $set: { verifiedAt: new Date(verifiedAt), 'gate.soakMs': soakMs } });
    const refusal = await failure(bench.apply(selection, 'production'));
    assert.is(refusal.code, 'GATE');
    assert.match(refusal.hint ?? '', 'Wait until a year that no calendar has.');
  }
  // The primary before this one had a clock ahead of it, and nobody asked for a soak.
  const ahead = new Date(Date.now() + 60_000);
  await runs.updateOne({}, { $set: { verifiedAt: ahead, 'gate.soakMs': 0 } });
  await bench.apply(selection, 'production');
  await bench.close();
});

test('production opens after soak and approval by somebody else', async () => {
  const bench = openWorkbench(lab, { gate: { ...approvedBy(1).gate, soakMs: 1 } });
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  await approve(bench, selection, 'bert');
  await bench.apply(selection, 'production');
  await bench.expectRestored('production', selection, { a: DOCUMENTS });
  await bench.close();
});

test('staging is refused when it is the server of production, or recorded as production', async () => {
  const same = openWorkbench(lab, { productionUri: lab.staging.uri });
  const refusal = await failure(same.apply(same.selection([COLLECTION]), 'staging'));
  assert.is(refusal.code, 'GATE');
  assert.equal(await same.documents('staging', 'a'), []);
  await same.close();

  const bench = openWorkbench(lab);
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  await bench.apply(selection, 'production');
  const swapped = openWorkbench(lab, {
    stagingUri: lab.production.uri,
    productionUri: lab.staging.uri,
    database: bench.plan.targets.staging.database,
  });
  const again = await failure(swapped.apply(swapped.selection([COLLECTION]), 'staging'));
  assert.is(again.code, 'GATE');
  assert.match(again.message, 'recorded in its own ledger as production');
  await swapped.close();
  await bench.close();
});

test.run();
