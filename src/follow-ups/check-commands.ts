/** What would keep a follow-up from being done, known before anything is written. */
import { together } from '../advice.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { ActionFault } from '../plan/follow-ups/kind.ts';
import { kindOf } from '../plan/follow-ups/kinds.ts';
import type { Environment } from '../plan/interpolate.ts';
import type { Plan } from '../plan/plan.ts';
import { oplogSecrets } from '../plan/sources/oplog.ts';
import { sourceKindOf } from '../plan/sources/sources.ts';
import type { Secret } from '../secret.ts';

export interface CommandFault extends ActionFault {
  readonly followUp: string;
  readonly target: TargetName;
}

export interface CommandQuestion {
  readonly plan: Plan;
  readonly targets: readonly TargetName[];
  /** The operator's. */
  readonly environment: Environment;
}

/** Of all follow-ups of these targets; each once, for the first target that it concerns. */
export async function commandFaults({
  plan,
  targets,
  environment,
}: CommandQuestion): Promise<CommandFault[]> {
  const isSecret = secretTest(plan);
  const faults: CommandFault[] = [];
  for (const { name, on, action } of plan.followUps) {
    const target = targets.find((each) => on === each || on === 'both');
    if (target === undefined) continue;
    const found = await kindOf(action).faultsOf(action, environment, isSecret);
    faults.push(...found.map((fault) => ({ followUp: name, target, ...fault })));
  }
  return faults;
}

/** Throws PLAN_INVALID, naming all of it: a restore whose loose ends cannot be done is better mended before it is begun. */
export async function requireCommands(question: CommandQuestion): Promise<void> {
  const faults = await commandFaults(question);
  const [first] = faults;
  if (first === undefined) return;
  const lines = faults.map(({ followUp, fact }) => `  follow-up "${followUp}": ${fact}`);
  throw new RestorePlanError(
    'PLAN_INVALID',
    `nothing was written: ${faults.length === 1 ? 'a follow-up' : 'follow-ups'} could not run here afterwards\n${lines.join('\n')}`,
    {
      hint: together(faults.map(({ remedy }) => remedy)),
      facts: { followUps: [...new Set(faults.map(({ followUp }) => followUp))] },
    },
  );
}

/** Whether a value holds a connection string, or something that the plan takes from a secret variable. */
export function secretTest(plan: Plan): (value: string) => boolean {
  const secrets = planSecrets(plan).map((secret) => secret.reveal());
  return (value) => /mongodb(?:\+srv)?:\/\//i.test(value) || secrets.some((secret) => value.includes(secret));
}

/** Everything in a plan that came from a secret variable. */
function planSecrets({ source, targets, followUps }: Plan): Secret[] {
  const found = [
    targets.staging.uri,
    targets.production?.uri,
    ...(sourceKindOf(source.location).secrets?.(source.location) ?? []),
    ...oplogSecrets(source.oplog),
    ...followUps.flatMap(({ action }) => kindOf(action).secretsOf(action)),
  ];
  return found.filter((secret) => secret !== undefined && secret.reveal() !== '') as Secret[];
}
