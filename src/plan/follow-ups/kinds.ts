/** Every kind of follow-up, by its key in a plan. A new one is a line here. */
import { givenText, nodeAt, type PlanNode } from '../nodes.ts';
import type { FollowUpKind } from './kind.ts';
import { RUN } from './run.ts';
import { WEBHOOK } from './webhook.ts';

/** A follow-up that a person does, and ticks off with `plan follow-up done`. */
export interface ManualAction {
  readonly kind: 'manual';
  readonly text: string;
}

const MANUAL: FollowUpKind<ManualAction> = {
  isForPeople: true,
  options: [],
  isMap: false,
  build: (entry) => ({ kind: 'manual', text: givenText(entry, 'manual') as string }),
  secretsOf: () => [],
  explain: ({ text }) => `somebody has to: ${text}`,
  inShort: ({ text }) => text,
  faultsOf: async () => [],
  act: async () => ({ succeeded: false, detail: 'it is for a person', output: undefined }),
};

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
