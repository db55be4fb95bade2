/** `plan backups`: lists the backups that the plan could use, which holds what, and the choice. Touches no target. */

import { type BackupListing, listBackups } from '../../backup/list-backups.ts';
import { RestorePlanError } from '../../errors.ts';
import { collectionNames } from '../../plan/plan.ts';
import { isStored } from '../../plan/sources/sources.ts';
import { STORE_KEYS } from '../../plan/sources/stores.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan, requireVariables } from '../load-plan.ts';
import { show } from '../view.ts';
import { backupsView } from '../views/backups.ts';

export async function run(context: CommandContext, [file = '']: readonly string[]): Promise<void> {
  const plan = await loadPlan(context, file, { refuseFuture: true });
  requireVariables(plan, []);
  const { location } = plan.source;
  if (!isStored(location)) {
    throw new RestorePlanError('USAGE', 'source.mongodb is one database: there is nothing to choose from', {
      hint: '`plan dry-run` reads it.',
    });
  }
  const { patience } = context;
  const wanted = collectionNames(plan);
  const listing = await listBackups(context, { ...plan.source, location }, { wanted, patience });
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
