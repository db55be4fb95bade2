/** `plan select`: selects the documents and stops. Connects to no target. */

import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { selectionView } from '../views/dry-run.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const restore = await openPlan(context, file, { refuseFuture: true });
  const { plan } = restore;
  await context.follow(['backup', 'selection']);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });
  const { manifest, directory } = await restore.select();
  const selected = { plan, manifest, comparisons: [], notCompared: [], warnings: context.warnings };
  await show(context, selectionView(selected, directory));
}
