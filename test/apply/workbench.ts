/** A plan with two targets on the lab's servers, and what tests do with them again and again. */

import { createHash } from 'node:crypto';
import { join } from 'node:path';
import type { Db } from 'mongodb';
import * as assert from 'uvu/assert';
import type { ApplyRequest } from '../../src/apply/apply-run.ts';
import { type ApplyResult, applySelection } from '../../src/apply/apply-selection.ts';
import { previewRevert, type RevertRequest, revertPlan } from '../../src/apply/revert.ts';
import type { RevertReport } from '../../src/apply/revert-entry.ts';
import type { RunEvent, TargetName } from '../../src/events.ts';
import { readLock } from '../../src/ledger/lock-state.ts';
import type { RunRecord } from '../../src/ledger/run-record.ts';
import { readRuns } from '../../src/ledger/runs.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { type Run, runIn } from '../../src/run.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { type ConnectOptions, connectTarget } from '../../src/target/connect.ts';
import type { Target } from '../../src/target/target.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';
import type { Lab } from '../lab/lab.ts';
import { type MadeCollection, type MadePlanOptions, madePlan, madeSelection } from './made-selection.ts';

export interface Workbench {
  readonly plan: Plan;
  readonly workDirectory: string;
  readonly events: RunEvent[];
  selection(collections: readonly MadeCollection[]): Selection;
  /** A connection of the test's own, to be closed by it. */
  connect(name: TargetName, options?: ConnectOptions & Partial<Pick<Run, 'signal'>>): Promise<Target>;
  /** The connection that `apply` and `revert` use. */
  target(name: TargetName): Promise<Target>;
  apply(selection: Selection, name: TargetName, more?: Partial<ApplyRequest & Run>): Promise<ApplyResult>;
  /** Of one selection, or of every run of the plan. */
  revert(
    selection: Selection | undefined,
    name: TargetName,
    more?: Partial<RevertRequest & Run>,
  ): Promise<RevertReport>;
  /** What a revert of every run of the plan would do. */
  preview(name: TargetName): Promise<RevertReport>;
  /** The target's database through the driver, as somebody else would use it. */
  db(name: TargetName): Promise<Db>;
  runs(name: TargetName): Promise<RunRecord[]>;
  /** Raw documents of a collection, in the order of their `_id`s. */
  documents(name: TargetName, collection: string): Promise<Buffer[]>;
  /**
   * The oracle of every fault test: these documents and no others, the ledger agrees, nobody holds the lock, and no event held
   * a password of the lab.
   */
  expectRestored(
    name: TargetName,
    selection: Selection,
    expected: Readonly<Record<string, readonly Buffer[]>>,
  ): Promise<void>;
  close(): Promise<void>;
}

export const ACTOR = { user: 'anna', host: 'ops-1', pid: 4242 };

/** The lab's servers, or a test's own ones that it may break. */
export type Servers = Pick<Lab, 'staging' | 'production' | 'databaseName'>;

/** Opens one for `body`, and closes it whatever becomes of that. */
export async function withWorkbench(
  lab: Servers,
  body: (bench: Workbench) => Promise<void>,
  options: Partial<MadePlanOptions> = {},
): Promise<void> {
  const bench = openWorkbench(lab, options);
  try {
    await body(bench);
  } finally {
    await bench.close();
  }
}

export function openWorkbench(lab: Servers, options: Partial<MadePlanOptions> = {}): Workbench {
  const plan = madePlan({
    stagingUri: lab.staging.uri,
    productionUri: lab.production.uri,
    database: lab.databaseName('apply'),
    ...options,
  });
  const folder: TemporaryFolder = temporaryFolder('workbench');
  const targets = new Map<TargetName, Promise<Target>>();
  const events: RunEvent[] = [];
  let selections = 0;
  const emit = (event: RunEvent): void => void events.push(event);
  const run = runIn(join(folder.path, 'work'), { emit });
  const connect = async (
    name: TargetName,
    { signal = run.signal, ...connectOptions }: ConnectOptions & Partial<Pick<Run, 'signal'>> = {},
  ): Promise<Target> => {
    const target = plan.targets[name];
    assert.ok(target);
    return connectTarget({ ...run, signal }, name, target, {
      patienceMs: 20_000,
      ...connectOptions,
    });
  };
  const shared = (name: TargetName): Promise<Target> => {
    const open = targets.get(name) ?? connect(name);
    targets.set(name, open);
    return open;
  };
  const { workDirectory } = run;
  const db = async (name: TargetName): Promise<Db> => {
    const { client } = name === 'staging' ? lab.staging : lab.production;
    return client.db((await shared(name)).reader.database);
  };
  const documents = async (name: TargetName, collection: string): Promise<Buffer[]> => {
    const options = { raw: true, sort: { _id: 1 }, readConcern: { level: 'majority' } } as const;
    return (await db(name)).collection(collection).find({}, options).toArray() as unknown as Promise<
      Buffer[]
    >;
  };
  const runs = async (name: TargetName): Promise<RunRecord[]> => readRuns((await shared(name)).reader);
  const revertRequest = async (
    selection: Selection | undefined,
    name: TargetName,
    more: Partial<RevertRequest & Run>,
  ): Promise<RevertRequest> => ({
    plan: plan.name,
    selection: selection?.manifest.digest,
    ...(selection && { selectionOf: async () => selection }),
    target: await shared(name),
    actor: ACTOR,
    leaseMs: 2_000,
    ...more,
  });
  return {
    plan,
    workDirectory,
    events,
    selection: (collections) => madeSelection(join(folder.path, `selection-${++selections}`), collections),
    connect,
    target: shared,
    apply: async (selection, name, more = {}) =>
      applySelection(
        { ...run, ...partOf(more) },
        {
          plan,
          selection,
          target: await shared(name),
          other: name === 'production' ? (await shared('staging')).reader : undefined,
          actor: ACTOR,
          leaseMs: 2_000,
          ...more,
        },
      ),
    revert: async (selection, name, more = {}) =>
      revertPlan({ ...run, ...partOf(more) }, await revertRequest(selection, name, more)),
    preview: async (name) => previewRevert(run, await revertRequest(undefined, name, {})),
    db,
    runs,
    documents,
    expectRestored: async (name, selection, expected) => {
      for (const [collection, wanted] of Object.entries(expected)) {
        assert.equal(
          digests(await documents(name, collection)),
          digests(wanted),
          `documents of ${collection}`,
        );
      }
      const run = (await runs(name)).find(({ key }) => key.selection === selection.manifest.digest);
      assert.is(run?.status, 'verified');
      for (const { into, selected, inserted, identical, replaced, kept, doubtful } of run?.collections ??
        []) {
        assert.is(inserted + identical + replaced + kept + doubtful, selected, `counts of ${into}`);
      }
      assert.is((await readLock((await shared(name)).reader))?.holder, undefined, 'nobody holds the lock');
      assert.not.match(JSON.stringify(events), 'canary');
    },
    close: async () => {
      for (const target of targets.values()) await (await target).close();
      folder.remove();
    },
  };
}

/** What of a request with surroundings are surroundings. */
function partOf({ signal, emit, checkpoint }: Partial<Run>): Partial<Run> {
  return { ...(signal && { signal }), ...(emit && { emit }), ...(checkpoint && { checkpoint }) };
}

/** Short enough to be read in a failure, whatever the documents' order. */
export function digests(documents: readonly Buffer[]): string[] {
  return documents
    .map(
      (document) => `${document.length}:${createHash('sha256').update(document).digest('hex').slice(0, 16)}`,
    )
    .sort();
}
