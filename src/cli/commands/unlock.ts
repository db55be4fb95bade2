/** `plan unlock`: takes the lock away from a holder that is known to be dead. */

import type { TargetName } from '../../events.ts';
import { neutral } from '../../text/escape.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const restore = await openPlan(context, file);
  const name = options['target'] as TargetName;
  const holder = String(options['holder']);
  restore.require(name);
  await restore.unlock(name, holder);
  await show(context, {
    page: () => [`Unlocked ${name}; ${neutral(holder)} held it.`],
    objects: () => [{ type: 'unlock', target: name, holder }],
  });
}
