/** Every kind of follow-up, by its key in a plan. A new one is a line here. */
import { nodeAt, type PlanNode } from '../nodes.ts';
import type { FollowUpKind } from './kind.ts';
import { MANUAL } from './manual.ts';
import { RUN } from './run.ts';
import { WEBHOOK } from './webhook.ts';

export const FOLLOW_UP_KINDS = { manual: MANUAL, run: RUN, webhook: WEBHOOK } as const;

export type FollowUpAction = ReturnType<(typeof FOLLOW_UP_KINDS)[keyof typeof FOLLOW_UP_KINDS]['build']>;

/** The kind of an action, to be handed this action and no other. */
export function kindOf({ kind }: FollowUpAction): FollowUpKind<FollowUpAction> {
  return FOLLOW_UP_KINDS[kind] as FollowUpKind<FollowUpAction>;
}

/** Of a follow-up of a plan without faults. */
export function buildAction(entry: PlanNode): FollowUpAction {
  const [kind] = Object.entries(FOLLOW_UP_KINDS).flatMap(([key, kind]) =>
    nodeAt(entry, key) === undefined ? [] : [kind],
  );
  return kind!.build(entry);
}
