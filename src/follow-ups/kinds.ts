/** Every kind of follow-up. One that the plan knows and this table does not, the compiler asks for. */
import type { FollowUpAction } from '../plan/plan.ts';
import type { ActionOf, FollowUpKind, KindName } from './kind.ts';
import { manual } from './kinds/manual.ts';
import { run } from './kinds/run.ts';
import { webhook } from './kinds/webhook.ts';

const KINDS = { manual, run, webhook } satisfies { [Name in KindName]: FollowUpKind<ActionOf<Name>> };

/** The kind of an action, to be handed this action and no other. */
export function kindOf(action: FollowUpAction): FollowUpKind<FollowUpAction> {
  return KINDS[action.kind] as FollowUpKind<FollowUpAction>;
}
