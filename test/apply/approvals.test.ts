/** Who approves, and what: with a database user for each person, with one for all, and with none. */

import { userInfo } from 'node:os';
import * as assert from 'uvu/assert';
import { acceptAtHand, approveRun } from '../../src/apply/accept.ts';
import { RUNS } from '../../src/ledger/layout.ts';
import type { FollowUpPlan, Plan } from '../../src/plan/plan.ts';
import { operator } from '../../src/run.ts';
import type { Selection } from '../../src/selection/selection.ts';
import type { ServerIdentity } from '../../src/target/target.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { startStandalone } from '../lab/mongod.ts';
import { QUIET } from '../quiet-run.ts';
import { failure } from './documents.ts';
import { accept, approvedBy, COLLECTION } from './gate-attempts.ts';
import type { MadePlanOptions } from './made-selection.ts';
import { openWorkbench, type Servers, type Workbench } from './workbench.ts';

let lab: Lab;
const PEOPLE = ['anna', 'bert', 'Bert'] as const;
type Person = (typeof PEOPLE)[number];

test.before(async () => {
  lab = await openLab();
  for (const user of PEOPLE) {
    await lab.staging.client
      .db('admin')
      .command({ createUser: user, pwd: 'of-the-lab', roles: [{ role: 'root', db: 'admin' }] });
  }
});
test.after(async () => {
  for (const user of PEOPLE) await lab.staging.client.db('admin').command({ dropUser: user });
  await lab.close();
});

const uriOf = (person: Person): string => lab.staging.uri.replace(/\/\/[^@]*@/, `//${person}:of-the-lab@`);

interface People {
  readonly anna: Workbench;
  readonly bert: Workbench;
  readonly selection: Selection;
}

/** Anna has applied a selection to staging; Bert looks at the same database with his own login. */
async function withPeople(
  gate: MadePlanOptions['gate'],
  body: (people: People) => Promise<void>,
  bertIs: Person = 'bert',
): Promise<void> {
  const anna = openWorkbench(lab, { stagingUri: uriOf('anna'), gate: gate ?? {} });
  const { database } = anna.plan.targets.staging;
  const bert = openWorkbench(lab, { stagingUri: uriOf(bertIs), database, gate: gate ?? {} });
  try {
    const selection = anna.selection([COLLECTION]);
    await anna.apply(selection, 'staging');
    await body({ anna, bert, selection });
  } finally {
    await anna.close();
    await bert.close();
  }
}

const approveAs = async (bench: Workbench, user: string, plan: Plan = bench.plan) =>
  approveRun({ plan, target: await bench.target('staging'), actor: { user, host: 'ops-2' } });

test('an approval names who the server authenticated, and the gate says so', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    assert.match((await failure(anna.apply(selection, 'production'))).message, '0 of 1 approvals are given');
    // Two people at one machine's account: the server tells them apart.
    const { given } = await approveAs(bert, 'anna');
    assert.equal(given, ['bert@admin']);
    await anna.apply(selection, 'production');
    const said = JSON.stringify(anna.events);
    assert.match(said, 'approved by bert@admin, as the server authenticated them');
    const [run] = await anna.runs('staging');
    assert.is(run?.appliedBy[0]?.serverUser, 'anna@admin');
    assert.is(run?.approvals[0]?.of?.database, anna.plan.targets.production?.database);
  });
});

test('one database user for several people is nobody’s approval: both ways out are said', async () => {
  await withPeople(
    { approvals: 1 },
    async ({ anna, bert, selection }) => {
      const refusal = await failure(approveAs(bert, 'bert'));
      assert.is(refusal.code, 'GATE');
      assert.match(refusal.message, 'bert is anna@admin to the server, as is anna');
      assert.match(refusal.hint ?? '', 'a database user of their own');
      assert.match(refusal.hint ?? '', 'approvalsBy: os-user');
      assert.match((await failure(anna.apply(selection, 'production'))).message, '0 of 1 approvals');
    },
    'anna',
  );
});

test('names of database users are what the server tells apart, upper and lower case', async () => {
  await withPeople(
    { approvals: 1 },
    async ({ anna, bert, selection }) => {
      await approveAs(bert, 'bert');
      const twin = openWorkbench(lab, {
        stagingUri: uriOf('bert'),
        database: anna.plan.targets.staging.database,
        gate: { approvals: 2 },
      });
      assert.equal((await approveAs(twin, 'bert')).given, ['Bert@admin', 'bert@admin']);
      assert.equal((await approveAs(twin, 'bert')).given, ['Bert@admin', 'bert@admin'], 'once each');
      await twin.close();
      await anna.apply(selection, 'production');
    },
    'Bert',
  );
});

