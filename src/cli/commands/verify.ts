/** `plan verify`: compares the restored documents with the target again, any time. */

import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { ExitName, OptionValue, OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { verifyView } from '../views/verify.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const restore = await openPlan(context, file);
  const name = options['target'] as TargetName;
  const every = readSample(options['sample']);
  restore.require(name);
  await context.follow(['verification']);
  const verification = await restore.verify(name, every);
  await show(context, verifyView(verification, { target: name, every }));
  return verification.failures === 0 ? 'OK' : 'VERIFICATION';
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
