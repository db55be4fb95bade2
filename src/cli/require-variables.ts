/** Variables that a command cannot do without. */
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import type { Plan } from '../plan/plan.ts';

/**
 * Throws PLAN_INVALID, naming every variable that is not set and that the source, the queries or one of these targets
 * needs. An empty connection string must never be taken for another one.
 */
export function requireVariables(plan: Plan, targets: readonly TargetName[]): void {
  const elsewhere = (['staging', 'production'] as const)
    .filter((name) => !targets.includes(name))
    .map((name) => `targets.${name}.`);
  const missing = plan.unsetVariables.filter(
    ({ path }) => !path.startsWith('followUps') && !elsewhere.some((prefix) => path.startsWith(prefix)),
  );
  if (missing.length === 0) return;
  const names = [...new Set(missing.map(({ name }) => name))];
  const uses = missing.map(
    ({ name, where, message }) => `  ${name} at ${where}${message ? `: ${message}` : ''}`,
  );
  const empty = missing.filter(({ isEmpty }) => isEmpty).length;
  const state = empty === 0 ? 'not set' : empty === missing.length ? 'empty' : 'not set or empty';
  throw new RestorePlanError(
    'PLAN_INVALID',
    `${names.length === 1 ? `the variable ${names[0]} is` : `the variables ${names.join(', ')} are`} ${state}\n${uses.join('\n')}`,
    {
      hint: `Set ${names.length === 1 ? 'it' : 'them'} in the environment or in a file given with --env-file.`,
      facts: { variables: names },
    },
  );
}
