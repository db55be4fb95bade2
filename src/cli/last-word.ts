/** What an operator sees and says before production is written to. */
import { leftOutOf } from '../apply/accept.ts';
import { compareWithTarget } from '../comparison/compare-with-target.ts';
import type { Plan } from '../plan/plan.ts';
import { documentsOf } from '../report/dry-run/documents.ts';
import { dryRunEnd, dryRunPage } from '../report/dry-run/page.ts';
import { showBytes, showCounted } from '../report/quantities.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetReader } from '../target/target.ts';
import type { OptionValue } from './command.ts';
import { confirm } from './confirm.ts';
import type { CommandContext } from './context.ts';
import { SHOWN } from './dry-run-output.ts';
import { pageStyle, writeLines } from './page.ts';

export interface Proposal {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** Value of `--confirm`. */
  readonly given: OptionValue;
}

/**
 * Staging needs no word, but a wrong one is refused there too. Production is compared once more and shown to whoever sits at the terminal, who then types the
 * database's name; `--confirm` says it beforehand. Throws USAGE where nobody can say it, or says another.
 */
export async function lastWord(context: CommandContext, proposal: Proposal): Promise<void> {
  const { selection, reader, given } = proposal;
  if (reader.name === 'staging' && given === undefined) return;
  if (given === undefined && context.interactive) await showWhatIsThere(context, proposal);
  const { collections } = selection.manifest;
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  await confirm(context, {
    what: `Write ${showCounted(documents, 'document')} (${showBytes(bytes)}) to ${reader.name}`,
    database: reader.database,
    given,
  });
}

async function showWhatIsThere(
  context: CommandContext,
  { plan, selection, reader }: Proposal,
): Promise<void> {
  const { stderr, warnings } = context;
  const leftOut = await leftOutOf(context, { plan, selection, reader });
  const comparison = await compareWithTarget(context, { plan, selection, reader, leftOut, show: SHOWN });
  const run = { plan, manifest: selection.manifest, comparisons: [comparison], notCompared: [], warnings };
  await context.endProgress();
  const style = pageStyle(context, 'stderr');
  stderr.write('\n');
  await writeLines(stderr, dryRunPage(run, style));
  await writeLines(stderr, documentsOf([comparison], style, SHOWN));
  await writeLines(stderr, dryRunEnd(run, context.now(), style));
}
