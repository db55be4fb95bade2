/** The whole runbook on a terminal: staging, a pause to look at it, production. */
import type { Plan } from '../plan/plan.ts';
import { shellWord } from '../report/shell-word.ts';
import { waysToLook } from '../report/ways-to-look.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { applyStages, applyToTarget } from './apply-to-target.ts';
import type { ExitName } from './command.ts';
import type { CommandContext } from './context.ts';
import { pageStyle, writeLines } from './page.ts';

interface Runbook {
  readonly plan: Plan;
  /** The plan as the operator named it. */
  readonly file: string;
  readonly selection: Selection;
}

/** Documents per collection that are offered to look at. */
const EXAMPLES = 3;

/**
 * Stops where a target does not end well, and where the operator does not say to go on. Production is still opened by its
 * gate alone, and still wants its name typed.
 */
export async function walkRunbook(
  context: CommandContext,
  { plan, file, selection }: Runbook,
): Promise<ExitName> {
  const order = { plan, file, selection, confirm: undefined };
  const staging = await applyToTarget(context, { ...order, name: 'staging' });
  if (staging !== 'OK' || plan.targets.production === undefined) return staging;

  const examples = await examplesOf(selection);
  const facts = { file, database: plan.targets.staging.database, examples };
  await writeLines(context.stderr, waysToLook(facts, pageStyle(context, 'stderr')));
  const answer = await context.ask('\nPress Enter to go on with production, or type anything else to stop: ');
  if (answer !== '') {
    context.stderr.write(
      `Stopped before production. To go on: \`plan apply ${shellWord(file)} --target production\`.\n`,
    );
    return 'OK';
  }
  await context.follow(applyStages(context, { plan, name: 'production', confirm: undefined }));
  return applyToTarget(context, { ...order, name: 'production' });
}

/** The first documents of each collection, raw, by their collection in the target. */
async function examplesOf(selection: Selection): Promise<Map<string, Buffer[]>> {
  const examples = new Map<string, Buffer[]>();
  for (const { collection, into, count } of selection.manifest.collections) {
    if (count === 0) continue;
    const batches = readBatches(selection, collection, { maxBytes: 64 * 1024, maxDocuments: EXAMPLES });
    for await (const { bytes, offsets } of batches) {
      examples.set(
        into,
        offsets.map((start, i) => bytes.subarray(start, offsets[i + 1] ?? bytes.length)),
      );
      break;
    }
  }
  return examples;
}