test('where nobody logs in, no approval counts by the server’s users; the operating system’s do where the plan says so', async () => {
  const open = await startStandalone();
  const servers: Servers = { ...lab, staging: { ...lab.staging, uri: open.uri } };
  const bench = openWorkbench(servers, { gate: { approvals: 1 } });
  const selection = bench.selection([COLLECTION]);
  await bench.apply(selection, 'staging');
  for (const attempt of [() => approveAs(bench, 'bert'), () => bench.apply(selection, 'production')]) {
    const refusal = await failure(attempt());
    assert.match(refusal.message, 'staging lets its users in without a log-in');
    assert.match(refusal.hint ?? '', /Switch on authentication .*`approvalsBy: os-user`/s);
  }
  const { database } = bench.plan.targets.staging;
  const byOs = openWorkbench(servers, { database, ...approvedBy(1) });
  // The rule of the run that stands there is the stricter one.
  assert.is((await failure(approveAs(byOs, 'bert'))).code, 'GATE');
  await byOs.apply(selection, 'staging');
  assert.is((await failure(approveAs(byOs, 'ANNA '))).code, 'GATE');
  assert.equal((await approveAs(byOs, 'bert')).given, ['bert']);
  await byOs.apply(selection, 'production');
  assert.match(
    JSON.stringify(byOs.events),
    /approved by bert, as their operating systems name them, which proves nothing/,
  );
  await byOs.close();
  await bench.close();
  await open.stop();
});

test('approvals of before database users were recorded count by the operating system’s word alone, and that is said', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, selection }) => {
    const runs = (await anna.db('staging')).collection(RUNS);
    const old = { user: 'bert', host: 'ops-2', at: new Date() };
    await runs.updateOne({}, { $set: { approvals: [old] } });
    const refusal = await failure(anna.apply(selection, 'production'));
    assert.match(
      refusal.message,
      /0 of 1 approvals are given; bert approved without a log-in to the server, or with an older version/,
    );
    await runs.updateOne({}, { $set: { 'gate.approvalsBy': 'os-user' } });
    const { database } = anna.plan.targets.staging;
    const byOs = openWorkbench(lab, { stagingUri: uriOf('anna'), database, ...approvedBy(1) });
    await byOs.apply(selection, 'production');
    await byOs.close();
  });
});

const COMMAND: FollowUpPlan = {
  name: 'Clear caches',
  on: 'production',
  when: 'always',
  needs: [],
  action: { kind: 'run', command: ['true'], directory: '/plans', timeoutMs: 1_000, passUri: false, env: [] },
};

type Change = (plan: Plan) => Plan;
const ENTRY = { collection: 'a', exceptions: [], references: [], skipIndexes: [], dependents: [] };
const LEFT_OUT = 'what the plan leaves out (exceptions, indexes.skip, orphans)';
const withEntry = (plan: Plan, entry: object): Plan => ({
  ...plan,
  collections: [{ ...ENTRY, ...entry } as never],
});
const withCommand = (command: FollowUpPlan, plan: Plan): Plan => ({ ...plan, followUps: [command] });

for (const [what, change] of [
  ['the commands that follow-ups run', (plan) => withCommand(COMMAND, plan)],
  [
    'the commands that follow-ups run',
    (plan) => withCommand({ ...COMMAND, action: { ...COMMAND.action, passUri: true } as never }, plan),
  ],
  [
    'the commands that follow-ups run',
    (plan) =>
      withCommand(
        { ...COMMAND, action: { ...COMMAND.action, env: ['AWS_SECRET_ACCESS_KEY'] } as never },
        plan,
      ),
  ],
  [LEFT_OUT, (plan) => withEntry(plan, { exceptions: [{ class: 'different', reason: 'x' }] })],
  [LEFT_OUT, (plan) => withEntry(plan, { skipIndexes: ['email_1'] })],
  [LEFT_OUT, (plan) => withEntry(plan, { orphans: 'insert' })],
] as readonly (readonly [string, Change])[]) {
  test(`an approval no longer counts when ${what} changed since`, async () => {
    await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
      await approveAs(bert, 'bert', withEntry(bert.plan, {}));
      const plan = change(withEntry(anna.plan, {}));
      const refusal = await failure(anna.apply(selection, 'production', { plan }));
      assert.match(refusal.message, `0 of 1 approvals are given; ${what} changed since bert approved`);
      assert.match(refusal.hint ?? '', 'approve()` again');
      await approveAs(bert, 'bert', change(withEntry(bert.plan, {})));
      await anna.apply(selection, 'production', { plan });
    });
  });
}

