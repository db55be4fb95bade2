import type { RunCollection, RunRecord } from '../ledger/run-record.ts';
import type { FollowUpPlan, Plan } from '../plan/plan.ts';

/** Ids that are sent along; a receiver that needs more reads the target. */
const MOST_IDS = 10_000;

export interface WebhookFacts {
  readonly plan: Plan;
  readonly followUp: FollowUpPlan;
  readonly run: RunRecord;
  readonly database: string;
  readonly delivery: string;
  /** Lines of canonical Extended JSON, one restored document each. */
  readonly idLines: AsyncIterable<string>;
}

/**
 * The JSON text that a webhook receives. `text` alone is what Slack's incoming webhooks show; they leave the rest aside.
 * Ids are put in as they are written, because parsing them could lose the order or the types inside an `_id`.
 */
export async function webhookBody({
  plan,
  followUp,
  run,
  database,
  delivery,
  idLines,
}: WebhookFacts): Promise<string> {
  const { target, key } = run;
  const ids: string[] = [];
  let more = 0;
  for await (const line of idLines) {
    if (ids.length < MOST_IDS) ids.push(line);
    else more++;
  }
  const text = followUp.action.kind === 'webhook' ? followUp.action.text : undefined;
  const head = {
    text: text ?? summary(plan.name, database, run),
    type: 'restore-plan.follow-up',
    version: 1,
    delivery,
    followUp: followUp.name,
    plan: { name: plan.name, digest: plan.digest, reason: plan.reason },
    target,
    database,
    selection: { digest: key.selection },
    collections: run.collections.map(
      ({ collection, into, selected, inserted, replaced, identical, kept }) => ({
        collection,
        into,
        selected,
        inserted,
        replaced,
        identical,
        kept,
      }),
    ),
    idsOmitted: more,
  };
  return `${JSON.stringify(head).slice(0, -1)},"ids":[${ids.join(',')}]}`;
}

function summary(plan: string, database: string, { target, collections }: RunRecord): string {
  const restored = collections.filter((each) => written(each) > 0);
  const total = restored.reduce((sum, each) => sum + written(each), 0);
  const parts = restored.map((each) => `${each.into} ${written(each)}`);
  const list = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return `restore-plan ${plan}: ${total} documents restored to ${target}, database ${database}${list}`;
}

function written({ inserted, replaced }: RunCollection): number {
  return inserted + replaced;
}
