/**
 * A kind of follow-up: what a plan may say of it, and how it is done. Each is one file here and one line of kinds.ts. When it is due, who
 * began it and how it ended is the same for all, and stands in follow-ups/.
 */
import type { Remedy } from '../../advice.ts';
import type { TargetName } from '../../events.ts';
import type { Run } from '../../run.ts';
import type { Secret } from '../../secret.ts';
import type { PlanFault } from '../fault.ts';
import type { Environment } from '../interpolate.ts';
import type { MapNode, PathPart, PlanNode } from '../nodes.ts';

/** What would keep an action from being done, and what to do about it. */
export interface ActionFault {
  /** `the program ./clear.sh is not there: /srv/plans/clear.sh`. */
  readonly fact: string;
  readonly remedy: Remedy;
}

/** What an action may use. */
export interface Attempt {
  readonly plan: { readonly name: string; readonly digest: string; readonly reason: string | undefined };
  /** Name of the follow-up. */
  readonly followUp: string;
  readonly target: TargetName;
  /** In the target. */
  readonly database: string;
  readonly uri: Secret | undefined;
  /** Digest of the selection whose documents it follows up. */
  readonly selection: string;
  readonly collections: readonly FollowedCollection[];
  /** A fresh random text. */
  readonly id: string;
  /** Lines of canonical Extended JSON, one for each document that the run restored. */
  readonly idLines: () => AsyncIterable<string>;
  /** The same in a private file, which is there while `work` is. */
  readonly withIdsFile: <T>(work: (path: string) => Promise<T>) => Promise<T>;
  /** The operator's. */
  readonly environment: Environment;
  /** Whether a value holds a secret of the plan. */
  readonly isSecret: (value: string) => boolean;
}

/** What the run did in a collection. */
export interface FollowedCollection {
  readonly collection: string;
  readonly into: string;
  readonly selected: number;
  readonly inserted: number;
  readonly replaced: number;
  readonly identical: number;
  readonly kept: number;
}

export interface ActionEnd {
  readonly succeeded: boolean;
  /** In one line: an exit code, an HTTP status. */
  readonly detail: string;
  /** Secrets struck out. */
  readonly output: string | undefined;
}

export interface FollowUpKind<Action> {
  /** A person does it: it is never begun here, and once ticked off it is done for all runs before. */
  readonly isForPeople: boolean;

  // In a plan. The kind's own key says what is to be done.

  /** Further keys of a follow-up that have a meaning with this kind. */
  readonly options: readonly string[];
  /** Whether keys may stand below its own one. */
  readonly isMap: boolean;
  /** From the entry of a plan without faults. */
  build(entry: PlanNode): Action;
  /** Faults of the entry at `path`, beyond what the schema finds. */
  rules?(root: MapNode, path: readonly PathPart[]): PlanFault[];
  /** Values that came from secret variables of the plan. */
  secretsOf(action: Action): readonly (Secret | undefined)[];
  /** What a second person approves of it, beside the selection: as a value for a digest, and as words. Absent: nothing. */
  readonly approved?: {
    /** `folder`: of the plan. */
    value(action: Action, folder: string): Readonly<Record<string, unknown>>;
    words(action: Action, shellWord: (text: string) => string): string;
  };
  /** What is done, for `plan explain`: the end of a sentence. `shellWord` writes a word so that it can be copied into a shell. */
  explain(action: Action, shellWord: (text: string) => string): string;
  /** The same for a list, in a few words. For people, their task. */
  inShort(action: Action): string;

  // Doing it.

  /** Known before anything is written. `isSecret`: whether a value holds a secret of the plan. */
  faultsOf(
    action: Action,
    environment: Environment,
    isSecret: (value: string) => boolean,
  ): Promise<readonly ActionFault[]>;
  /** Never begun for a kind for people. What it throws is its end, too. */
  act(run: Run, action: Action, attempt: Attempt): Promise<ActionEnd>;
}
