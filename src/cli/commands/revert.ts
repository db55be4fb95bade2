/**
 * `plan revert`: takes out what this plan inserted and nobody has changed since, and puts back what it replaced. The target's ledger is all
 * it needs: of the plan file, only its name and the target are used, and `--plan-name` does without the file.
 */

import { previewRevert, type RevertRequest, revertPlan } from '../../apply/revert.ts';
import { leftOf, totalOf } from '../../apply/revert-entry.ts';
import { RestorePlanError } from '../../errors.ts';
import type { TargetName } from '../../events.ts';
import type { RunRecord } from '../../ledger/run-record.ts';
import { readRuns, runsOfPlan } from '../../ledger/runs.ts';
import type { TargetPlan } from '../../plan/plan.ts';
import { keptSelection } from '../../selection/open-selection.ts';
import { connectTarget } from '../../target/connect.ts';
import type { Target } from '../../target/target.ts';
import { type ExitName, type OptionValues, usage } from '../command.ts';
import { confirm } from '../confirm.ts';
import type { CommandContext } from '../context.ts';
import { openPlan } from '../load-plan.ts';
import { pageStyle, show, writeLines } from '../view.ts';
import { revertLines, revertView, runLines } from '../views/revert.ts';
import { connectionStringIn, type NamedDatabase, ungated } from '../without-plan.ts';

export async function run(
  context: CommandContext,
  [file]: readonly string[],
  options: OptionValues,
): Promise<ExitName> {
  await context.follow(['reverting']);
  const isPreview = options['dryRun'] === true;
  const request: RevertRequest = {
    ...(await openRevert(context, file, options)),
    selection: options['selection'] as string | undefined,
    exclusive: options['exclusive'] === true,
  };
  const report = isPreview
    ? await previewRevert(context, request)
    : await revertPlan(context, {
        ...request,
        confirm: (runs) => lastWord(context, request, { runs, options }),
      });
  await show(context, revertView(report, { isPreview }));
  const total = totalOf(report);
  if (!isPreview) return leftOf(total) + report.unnamed > 0 ? 'CONFLICTS' : 'OK';
  const isPending = total.remove + total.putBack > 0;
  return options['detailedExitcode'] === true && isPending ? 'CHANGES_PENDING' : 'OK';
}

type Opened = Pick<RevertRequest, 'plan' | 'target' | 'actor' | 'selectionOf'>;

/** From the plan file, or from `--plan-name`, `--uri-env` and `--database`. */
async function openRevert(
  context: CommandContext,
  file: string | undefined,
  options: OptionValues,
): Promise<Opened> {
  const { planName, uriEnv, database, target: name } = options;
  const given = [planName, uriEnv, database].filter((each) => each !== undefined).length;
  if (file === undefined) {
    if (given < 3) throw usage('say which plan to revert', WITHOUT_FILE);
    const place = { uri: connectionStringIn(context, uriEnv as string), database: database as string };
    return openWithoutFile(context, planName as string, { ...place, name: name as TargetName | undefined });
  }
  if (given > 0) throw usage('--plan-name, --uri-env and --database stand for a plan file', WITHOUT_FILE);
  if (name === undefined)
    throw usage('say which target to revert', 'Add `--target staging` or `--target production`.');
  const restore = await openPlan(context, file);
  return restore.reverting(name as TargetName);
}

const WITHOUT_FILE =
  'Give a plan file and --target; or, without a file, --plan-name, --uri-env (the variable that holds the connection string) and --database.';

interface NamedTarget extends NamedDatabase {
  readonly name: TargetName | undefined;
}

/** Which target it is, the ledger says. */
async function openWithoutFile(
  context: CommandContext,
  plan: string,
  { name, ...place }: NamedTarget,
): Promise<Opened> {
  const targetPlan = ungated(place);
  const opened = await connectTarget(context, name ?? 'staging', targetPlan);
  const target = await asRecorded(context, opened, { plan, targetPlan, isFixed: name !== undefined });
  context.atEnd(() => target.close());
  return {
    plan,
    target,
    actor: { ...context.operator, pid: context.processId },
    selectionOf: async ({ key }) => {
      const kept = await keptSelection(context.workDirectory, key.selection);
      if (kept !== undefined) return kept;
      throw new RestorePlanError(
        'BACKUP',
        `the run of selection ${key.selection.slice(0, 12)} was recorded by an older version, which kept no hashes of its documents`,
        { hint: 'Give the plan file instead of --plan-name, so that its backup can be read again.' },
      );
    },
  };
}

interface Recorded {
  readonly plan: string;
  readonly targetPlan: TargetPlan;
  readonly isFixed: boolean;
}

/** The same connection, or another one under the name that the plan's runs were recorded with. */
async function asRecorded(
  context: CommandContext,
  target: Target,
  { plan, targetPlan, isFixed }: Recorded,
): Promise<Target> {
  try {
    const all = await readRuns(target.reader);
    const [newest] = runsOfPlan(all, { name: plan }, target.reader);
    if (newest === undefined) {
      const others = [...new Set(all.map(({ key }) => key.plan))];
      throw usage(
        `the ledger of ${target.reader.database} has no run of a plan named ${plan}`,
        others.length === 0
          ? 'It has no run of any plan: check the database.'
          : `It has runs of ${others.slice(0, 10).join(', ')}.`,
      );
    }
    if (isFixed || newest.target === target.name) return target;
    await target.close();
    return await connectTarget(context, newest.target, targetPlan);
  } catch (error) {
    await target.close();
    throw error;
  }
}

interface Asking {
  readonly runs: readonly RunRecord[];
  readonly options: OptionValues;
}

/**
 * What would be done is shown to whoever sits at the terminal, who then types the database's name, or for staging presses Enter;
 * `--confirm` says it beforehand, and production wants one of the two.
 */
async function lastWord(
  context: CommandContext,
  request: RevertRequest,
  { runs, options }: Asking,
): Promise<void> {
  const { name, reader } = request.target;
  const given = options['confirm'];
  const asks = given === undefined && context.interactive;
  if (asks) {
    const preview = await previewRevert(context, request);
    await context.endProgress();
    await writeLines(context.stderr, revertLines(preview, { isPreview: true }, pageStyle(context, 'stderr')));
  } else if (!context.options.quiet) {
    await context.endProgress();
    await writeLines(context.stderr, runLines(runs, pageStyle(context, 'stderr')));
  }
  if (name === 'staging' && given === undefined) {
    if (!asks) return;
    const answer = await context.ask('\nPress Enter to go on, or type anything else to stop: ');
    if (answer === '') return;
    throw usage('not confirmed', 'Nothing was written.');
  }
  const what = `Revert ${request.plan} in ${name}`;
  await confirm(context, { what, database: reader.database, given });
}
