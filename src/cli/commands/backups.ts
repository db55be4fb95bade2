/** `plan backups`: lists the backups that the plan could use, which holds what, and the choice. Touches no target. */

import type { BackupListing } from '../../backup/list-backups.ts';
import { RestorePlanError } from '../../errors.ts';
import { STORE_KEYS } from '../../plan/sources/stores.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { show } from '../view.ts';
import { backupsView } from '../views/backups.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const restore = await openPlan(context, file, { refuseFuture: true });
  const listing = await restore.backups();
  await show(context, backupsView(listing));
  const { refusal } = listing;
  if (refusal !== undefined) throw refusal;
  if (!listing.backups.some(({ chosen }) => chosen)) throw noneServes(listing);
}

function noneServes({ total }: BackupListing): RestorePlanError {
  if (total > 0) {
    return new RestorePlanError('BACKUP', 'none of these backups serves the plan', {
      hint: 'The reason stands beside each: correct source.at, the end of the template, or what the plan wants of the backup.',
    });
  }
  return new RestorePlanError('BACKUP', 'nothing matches the place that the plan names', {
    hint: `Compare ${STORE_KEYS} in the plan with the names that are there.`,
  });
}
