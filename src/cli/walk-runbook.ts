/** The whole runbook on a terminal, after staging: a pause to look at it, then production. */
import { checkGate } from '../apply/admission.ts';
import type { GateVerdict } from '../apply/gate.ts';
import { showValue } from '../bson/show.ts';
import { findId } from '../bson/stored-form.ts';
import type { Plan } from '../plan/plan.ts';
import { readBatches } from '../selection/file-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { neutral, shellWord } from '../text/escape.ts';
import { columnsOf, type PageStyle } from '../text/terminal.ts';
import { applyStages, applyToTarget } from './apply-to-target.ts';
import type { ExitName } from './command.ts';
import { connectTargets } from './connect-targets.ts';
import type { CommandContext } from './context.ts';
import { writeNextSteps } from './next-step.ts';
import { pageStyle, writeLines } from './view.ts';
import { gateLines } from './views/status.ts';

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

// How to look at what was restored to staging, before production: command lines to copy.

interface LookFacts {
  /** The plan as the operator named it. */
  readonly file: string;
  readonly database: string;
  /** Some restored documents, raw, by their collection in the target. */
  readonly examples: ReadonlyMap<string, readonly Buffer[]>;
}

/**
 * Lines without newlines. They are not wrapped, so that they can be copied; what mongosh reads is written in short lines, each of which
 * asks for the next, so that it can be pasted from a terminal of any width.
 */
export function* waysToLook(
  { file, database, examples }: LookFacts,
  { paint, columns }: PageStyle,
): Generator<string> {
  yield '';
  yield paint.strong('Look at staging before you go on.');
  yield 'Compare it again, in another terminal:';
  yield `  plan verify ${shellWord(file)} --target staging`;
  yield `  plan dry-run ${shellWord(file)} --target production`;
  yield 'Some of the restored documents, in mongosh on the staging server:';
  yield `  use ${neutral(database)}`;
  for (const [collection, documents] of examples) {
    const ids = documents.flatMap((document) => {
      const id = findId(document);
      return id === undefined ? [] : [showValue(id)];
    });
    const name = neutral(JSON.stringify(collection));
    const opening = `  db.getCollection(${name}).find({`;
    if (columnsOf(opening) <= columns) yield opening;
    else yield* ['  db.getCollection(', `    ${name}`, '  ).find({'];
    yield '    _id: { $in: EJSON.deserialize([';
    for (const id of ids) yield `    ${id},`;
    yield '    ]) }';
    yield '  })';
  }
}
