/** `plan unlock`: takes the lock away from a holder that is known to be dead. It is the database's: any plan of it will do, or none. */

import type { TargetName } from '../../events.ts';
import { openLedger } from '../../ledger/ledger.ts';
import { connectTarget } from '../../target/connect.ts';
import { neutral } from '../../text/escape.ts';
import { type OptionValues, usage } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { databaseWithoutPlan, ungated, WITHOUT_PLAN } from '../without-plan.ts';

export async function run(
  context: CommandContext,
  [file]: readonly string[],
  options: OptionValues,
): Promise<void> {
  const name = options['target'] as TargetName;
  const holder = String(options['holder']);
  const database = databaseWithoutPlan(context, file, options);
  if (database !== undefined) {
    const target = await connectTarget(context, name, ungated(database));
    context.atEnd(() => target.close());
    await openLedger(target).unlock(holder);
  } else {
    if (file === undefined) throw usage('say which lock is meant', WITHOUT_PLAN);
    const restore = await openPlan(context, file);
    restore.require(name);
    await restore.unlock(name, holder);
  }
  await show(context, {
    page: () => [`Unlocked ${name}; ${neutral(holder)} held it.`],
    objects: () => [{ type: 'unlock', target: name, holder }],
  });
}
