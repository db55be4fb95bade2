/** What a kind of follow-up has to say: each is one file of `kinds/` and one line of `kinds.ts`. Its part of a plan is read in `plan/`. */
import type { Remedy } from '../advice.ts';
import type { RunRecord } from '../ledger/run-record.ts';
import type { Environment } from '../plan/interpolate.ts';
import type { FollowUpAction, FollowUpPlan, Plan } from '../plan/plan.ts';
import type { Run } from '../run.ts';
import type { Secret } from '../secret.ts';

export type KindName = FollowUpAction['kind'];
export type ActionOf<Name extends KindName> = Extract<FollowUpAction, { kind: Name }>;

/** What would keep an action from being done, and what to do about it. */
export interface ActionFault {
  /** `the program ./clear.sh is not there: /srv/plans/clear.sh`. */
  readonly fact: string;
  readonly remedy: Remedy;
}

/** What an action may use. */
export interface Attempt {
  readonly plan: Plan;
  readonly followUp: FollowUpPlan;
  /** Whose documents it follows up. */
  readonly restore: RunRecord;
  /** In the target. */
  readonly database: string;
  /** A fresh random text. */
  readonly id: string;
  /** Lines of canonical Extended JSON, one for each document that the run restored. */
  readonly idLines: () => AsyncIterable<string>;
  /** The operator's. */
  readonly environment: Environment;
  /** Whether a value holds a secret of the plan. */
  readonly isSecret: (value: string) => boolean;
}

export interface ActionEnd {
  readonly succeeded: boolean;
  /** In one line: an exit code, an HTTP status. */
  readonly detail: string;
  /** Secrets struck out. */
  readonly output: string | undefined;
}

export interface FollowUpKind<Action extends FollowUpAction> {
  /** A person does it: it is never begun here, and once ticked off it is done for all runs before. */
  readonly isForPeople: boolean;
  /** Values that came from secret variables of the plan. */
  secretsOf(action: Action): readonly (Secret | undefined)[];
  /** Known before anything is written. `isSecret`: whether a value holds a secret of the plan. */
  faultsOf(
    action: Action,
    environment: Environment,
    isSecret: (value: string) => boolean,
  ): Promise<readonly ActionFault[]>;
  /** Never begun for a kind for people. What it throws is its end, too. */
  act(run: Run, action: Action, attempt: Attempt): Promise<ActionEnd>;
  /** What is done, for `plan explain`: the end of a sentence. `shellWord` writes a word so that it can be copied into a shell. */
  explain(action: Action, shellWord: (text: string) => string): string;
  /** The same for a list, in a few words. */
  inShort(action: Action): string;
}
