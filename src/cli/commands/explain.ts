/** `plan explain`: says in prose what the plan will do. Touches no network. */

import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { explainPlan } from '../views/explain.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const plan = await loadPlan(context, file);
  const text = explainPlan(plan, context.stdout.columns);
  if (context.options.json)
    context.json({ type: 'explain', plan: { name: plan.name, digest: plan.digest }, text });
  else context.stdout.write(text);
}
