/** `plan select`: selects the documents and stops. Connects to no target. */

import { camelCased, type OptionValues, TOGETHER } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show, typed } from '../view.ts';
import { selectionView } from '../views/dry-run.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const restore = await openPlan(context, file, { refuseFuture: true });
  const { plan } = restore;
  await context.follow(['backup', 'selection']);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });
  const made = isTogether(options)
    ? await (await import('../together.ts')).selectTogether(context, restore, options)
    : { selection: await restore.select() };
  if (made === undefined) return;
  const { manifest, directory } = made.selection;
  const selected = { plan, manifest, comparisons: [], notCompared: [], warnings: context.warnings };
  const hint = made.hint?.say(typed(context.given));
  await show(context, selectionView(selected, directory, hint));
}

/** Whether any option is given by which other machines come in. */
function isTogether(options: OptionValues): boolean {
  return TOGETHER.some(({ flags }) => options[camelCased(flags.replace(/^--(\S+).*$/, '$1'))] !== undefined);
}
