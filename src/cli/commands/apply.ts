/** `plan apply`: opens the gate, writes the documents, reads them back. Stopped part-way, the same command goes on. */
import { applySelection } from '../../apply/apply-selection.ts';
import type { TargetName } from '../../events.ts';
import { applyExit, applyPage } from '../../report/apply-page.ts';
import { applyObject } from '../../report/json-results.ts';
import { paintWith } from '../../report/paint.ts';
import { showBytes, showCounted } from '../../report/quantities.ts';
import { prepareSelection } from '../../selection/prepare-selection.ts';
import type { Selection } from '../../selection/selection.ts';
import { VERSION } from '../../version.ts';
import type { ExitName, OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import { connectTargets } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { requireVariables } from '../require-variables.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const plan = await loadPlan(context, file);
  const name = options['target'] as TargetName;
  requireVariables(plan, name === 'production' ? ['staging', 'production'] : ['staging']);
  await context.follow(['backup', 'selection', 'gate', 'writing', 'verification']);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });

  const selection = await prepareSelection({ ...context, plan, toolVersion: VERSION });
  const targets = await connectTargets(context, plan, name);
  try {
    const result = await applySelection({
      ...context,
      plan,
      selection,
      target: targets.target,
      other: targets.other?.reader,
      actor: { ...context.operator, pid: context.processId },
      toolVersion: VERSION,
      confirm: async () => {
        if (name === 'staging') return;
        const database = targets.target.reader.database;
        await confirm(context, { what: about(selection, name), database, given: options['confirm'] });
      },
    });
    await context.endProgress();
    context.json(applyObject(result));
    if (!context.options.json) {
      for (const line of applyPage(result, {
        paint: paintWith(context.color.stdout),
        columns: context.stdout.columns,
      }))
        context.stdout.write(`${line}\n`);
    }
    return applyExit(result);
  } finally {
    await targets.close();
  }
}

function about({ manifest: { collections } }: Selection, target: TargetName): string {
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  return `Write ${showCounted(documents, 'document')} (${showBytes(bytes)}) to ${target}`;
}