test('an approval no longer counts when further documents were accepted since', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    await approveAs(bert, 'bert');
    await accept(anna, selection, [7]);
    const refusal = await failure(anna.apply(selection, 'production'));
    assert.match(refusal.message, 'what was accepted by name changed since bert approved');
    await approveAs(bert, 'bert');
    await anna.apply(selection, 'production');
  });
});

/** Somebody made one of the documents again in production, with other content; Anna accepts that it stays. */
async function acceptInProduction(anna: Workbench, selection: Selection): Promise<void> {
  await (await anna.db('production')).collection('a').insertOne({ _id: 7 as never, other: true });
  const { accepted } = await acceptAtHand(QUIET, {
    plan: anna.plan,
    selection,
    target: await anna.target('production'),
    actor: { user: 'anna', host: 'ops-1', pid: 1 },
    reason: 'looked at',
    show: 1,
    confirm: async () => undefined,
  });
  assert.is(accepted, 1);
}

const approveInProduction = async (bench: Workbench, user: string) =>
  approveRun({ plan: bench.plan, target: await bench.target('production'), actor: { user, host: 'ops-2' } });

test('what is accepted in production is approved there, by another person than who accepted it', async () => {
  await withPeople({ approvals: 1, approvalsBy: 'os-user' }, async ({ anna, bert, selection }) => {
    await approveAs(bert, 'bert');
    const nothing = await failure(approveInProduction(bert, 'bert'));
    assert.match(nothing.message, 'nothing was accepted in production');
    await acceptInProduction(anna, selection);
    const refusal = await failure(anna.apply(selection, 'production'));
    assert.match(
      refusal.message,
      '1 document is accepted in production, and 0 of 1 approvals of that are given',
    );
    assert.match(refusal.hint ?? '', "Somebody other than anna must run `approve('production')`");
    const own = await failure(approveInProduction(anna, 'anna'));
    assert.match(own.message, 'anna accepted documents in production and cannot approve it');
    await approveInProduction(bert, 'bert');
    await anna.apply(selection, 'production');
    const [applied] = await anna.runs('production');
    assert.equal(
      [applied?.status, applied?.approvals.length, applied?.acceptedBy.length],
      ['verified', 1, 1],
      'the approval outlives the apply, which may have to be run again',
    );
  });
});

test('in production, too, one database user for several people approves nothing of its own', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    await approveAs(bert, 'bert');
    await acceptInProduction(anna, selection);
    const refusal = await failure(approveInProduction(bert, 'bert'));
    assert.match(refusal.message, /bert is restore@admin to the server, as is anna, who accepted documents/);
  });
});

test('an approval for one database does not open another', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    await approveAs(bert, 'bert');
    const elsewhere = openWorkbench(lab, {
      stagingUri: uriOf('anna'),
      database: anna.plan.targets.staging.database,
      productionDatabase: lab.databaseName('approved'),
      gate: { approvals: 1 },
    });
    const refusal = await failure(elsewhere.apply(selection, 'production'));
    assert.match(refusal.message, 'the database of production changed since bert approved');
    await elsewhere.close();
  });
});

test('an approval for one server does not open a database of that name on another', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    const target = await bert.target('staging');
    const approve = async (production: ServerIdentity) =>
      approveRun({ plan: bert.plan, target, actor: { user: 'bert', host: 'ops-2' }, production });
    await approve(target.reader.identity);
    const refusal = await failure(anna.apply(selection, 'production'));
    assert.match(
      refusal.message,
      '0 of 1 approvals are given; the server of production changed since bert approved',
    );
    assert.equal(await anna.documents('production', 'a'), []);
    const { given, byNameAlone } = await approve((await bert.target('production')).reader.identity);
    assert.equal([given, byNameAlone], [['bert@admin'], false]);
    await anna.apply(selection, 'production');
    assert.match(JSON.stringify(anna.events), /approved by bert@admin, as the server authenticated them"/);
  });
});

test('an approval by somebody who does not reach production is of a name, and the gate says so', async () => {
  await withPeople({ approvals: 1 }, async ({ anna, bert, selection }) => {
    assert.is((await approveAs(bert, 'bert')).byNameAlone, true);
    await anna.apply(selection, 'production');
    assert.match(JSON.stringify(anna.events), 'of the database by its name alone, on whichever server');
  });
});

test('who works is who the operating system says, whatever the environment names', () => {
  const before = process.env['USER'];
  process.env['USER'] = 'somebody-else';
  process.env['LOGNAME'] = 'somebody-else';
  assert.is(operator().user, userInfo().username);
  if (before === undefined) delete process.env['USER'];
  else process.env['USER'] = before;
  delete process.env['LOGNAME'];
});

test.run();
