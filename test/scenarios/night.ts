/**
 * A whole bad night of a shop, with the program itself and real servers: customers made again meanwhile, an e-mail taken, sessions over.
 * From the first dry-run over what is accepted, staging, an approval and production to a narrower run and a reordered one; then all of
 * it is taken back from another machine, with nothing but the targets.
 *
 * Undisturbed, every step's numbers are looked at. With `kills`, each step that writes is killed with -9 at a random moment first, and
 * run again; the bytes that are there at the end must be the same.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Db, Document } from 'mongodb';
import * as assert from 'uvu/assert';
import { compareSnapshots, type Snapshot, takeSnapshot } from '../demo/snapshot.ts';
import { callPlan } from '../lab/call-plan.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import { type Lab, type LabTarget, openLab } from '../lab/lab.ts';
import { jsonLines, type PlanRun, startPlan } from '../lab/plan-command.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { mongodump } from '../lab/tools.ts';
import {
  DOCUMENTS_PER_CUSTOMER,
  EMAIL_TAKEN,
  EXPIRED_SESSIONS,
  fillShop,
  loseCustomers,
  lostCustomers,
  RECREATED_ALIKE,
  RECREATED_DIFFERENTLY,
  type Shop,
  shop,
} from './shop.ts';

const PLAN = 'churned-customers';
const APPROVER = { user: 'second-person', password: 'canary-mongodb-password' };

/** Documents that no run can bring back: those of the customer whose e-mail is taken, with all that hangs on it, and the sessions. */
const LEFT_OUT = DOCUMENTS_PER_CUSTOMER + EXPIRED_SESSIONS;

type TargetName = 'staging' | 'production';

export interface NightOrders {
  /** 15 documents each. */
  readonly customers: number;
  readonly deleted: number;
}

/** Where a step that writes was killed; the time is in milliseconds after its start. */
export interface Kill {
  readonly step: string;
  readonly afterMs: number;
}

export class Night {
  readonly #lab: Lab;
  readonly #folder: TemporaryFolder;
  readonly #shop: Shop;
  readonly #deleted: number;
  readonly #databases: Readonly<Record<TargetName, Db>>;
  readonly #approverUris: Readonly<Record<TargetName, string>>;
  #before: Readonly<Record<TargetName, Snapshot>> | undefined;
  #restored: Readonly<Record<TargetName, Snapshot>> | undefined;
  /** How long each step took when nobody disturbed it. */
  readonly #durations = new Map<string, number>();

