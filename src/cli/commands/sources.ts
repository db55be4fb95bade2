/** `plan sources`: what could give back what was lost, and until when. Reads no document. */
import { askSources, serverOf } from '../../restore/ask-sources.ts';
import { requireVariables } from '../../restore/targets.ts';
import { type ExitName, type OptionValues, usage } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { loadIncompletePlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { sourcesView } from '../views/sources.ts';
import { databaseWithoutPlan, WITHOUT_PLAN } from '../without-plan.ts';

export async function run(
  context: CommandContext,
  [file]: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const alone = databaseWithoutPlan(context, file, options);
  if (file === undefined && alone === undefined) throw usage('say whose sources are meant', WITHOUT_PLAN);
  const plan = file === undefined ? undefined : await loadIncompletePlan(context, file);
  if (plan !== undefined) requireVariables(plan, []);
  const server = plan === undefined ? alone && { ...alone, named: '--uri-env' } : serverOf(plan);
  const asked = await askSources(context, { plan, server }, context.patience);
  await show(context, sourcesView(asked));
  return asked.answers.some(({ answers }) => answers === 'yes') ? 'OK' : 'BACKUP';
}
