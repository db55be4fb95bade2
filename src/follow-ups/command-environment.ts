import type { TargetName } from '../events.ts';
import type { Environment } from '../plan/interpolate.ts';
import type { Plan } from '../plan/plan.ts';
import type { Secret } from '../secret.ts';

/** What every command gets of the operator's environment: where things are and how text is written, no credentials. */
const USUAL = /^(?:PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_[A-Z]+|TZ|TMPDIR|TERM)$/;

export interface EnvironmentQuestion {
  readonly plan: Plan;
  readonly target: TargetName;
  readonly followUp: string;
  /** Selection digest. */
  readonly digest: string;
  /** File with the restored ids, one per line. */
  readonly idsFile: string;
  readonly passUri: boolean;
  /** Names of further variables, by the plan. */
  readonly named: readonly string[];
  /** The environment of the operator. */
  readonly inherited: Environment;
}

/**
 * The environment of a follow-up's command: usual variables of the operator, those that the plan names, and what the command should
 * know. Connection strings and the plan's secrets are in none of them, unless the plan says `passUri`.
 */
export function commandEnvironment(question: EnvironmentQuestion): Record<string, string> {
  const { plan, target, passUri, named, inherited } = question;
  const isSecret = secretTest(plan);
  const own: Record<string, string> = {
    RESTORE_PLAN_NAME: plan.name,
    RESTORE_PLAN_FOLLOW_UP: question.followUp,
    RESTORE_PLAN_TARGET: target,
    RESTORE_PLAN_DATABASE: plan.targets[target]?.database ?? '',
    RESTORE_PLAN_SELECTION: question.digest,
    RESTORE_PLAN_IDS: question.idsFile,
  };
  const uri = passUri ? plan.targets[target]?.uri?.reveal() : undefined;
  if (uri !== undefined) own['RESTORE_PLAN_URI'] = uri;
  const passed = Object.entries(inherited).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined &&
      (named.includes(entry[0])
        ? passUri || !isSecret(entry[1])
        : USUAL.test(entry[0]) && !isSecret(entry[1])),
  );
  return { ...Object.fromEntries(passed), ...own };
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
    source.location.kind === 'mongodb' ? source.location.uri : undefined,
    ...followUps.flatMap(({ action }) => (action.kind === 'webhook' ? [action.url, action.secret] : [])),
  ];
  return found.filter((secret) => secret !== undefined && secret.reveal() !== '') as Secret[];
}
