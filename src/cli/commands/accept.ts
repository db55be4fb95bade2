/** `plan accept`: writes down which documents are left out of a target, so that a run may end verified without them. */

import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { ExceptedClass } from '../../plan/plan.ts';
import type { Restore } from '../../restore/restore.ts';
import type { OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { pageStyle, show, writeLines } from '../view.ts';
import { acceptedText, acceptLines, acceptView, thatAre } from '../views/accept.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const name = options['target'] as TargetName;
  const reason = options['withdraw'] === true ? undefined : requireReason(options['reason']);
  const restore = await openPlan(context, file, { refuseFuture: true });
  const { plan } = restore;
  restore.require(name);
  await context.follow(['backup', 'selection', `comparison with ${name}`]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });
  const work: Work = { context, restore, name, options };
  if (reason === undefined) await takeBack(work);
  else await accept(work, reason);
}

interface Work {
  readonly context: CommandContext;
  /** The plan as it was named. */
  readonly restore: Restore;
  readonly name: TargetName;
  readonly options: OptionValues;
}

/** Stands in commands that are advised. */
const NO_REASON = '…';

/** Throws USAGE: what nobody gave a reason for, nobody can review. */
function requireReason(reason: unknown): string {
  if (typeof reason === 'string' && !['', NO_REASON].includes(reason.trim())) return reason;
  throw new RestorePlanError('USAGE', 'say why these documents may be left out', {
    hint: 'Add --reason "…": it is kept in the ledger, for whoever approves and for whoever asks later.',
  });
}

async function accept({ context, restore, name, options }: Work, reason: string): Promise<void> {
  const classes = options['class'] as readonly ExceptedClass[] | undefined;
  const database = restore.plan.targets[name]?.database ?? '';
  const { collections, accepted } = await restore.accept(name, {
    reason,
    ...(classes !== undefined && classes.length > 0 && { classes }),
    confirm: async (atHand) => {
      await context.endProgress();
      if (!context.options.quiet) {
        const page = { target: name, database, reason, collections: atHand };
        await writeLines(context.stderr, acceptLines(page, pageStyle(context, 'stderr')));
      }
      const what = `Accept that ${acceptedText(atHand)} left out of ${name}`;
      await confirm(context, { what, database, given: options['confirm'] });
    },
  });
  const { digest } = (await restore.select()).manifest;
  const facts = { target: name, digest, collections, accepted, withdrawn: 0 };
  await show(context, acceptView(facts, { given: context.given, isWithdrawal: false }));
}

async function takeBack({ context, restore, name, options }: Work): Promise<void> {
  const database = restore.plan.targets[name]?.database ?? '';
  const withdrawn = await restore.withdrawAccepted(name, async (count) => {
    await context.endProgress();
    const what = `Take back that ${thatAre(count)} left out of ${name}`;
    await confirm(context, { what, database, given: options['confirm'] });
  });
  const { digest } = (await restore.select()).manifest;
  const facts = { target: name, digest, collections: [], accepted: 0, withdrawn };
  await show(context, acceptView(facts, { given: context.given, isWithdrawal: true }));
}
