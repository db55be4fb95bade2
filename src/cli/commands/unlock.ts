/** `plan unlock`: takes the lock away from a holder that is known to be dead. */

import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import { openLedger } from '../../ledger/ledger.ts';
import { readLock } from '../../ledger/lock-state.ts';
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
  const target = await restore.connect(name);
  if (!(await openLedger(target).unlock(holder))) {
    const now = (await readLock(target.reader))?.holder;
    throw new RestorePlanError('LOCKED', `${neutral(holder)} does not hold the lock of ${name}`, {
      hint:
        now === undefined
          ? 'Nobody does: the next run can take it.'
          : `${now.name} holds it. Make sure that it is dead before you name it.`,
      facts: { holder: now?.name ?? null },
    });
  }
  await show(context, {
    page: () => [`Unlocked ${name}; ${neutral(holder)} held it.`],
    objects: () => [{ type: 'unlock', target: name, holder }],
  });
}
