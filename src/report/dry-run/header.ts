/** Top of the page: plan, backup in both zones, distance to `at`, selection. */
import { oplogSentences, oplogTold } from '../oplog-told.ts';
import { showBytes, showCounted, showDuration } from '../quantities.ts';
import { wrapped } from '../wrap.ts';
import type { DryRun, PageStyle } from './page.ts';

const LABEL = 10;

/** Warnings come first: what a reader should know before believing the rest. */
export function* header(run: DryRun, style: PageStyle): Generator<string> {
  const { plan, manifest } = run;
  for (const warning of warningsOf(run)) {
    for (const line of wrapped(`warning: ${warning}`, { columns: style.columns, hanging: 2 }))
      yield style.paint.odd(line);
  }
  yield* row('plan', [plan.name], style);
  if (plan.reason !== undefined) yield* row('', [plan.reason.replaceAll(/\s+/g, ' ').trim()], style);
  yield* row('backup', backupFacts({ plan, manifest }), style);
  const oplog = oplogTold(manifest);
  if (oplog !== undefined) yield* row('oplog', oplogSentences(oplog), style);
  yield* row('selection', selectionFacts(manifest), style);
}

/** Of the whole run, and of the targets named, each with its place. */
export function warningsOf({
  manifest,
  warnings = [],
  comparisons,
}: Omit<DryRun, 'plan' | 'notCompared'>): string[] {
  const ofTargets = comparisons.flatMap(({ target, collections }) =>
    collections.flatMap(({ into, warnings }) => warnings.map((warning) => `${target}.${into}: ${warning}`)),
  );
  return [...warnings, ...manifest.warnings, ...ofTargets];
}

function* row(label: string, facts: readonly string[], { paint, columns }: PageStyle): Generator<string> {
  let shown = label;
  for (const fact of facts) {
    for (const line of wrapped(fact, { columns: columns - LABEL })) {
      yield `${paint.strong(shown)}${' '.repeat(LABEL - shown.length)}${line}`;
      shown = '';
    }
  }
}

function backupFacts({ plan, manifest }: Pick<DryRun, 'plan' | 'manifest'>): string[] {
  const { backup } = manifest;
  const size = backup.size === undefined ? '' : `, ${showBytes(backup.size)}`;
  const facts = [backup.location, `${backup.kind}${size}`];
  if (backup.time !== undefined) {
    const utc = `${new Date(backup.time).toISOString().slice(0, 19).replace('T', ' ')} UTC`;
    const isLocal = backup.localTime !== undefined && backup.localTime !== utc;
    facts.push(isLocal ? `${backup.localTime} = ${utc}` : utc);
  }
  const { at } = plan.source;
  if (at !== undefined && backup.time !== undefined) {
    const distance = at.epochMs - backup.time;
    facts.push(
      distance === 0 ? `exactly at \`at\` ${at.text}` : `${showDuration(distance)} before \`at\` ${at.text}`,
    );
  }
  return facts;
}

function selectionFacts({ digest, collections, readToEnd }: DryRun['manifest']): string[] {
  const documents = collections.reduce((sum, { count }) => sum + count, 0);
  const bytes = collections.reduce((sum, each) => sum + each.bytes, 0);
  const facts = [`${showCounted(documents, 'document')}, ${showBytes(bytes)}, digest ${digest.slice(0, 12)}`];
  if (!readToEnd)
    facts.push('the backup was read only as far as needed; its other parts are not proven whole');
  return facts;
}
