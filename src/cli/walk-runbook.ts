/** The whole runbook on a terminal, after staging: a pause to look at it, then production. */
import { checkGate } from '../apply/admission.ts';
import type { GateVerdict } from '../apply/gate.ts';
import type { Plan } from '../plan/plan.ts';
import { shellWord } from '../report/shell-word.ts';
import { gateLines } from '../report/status-page.ts';
import { waysToLook } from '../report/ways-to-look.ts';
import { readBatches } from '../selection/file-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { applyStages, applyToTarget } from './apply-to-target.ts';
import type { ExitName } from './command.ts';
import { connectTargets } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { writeNextSteps } from './next-step.ts';
import { pageStyle, writeLines } from './page.ts';

interface Runbook {
  readonly plan: Plan;
  /** The plan as the operator named it. */
  readonly file: string;
  readonly selection: Selection;
  /** Value of `--exclusive`. */
  readonly exclusive: boolean;
}

/** Documents per collection that are offered to look at. */
const EXAMPLES = 3;

/**
 * Invites to production only where its gate is not known to be shut, and says what it still wants otherwise. Stops where the operator does not say to go on.
 * Production is still opened by its gate alone, and still wants its name typed.
 */
export async function goOnWithProduction(
  context: CommandContext,
  { plan, file, selection, exclusive }: Runbook,
): Promise<ExitName> {
  if (plan.targets.production === undefined) return 'OK';
  const examples = await examplesOf(selection);
  const facts = { file, database: plan.targets.staging.database, examples };
  const style = pageStyle(context, 'stderr');
  await writeLines(context.stderr, waysToLook(facts, style));
  const verdict = await askGate(context, plan, selection);
  if (!verdict.open) {
    const gate = { verdict, documentsLookedFor: true };
    await writeLines(context.stderr, ['', ...gateLines(gate, style, { file, planHasChanged: false })]);
    context.stderr.write(`Stopped before production. Once the gate is open: ${productionCommand(file)}.\n`);
    return 'GATE';
  }
  const answer = await context.ask('\nPress Enter to go on with production, or type anything else to stop: ');
  if (answer !== '') {
    context.stderr.write(`Stopped before production. To go on: ${productionCommand(file)}.\n`);
    return 'OK';
  }
  const confirm = undefined;
  await context.follow(applyStages(context, { plan, name: 'production', confirm }));
  const targets = await connectTargets(context, plan, 'production');
  const order = { plan, file, selection, targets, confirm, confirmPlan: undefined, exclusive };
  const { exit, steps } = await applyToTarget(context, order);
  await writeNextSteps(context, steps, file);
  return exit;
}

function productionCommand(file: string): string {
  return `\`plan apply ${shellWord(file)} --target production\``;
}

/** The whole gate: a document that was kept on staging has been read back, and differs all the same. */
async function askGate(context: CommandContext, plan: Plan, selection: Selection): Promise<GateVerdict> {
  const targets = await connectTargets(context, plan, 'production');
  try {
    const { target, other } = targets;
    if (other === undefined) throw new TypeError('production is not connected to without staging');
    const readers = { staging: other.reader, production: target.reader };
    return await checkGate(context, { plan, selection, ...readers });
  } finally {
    await targets.close();
  }
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
