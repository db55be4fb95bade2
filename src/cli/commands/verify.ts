/** `plan verify`: compares the restored documents with the target again, any time. */

import { verifyRestore } from '../../apply/verify-selection.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import { appliedSelection } from '../applied-selection.ts';
import type { ExitName, OptionValue, OptionValues } from '../command.ts';
import { connect } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan, requireVariables } from '../load-plan.ts';
import { show } from '../view.ts';
import { verifyView } from '../views/verify.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const plan = await loadPlan(context, file);
  const name = options['target'] as TargetName;
  const every = readSample(options['sample']);
  requireVariables(plan, [name]);
  await context.follow(['verification']);
  const target = await connect(context, plan, { name });
  try {
    const applied = await appliedSelection(context, plan, target.reader);
    const status = applied?.run.status ?? 'planned';
    if (applied === undefined || status === 'planned' || status === 'reverted') {
      throw new RestorePlanError(
        'VERIFICATION',
        status === 'planned'
          ? `the plan was never applied to ${name}`
          : `what the plan restored in ${name} was reverted`,
        { hint: `Restore it with \`plan apply --target ${name}\`.` },
      );
    }
    const { selection } = applied;
    const verification = await verifyRestore(context, { plan, selection, target, every });
    const { digest } = selection.manifest;
    await show(context, verifyView(verification, { target: name, digest, every }));
    return verification.failures === 0 ? 'OK' : 'VERIFICATION';
  } finally {
    await target.close();
  }
}

/** `1/100` is one document in a hundred. */
function readSample(sample: OptionValue): number {
  if (sample === undefined) return 1;
  const every = /^1\/([1-9]\d{0,6})$/.exec(String(sample))?.[1];
  if (every !== undefined) return Number(every);
  throw new RestorePlanError('USAGE', '--sample must be a fraction like 1/100', {
    hint: '1/100 compares one document in a hundred; without --sample all are compared.',
  });
}