  private constructor(lab: Lab, { customers, deleted }: NightOrders) {
    this.#lab = lab;
    this.#folder = temporaryFolder('night');
    this.#shop = shop({ customers, deleted });
    this.#deleted = deleted;
    this.#databases = {
      staging: lab.staging.client.db(lab.databaseName('shop-staging')),
      production: lab.production.client.db(lab.databaseName('shop')),
    };
    this.#approverUris = { staging: asApprover(lab.staging), production: asApprover(lab.production) };
  }

  static async begin(orders: NightOrders): Promise<Night> {
    const night = new Night(await openLab(), orders);
    await night.#prepare();
    return night;
  }

  async end(): Promise<void> {
    for (const target of [this.#lab.staging, this.#lab.production])
      await admin(target).command({ dropUser: APPROVER.user });
    this.#folder.remove();
    await this.#lab.close();
  }

  async #prepare(): Promise<void> {
    const { staging, production } = this.#databases;
    const { user: createUser, password: pwd } = APPROVER;
    for (const target of [this.#lab.staging, this.#lab.production])
      await admin(target).command({ createUser, pwd, roles: ['root'] });
    await Promise.all([fillShop(staging, this.#shop), fillShop(production, this.#shop)]);
    const dump = join(this.#folder.path, 'dump');
    mkdirSync(dump);
    await mongodump(this.#lab.production.uri, ['--db', production.databaseName, '--out', dump]);
    await Promise.all([loseCustomers(staging, this.#shop), loseCustomers(production, this.#shop)]);
    this.#before = await this.#snapshots();
  }

  /** Nobody disturbs it; every number is looked at. */
  async undisturbed(): Promise<void> {
    const accepted = await this.#firstRun(this.#quietly);
    assert.is(sumOf(accepted, 'conflict'), 1, 'the e-mail');
    assert.is(sumOf(accepted, 'refused'), EXPIRED_SESSIONS);
    assert.is(sumOf(accepted, 'different'), RECREATED_DIFFERENTLY.length);
    await this.#furtherRuns(this.#quietly);
    this.#restored = await this.#snapshots();
    await this.#takeBack(this.#quietly);
  }

  /** Each step that writes is killed at a random moment, and run again. Returns where; a step that was over by then is not in it. */
  async disturbed(seed: number): Promise<Kill[]> {
    assert.ok(this.#restored, 'an undisturbed night comes first');
    for (const database of Object.values(this.#databases)) await dropLedger(database);
    const random = seededRandom(seed);
    const kills: Kill[] = [];
    const act: Act = (step, exitCode, args, options) =>
      this.#killed(random, kills, { step, exitCode, args, options });
    await this.#firstRun(act);
    await this.#furtherRuns(act);
    await this.#expectSame(this.#restored, 'after the last run');
    await this.#takeBack(act);
    return kills;
  }

  async #firstRun(act: Act): Promise<Document> {
    this.#writePlan('{ churned: true }', ['orders', 'reviews', 'sessions']);
    const shown = await this.#plan(0, ['dry-run', 'plan.yaml']);
    const page = shown.stdout.replace(/\s+/g, ' ');
    assert.match(page, /cannot be written: this run cannot end verified and production will stay shut/);
    const result = resultOf(await act('accept in staging', 0, this.#accept('staging')), 'accept');
    await act('first apply to staging', 0, APPLY_STAGING);
    await this.#expectStatus('staging', 'verified', 1);
    await act('accept in production', 0, this.#accept('production'));
    await this.#plan(18, this.#toProduction);
    await this.#approve('staging');
    await this.#plan(18, this.#toProduction);
    await this.#approve('production');
    await act('first apply to production', 0, this.#toProduction);
    await this.#expectStatus('production', 'verified', 1);
    await this.#expectRestored();
    return result;
  }

  /** A second narrower run, and a third whose dependents are in another order: the same documents, so the same record. */
  async #furtherRuns(act: Act): Promise<void> {
    const inTheWay = [...RECREATED_DIFFERENTLY, EMAIL_TAKEN].map(
      (place) => lostCustomers(this.#shop)[place]?.['_id'],
    );
    const narrower = `{ churned: true, _id: { $nin: [${inTheWay.map((id) => `{ $oid: ${id} }`).join(', ')}] } }`;
    for (const [name, dependents] of [
      ['narrower', ['orders', 'reviews', 'liveSessions']],
      ['reordered', ['liveSessions', 'reviews', 'orders']],
    ] as const) {
      this.#writePlan(narrower, dependents);
      await act(`${name} apply to staging`, 0, APPLY_STAGING);
      await this.#approve('staging');
      await act(`${name} apply to production`, 0, this.#toProduction);
    }
    await this.#expectStatus('production', 'verified', 2);
    const followUps = await this.#plan(0, ['follow-up', 'list', 'plan.yaml', '--target', 'production']);
    assert.match(followUps.stdout, 'Tell the customers');
  }

  /** From another machine, with nothing but the target. */
  async #takeBack(act: Act): Promise<void> {
    const elsewhere = temporaryFolder('elsewhere');
    try {
      for (const [target, { databaseName }] of Object.entries(this.#databases)) {
        const variable = target === 'staging' ? 'STAGING_MONGODB_URI' : 'PRODUCTION_MONGODB_URI';
        const place = ['--plan-name', PLAN, '--uri-env', variable, '--database', databaseName];
        const args = ['revert', ...place, '--confirm', databaseName, '--json'];
        const result = resultOf(
          await act(`revert of ${target}`, 0, args, { cwd: elsewhere.path, target }),
          'revert',
        );
        assert.equal(result['untouched'], [], 'nothing is doubtful, and nobody has changed anything');
        const again = await this.#plan(0, args, { cwd: elsewhere.path });
        assert.equal(resultOf(again, 'revert')['runs'], [], 'a second one finds nothing');
      }
    } finally {
      elsewhere.remove();
    }
    await this.#expectSame(this.#before, 'after everything was taken back');
  }

  get #toProduction(): string[] {
    return [...APPLY, 'production', '--confirm', this.#databases.production.databaseName, '--json'];
  }

  #accept(target: TargetName): string[] {
    const reason = ['--reason', 'looked at with the shop'];
    const confirm = ['--confirm', this.#databases[target].databaseName];
    return ['accept', 'plan.yaml', '--target', target, ...reason, ...confirm, '--json'];
  }

  async #approve(target: TargetName): Promise<void> {
    const confirm = ['--confirm', this.#databases.production.databaseName];
    const env = {
      STAGING_MONGODB_URI: this.#approverUris.staging,
      PRODUCTION_MONGODB_URI: this.#approverUris.production,
    };
    await this.#plan(0, ['approve', 'plan.yaml', '--target', target, ...confirm], { env });
  }

  /** Without an orphan: what cannot be written is out of both targets with all that hangs on it. */
  async #expectRestored(): Promise<void> {
    const there = RECREATED_ALIKE.length + RECREATED_DIFFERENTLY.length;
    const inserted = this.#deleted * DOCUMENTS_PER_CUSTOMER - LEFT_OUT - there;
    const found = await this.#snapshots();
    for (const target of ['staging', 'production'] as const) {
      const before = this.#before?.[target] as Snapshot;
      const { missing, added, changed } = compareSnapshots(before, found[target]);
      assert.equal([missing, added.length, changed], [[], inserted, []], target);
    }
  }

  async #expectStatus(target: TargetName, status: string, runs: number): Promise<void> {
    const lines = jsonLines((await this.#plan(0, ['status', 'plan.yaml', '--json'])).stdout);
    const found = lines.find(({ type }) => type === 'status') as Document;
    const all = (found['targets'] as Document)[target]['runs'] as Document[];
    assert.is(all.length, runs, JSON.stringify(all));
    assert.is(all[0]?.['status'], status, JSON.stringify(all[0]));
  }

  async #expectSame(
    expected: Readonly<Record<TargetName, Snapshot>> | undefined,
    when: string,
  ): Promise<void> {
    const found = await this.#snapshots();
    for (const target of ['staging', 'production'] as const) {
      const { missing, added, changed } = compareSnapshots(expected?.[target] as Snapshot, found[target]);
      assert.equal([missing, added, changed], [[], [], []], `${target} ${when}`);
    }
  }

  async #snapshots(): Promise<Record<TargetName, Snapshot>> {
    const { staging, production } = this.#databases;
    return { staging: await takeSnapshot(staging), production: await takeSnapshot(production) };
  }

  readonly #quietly: Act = async (step, exitCode, args, options = {}) => {
    const ran = expecting(exitCode, args, await startPlan(args, this.#options(options)).ended);
    this.#durations.set(step, ran.durationMs);
    return ran;
  };

  async #killed(random: Random, kills: Kill[], step: Step): Promise<PlanRun> {
    const { args, options = {} } = step;
    const afterMs = Math.round(random.fraction() * (this.#durations.get(step.step) ?? 0) * 1.1);
    const running = startPlan(args, this.#options(options));
    await Promise.race([sleep(afterMs), running.ended]);
    running.child.kill('SIGKILL');
    const { signal } = await running.ended;
    if (signal === 'SIGKILL') kills.push({ step: step.step, afterMs });
    return this.#plan(step.exitCode, args, options);
  }

  async #plan(exitCode: number, args: readonly string[], options: StepOptions = {}): Promise<PlanRun> {
    return expecting(exitCode, args, await callPlan(args, this.#options(options)));
  }

  #options({ cwd = this.#folder.path, env = {} }: StepOptions): {
    readonly cwd: string;
    readonly env: Readonly<Record<string, string>>;
    readonly deadlineMs: number;
  } {
    const uris = {
      STAGING_MONGODB_URI: this.#lab.staging.uri,
      PRODUCTION_MONGODB_URI: this.#lab.production.uri,
    };
    return { cwd, env: { ...uris, ...env }, deadlineMs: 120_000 };
  }

  /** `query` of the customers; of the sessions, all or those that are not over. */
  #writePlan(query: string, dependents: readonly (keyof typeof DEPENDENTS)[]): void {
    const { staging, production } = this.#databases;
    writeFileSync(
      join(this.#folder.path, 'plan.yaml'),
      `version: 1
name: ${PLAN}
reason: A script deleted customers.
source: { database: ${production.databaseName}, path: ./dump }
collections:
  - collection: customers
    query: ${query}
    dependents:
${dependents.map((name) => `      - ${DEPENDENTS[name]}`).join('\n')}
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: ${staging.databaseName} }
  production:
    uri: "\${PRODUCTION_MONGODB_URI}"
    database: ${production.databaseName}
    gate: { approvals: 1 }
followUps:
  - { name: Tell the customers, on: production, manual: Mail them. }
`,
    );
  }
}

const APPLY = ['apply', 'plan.yaml', '--target'] as const;
const APPLY_STAGING = [...APPLY, 'staging', '--json'] as const;

const DEPENDENTS = {
  orders:
    '{ collection: orders, foreignKey: customerId, dependents: [{ collection: items, foreignKey: orderId }] }',
  reviews: '{ collection: reviews, foreignKey: customerId }',
  sessions: '{ collection: sessions, foreignKey: customerId }',
  liveSessions:
    "{ collection: sessions, foreignKey: customerId, query: { expiresAt: { $gt: { $date: '2022-01-01T00:00:00Z' } } } }",
} as const;

interface StepOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs a step that writes. */
type Act = (
  step: string,
  exitCode: number,
  args: readonly string[],
  options?: StepOptions & { readonly target?: string },
) => Promise<PlanRun>;

interface Step {
  readonly step: string;
  readonly exitCode: number;
  readonly args: readonly string[];
  readonly options: StepOptions | undefined;
}

function expecting(exitCode: number, args: readonly string[], ran: PlanRun): PlanRun {
  assert.is(ran.exitCode, exitCode, `plan ${args.join(' ')}\n${ran.stdout}\n${ran.stderr}`);
  return ran;
}

function asApprover({ uri }: LabTarget): string {
  const url = new URL(uri);
  url.username = APPROVER.user;
  url.password = APPROVER.password;
  return url.href;
}

const admin = ({ client }: LabTarget): Db => client.db('admin');

async function dropLedger(database: Db): Promise<void> {
  for (const { name } of await database.listCollections({}, { nameOnly: true }).toArray())
    if (name.startsWith('restore_plan.')) await database.collection(name).drop();
}

function resultOf(run: PlanRun, type: string): Document {
  const found = jsonLines(run.stdout).find((line) => line['type'] === type);
  assert.ok(found, run.stdout);
  return found;
}

const sumOf = (result: Document, key: string): number =>
  (result['collections'] as Document[]).reduce((sum, each) => sum + Number(each[key]), 0);
