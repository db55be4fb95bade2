/** `plan revert`: takes out what this plan inserted and nobody has changed since, and puts back what it replaced. */
import { type RevertRequest, revertSelection } from '../../apply/revert-selection.ts';
import type { TargetName } from '../../events.ts';
import { revertLines, revertObject } from '../../report/revert-page.ts';
import { appliedSelection } from '../applied-selection.ts';
import type { ExitName, OptionValues } from '../command.ts';
import { confirm } from '../confirm.ts';
import { connect } from '../connect-targets.ts';
import type { CommandContext } from '../context.ts';
import { loadPlan } from '../load-plan.ts';
import { pageStyle, writeLines } from '../page.ts';
import { requireVariables } from '../require-variables.ts';

export async function run(
  context: CommandContext,
  [file = '']: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  const plan = await loadPlan(context, file);
  const name = options['target'] as TargetName;
  requireVariables(plan, [name]);
  const target = await connect(context, plan, { name });
  try {
    const applied = await appliedSelection(context, plan, target.reader);
    if (applied === undefined) {
      await context.endProgress();
      context.json({ type: 'revert', target: name, selection: null, collections: [], untouched: [] });
      if (!context.options.json)
        context.stdout.write(`The plan was never applied to ${name}: nothing to revert.\n`);
      return 'OK';
    }
    const report = await revertSelection({
      ...context,
      plan,
      selection: applied.selection,
      target,
      actor: { ...context.operator, pid: context.processId },
      confirm: lastWord(context, { database: target.reader.database, name, given: options['confirm'] }),
    });
    await context.endProgress();
    context.json(revertObject(report));
    if (!context.options.json) {
      await writeLines(context.stdout, revertLines(report, { isPreview: false }, pageStyle(context)));
    }
    return 'OK';
  } finally {
    await target.close();
  }
}

interface Asking {
  readonly database: string;
  readonly name: TargetName;
  /** Value of `--confirm`. */
  readonly given: OptionValues[string];
}

/** What would be done is shown to whoever sits at the terminal; production needs the database's name, as for an apply. */
function lastWord(
  context: CommandContext,
  { database, name, given }: Asking,
): NonNullable<RevertRequest['confirm']> {
  return async (preview) => {
    await context.endProgress();
    if (!context.options.quiet) {
      await writeLines(
        context.stderr,
        revertLines(preview, { isPreview: true }, pageStyle(context, 'stderr')),
      );
    }
    if (name === 'staging' && given === undefined) return;
    await confirm(context, { what: `Revert the plan in ${name}`, database, given });
  };
}
