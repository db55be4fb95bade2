/** `plan explain`: says in prose what the plan will do. Touches no network. */

import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { explainPlan } from '../views/explain.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const plan = await loadPlan(context, file);
  const text = explainPlan(plan, context.stdout.columns);
  const { name, digest } = plan;
  await show(context, {
    page: () => text,
    objects: () => [{ type: 'explain', plan: { name, digest }, text }],
  });
}
