/** `plan accept`: writes down which documents are left out of a target, so that a run may end verified without them. */

import { acceptAtHand, withdrawAccepted } from '../../apply/accept.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { ExceptedClass, Plan } from '../../plan/plan.ts';
import { prepareSelection } from '../../selection/select-documents.ts';
import type { Selection } from '../../selection/selection.ts';
import type { Target } from '../../target/target.ts';
import { showCounted } from '../../text/quantities.ts';
import type { OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import { connect, requireDatabase } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { SHOWN } from '../dry-run-output.ts';
import { loadPlan, requireVariables } from '../load-plan.ts';
import { pageStyle, show, writeLines } from '../view.ts';
import { acceptedText, acceptLines, acceptView } from '../views/accept.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<void> {
  const name = options['target'] as TargetName;
  const reason = options['withdraw'] === true ? undefined : requireReason(options['reason']);
  const plan = await loadPlan(context, file, { refuseFuture: true });
  requireVariables(plan, [name]);
  await context.follow(['backup', 'selection', `comparison with ${name}`]);
  context.emit({ type: 'plan-read', name: plan.name, digest: plan.digest });
  const selection = await prepareSelection(context, { plan, patience: context.patience });
  const target = await connect(context, plan, { name });
  try {
    await requireDatabase(context, target);
    const work: Work = { context, file, plan, selection, target, options };
    if (reason === undefined) await takeBack(work);
    else await accept(work, reason);
  } finally {
    await target.close();
  }
}

interface Work {
  readonly context: CommandContext;
  /** The plan as it was named. */
  readonly file: string;
  readonly plan: Plan;
  readonly selection: Selection;
  readonly target: Target;
  readonly options: OptionValues;
}

/** Throws USAGE: what nobody gave a reason for, nobody can review. */
function requireReason(reason: unknown): string {
  if (typeof reason === 'string' && reason.trim() !== '') return reason;
  throw new RestorePlanError('USAGE', 'say why these documents may be left out', {
    hint: 'Add --reason "…": it is kept in the ledger, for whoever approves and for whoever asks later.',
  });
}

async function accept(
  { context, file, plan, selection, target, options }: Work,
  reason: string,
): Promise<void> {
  const classes = options['class'] as readonly ExceptedClass[] | undefined;
  const { name, reader } = target;
  const { collections, accepted } = await acceptAtHand(context, {
    ...requestOf({ context, plan, selection, target }),
    reason,
    ...(classes !== undefined && classes.length > 0 && { classes }),
    show: SHOWN,
    confirm: async (atHand) => {
      await context.endProgress();
      if (!context.options.quiet) {
        const page = { target: name, database: reader.database, reason, collections: atHand };
        await writeLines(context.stderr, acceptLines(page, pageStyle(context, 'stderr')));
      }
      const what = `Accept that ${acceptedText(atHand)} are left out of ${name}`;
      await confirm(context, { what, database: reader.database, given: options['confirm'] });
    },
  });
  const { digest } = selection.manifest;
  const facts = { target: name, digest, collections, accepted, withdrawn: 0 };
  await show(context, acceptView(facts, { file, isWithdrawal: false }));
}

async function takeBack({ context, file, plan, selection, target, options }: Work): Promise<void> {
  const { name, reader } = target;
  const withdrawn = await withdrawAccepted(context, {
    ...requestOf({ context, plan, selection, target }),
    confirm: async (count) => {
      await context.endProgress();
      const what = `Take back that ${showCounted(count, 'document')} are left out of ${name}`;
      await confirm(context, { what, database: reader.database, given: options['confirm'] });
    },
  });
  const { digest } = selection.manifest;
  const facts = { target: name, digest, collections: [], accepted: 0, withdrawn };
  await show(context, acceptView(facts, { file, isWithdrawal: true }));
}

function requestOf({ context, plan, selection, target }: Omit<Work, 'file' | 'options'>) {
  return { plan, selection, target, actor: { ...context.operator, pid: context.processId } };
}
