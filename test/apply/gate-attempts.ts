/** Attempts to get production written to before staging vouches for it, and how each is made. */
import * as assert from 'uvu/assert';
import type { ApplyRequest } from '../../src/apply/apply-run.ts';
import { Documents } from '../../src/bson/documents.ts';
import type { RestorePlanError } from '../../src/errors.ts';
import { readAccepted } from '../../src/ledger/accepted.ts';
import { openLedger } from '../../src/ledger/ledger.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import type { Lab } from '../lab/lab.ts';
import { failure, numbered } from './documents.ts';
import type { MadeCollection, MadePlanOptions } from './made-selection.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

export const DOCUMENTS = numbered(0, 20);
export const COLLECTION: MadeCollection = { collection: 'a', documents: DOCUMENTS };

export interface Attempt {
  /** What is done before; returns what the attempt on production is made with. */
  readonly prepare: (
    bench: Workbench,
    selection: Selection,
  ) => Promise<(Partial<ApplyRequest> & { selection?: Selection; end?: () => Promise<void> }) | undefined>;
  readonly plan?: () => Partial<MadePlanOptions>;
  readonly says: string | RegExp;
  readonly code?: RestorePlanError['code'];
}

/** People as their operating systems name them: the lab has one database user for all. */
export const approvedBy = (approvals: number) =>
  ({ gate: { approvals, approvalsBy: 'os-user' } }) as const satisfies Partial<MadePlanOptions>;

export const applied = async (bench: Workbench, selection: Selection): Promise<undefined> => {
  await bench.apply(selection, 'staging');
  return undefined;
};

export const approve = async (bench: Workbench, selection: Selection, user: string): Promise<void> => {
  const { runs } = openLedger(await bench.target('staging'));
  const key = { plan: bench.plan.name, selection: selection.manifest.digest };
  await runs.approve(key, { user, host: 'ops-2' });
};

/** Writes down that these documents of the selection may be missing from staging, or be others there. */
export async function accept(
  bench: Workbench,
  selection: Selection,
  ordinals: readonly number[],
): Promise<void> {
  const target = await bench.target('staging');
  const { accepted, runs } = openLedger(target);
  const key = { plan: bench.plan.name, selection: selection.manifest.digest };
  const ids = ordinals.map((ordinal) => Documents.of([DOCUMENTS[ordinal] as Buffer]).id(0));
  const [run] = await bench.runs('staging');
  const fencing = run?.fencing ?? 0;
  const place = { kind: 'accepted', key, fencing, actor: { user: 'anna', host: 'ops-1' } } as const;
  await accepted.write(place, 0, { collection: 'a', as: 'different', reason: 'looked at', ids, ordinals });
  const { digest = '' } = await readAccepted(target.reader, key);
  await runs.saveAccepted(key, fencing, { count: ordinals.length, digest, by: place.actor });
}

/** Stops an apply to staging at a checkpoint, as a crash would. */
export async function stopAt(bench: Workbench, selection: Selection, checkpoint: string): Promise<void> {
  const stop = async (name: string): Promise<void> => {
    if (name === checkpoint) throw new Error('crash');
  };
  await bench.apply(selection, 'staging', { checkpoint: stop }).then(
    () => assert.unreachable('it went on'),
    (error: Error) => assert.is(error.message, 'crash'),
  );
}

/** One test per attempt: it must be refused, with the words expected, and with nothing written. */
export function tryAll(lab: () => Lab, attempts: Readonly<Record<string, Attempt>>): void {
  for (const [name, { prepare, plan, says, code = 'GATE' }] of Object.entries(attempts)) {
    test(`L8 production stays shut: ${name}`, async () => {
      const bench = openWorkbench(lab(), plan?.());
      let end: (() => Promise<void>) | undefined;
      try {
        const selection = bench.selection([COLLECTION]);
        const { selection: chosen = selection, end: last, ...more } = (await prepare(bench, selection)) ?? {};
        end = last;
        const refusal = await failure(bench.apply(chosen, 'production', more));
        assert.is(refusal.code, code, refusal.message);
        assert.match(refusal.message, says, refusal.message);
        assert.ok(refusal.hint, 'a refusal says what to do');
        assert.equal(await bench.documents('production', 'a'), []);
      } finally {
        await end?.();
        await bench.close();
      }
    });
  }
}
