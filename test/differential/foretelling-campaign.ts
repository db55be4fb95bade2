/**
 * Whatever a dry-run promises, apply does: random collections and documents are compared with a real target, then applied, and both
 * are held against each other, document by document.
 */

import { deserialize, EJSON, serialize } from 'bson';
import type { Document } from 'mongodb';
import { applySelection } from '../../src/apply/apply-selection.ts';
import { requirePreparable } from '../../src/apply/prepare-collection.ts';
import { compareWithTarget } from '../../src/comparison/compare-with-target.ts';
import type { DocumentClass } from '../../src/comparison/comparison.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { WhenMatched } from '../../src/plan/plan.ts';
import { runIn } from '../../src/run.ts';
import { CommandFailure } from '../../src/target/command-failure.ts';
import { readBlueprint } from '../../src/target/describe-collection.ts';
import { accessTo, type Target } from '../../src/target/target.ts';
import type { MadeCollection } from '../apply/made-selection.ts';
import { ACTOR, type Servers, type Workbench, withWorkbench } from '../apply/workbench.ts';
import { type Random, seededRandom } from '../lab/random.ts';
import { QUIET } from '../quiet-run.ts';
import { insertRaw } from '../target/insert-raw.ts';
import { type RandomCollection, randomCollection, randomDocument, randomId } from './random-collections.ts';

export interface ForetellingResult {
  readonly collections: number;
  /** Collections that the target lacked and that neither would create. */
  readonly uncreatable: number;
  readonly documents: number;
  readonly classes: Readonly<Record<string, number>>;
  /** Documents that the dry-run said it could not foretell. */
  readonly unforetold: number;
  readonly mismatches: readonly string[];
}

/** Collections of one selection: large enough that connecting and locking do not count. */
const PER_SELECTION = 25;
const DOCUMENTS = 14;

interface Case {
  readonly collection: string;
  readonly shape: RandomCollection;
  readonly whenMatched: WhenMatched;
  readonly documents: readonly Buffer[];
  readonly metadata: string;
  /** In the target before; undefined: the target lacks the collection. */
  readonly existing: readonly Buffer[] | undefined;
}

export async function runForetellingCampaign(
  servers: Servers,
  { seed, collections }: { readonly seed: number; readonly collections: number },
): Promise<ForetellingResult> {
  const random = seededRandom(seed);
  const tally = { uncreatable: 0, documents: 0, unforetold: 0 };
  const classes: Record<string, number> = {};
  const mismatches: string[] = [];
  for (let from = 0; from < collections; from += PER_SELECTION) {
    const cases = Array.from({ length: Math.min(PER_SELECTION, collections - from) }, (_, i) =>
      randomCase(random, `c${from + i}`),
    );
    await withWorkbench(servers, async (bench) => {
      const target = await bench.target('staging');
      const creatable: Case[] = [];
      for (const each of cases) {
        const verdict = await holdCreation(bench, target, each);
        if (verdict.mismatch !== undefined) mismatches.push(verdict.mismatch);
        if (verdict.isCreatable) creatable.push(each);
        else if (verdict.mismatch === undefined) tally.uncreatable++;
      }
      const result = await holdDocuments(bench, target, creatable);
      mismatches.push(...result.mismatches);
      tally.unforetold += result.unforetold;
      for (const documentClass of result.classes) {
        tally.documents++;
        classes[documentClass] = (classes[documentClass] ?? 0) + 1;
      }
    });
  }
  return { collections, ...tally, classes, mismatches };
}

function randomCase(random: Random, collection: string): Case {
  const shape = randomCollection(random);
  const documents = Array.from({ length: DOCUMENTS }, (_, i) => randomDocument(random, randomId(random, i)));
  const existing = random.chance(0.5)
    ? documents
        .filter(() => random.chance(0.3))
        .map((document) => (random.chance(0.4) ? document : { ...randomDocument(random, document['_id']) }))
    : undefined;
  const others = existing && Array.from({ length: 4 }, (_, i) => randomDocument(random, 1_000 + i));
  const bytes = (list: readonly Document[]): Buffer[] => list.map((each) => Buffer.from(serialize(each)));
  return {
    collection,
    shape,
    whenMatched: random.chance(0.4) ? 'replace' : 'keepExisting',
    documents: bytes(documents),
    metadata: EJSON.stringify(
      { options: shape.options, indexes: [{ v: 2, key: { _id: 1 }, name: '_id_' }, ...shape.indexes] },
      { relaxed: false },
    ),
    existing: existing && others && bytes([...existing, ...others]),
  };
}

function made({ collection, documents, whenMatched, metadata }: Case): MadeCollection {
  return { collection, documents, whenMatched, metadata };
}

const told = ({ shape }: Case): string => EJSON.stringify(shape);

/** Whether the tool would create it, against whether the server does. What is to be there beforehand is left in the target. */
async function holdCreation(
  bench: Workbench,
  target: Target,
  each: Case,
): Promise<{ readonly isCreatable: boolean; readonly mismatch?: string }> {
  const [selected] = bench.selection([made(each)]).manifest.collections;
  const question = { plan: bench.plan, selection: bench.selection([made(each)]), reader: target.reader };
  const foretold = await refusal(requirePreparable(question, selected!));
  const { writer } = accessTo(target);
  const blueprint = readBlueprint(each.collection, each.metadata);
  const actual = await refusal(
    (async () => {
      await writer.createCollection(each.collection, blueprint);
      await writer.createIndexes(each.collection, blueprint);
    })(),
  );
  const collection = (await bench.db('staging')).collection(each.collection);
  const isCreatable = actual === undefined;
  if (!isCreatable || each.existing === undefined) await collection.drop().catch(() => undefined);
  // Before the documents, so that the server's rules hold for them, too.
  else for (const document of each.existing) await insertRaw(writer, each.collection, [document]);
  if ((foretold === undefined) === isCreatable) return { isCreatable };
  return { isCreatable: false, mismatch: `${told(each)}\n  foretold: ${foretold}\n  server:   ${actual}` };
}

async function refusal(act: Promise<unknown>): Promise<string | undefined> {
  try {
    await act;
    return undefined;
  } catch (error) {
    if (error instanceof CommandFailure) return error.serverWords;
    if (error instanceof RestorePlanError) return error.message;
    throw error;
  }
}

interface Held {
  readonly classes: readonly DocumentClass[];
  readonly mismatches: readonly string[];
  readonly unforetold: number;
}

async function holdDocuments(bench: Workbench, target: Target, cases: readonly Case[]): Promise<Held> {
  if (cases.length === 0) return { classes: [], mismatches: [], unforetold: 0 };
  const selection = bench.selection(cases.map(made));
  const foretold = new Map<string, DocumentClass[]>();
  const reasons = new Map<string, string[]>();
  const comparison = await compareWithTarget(QUIET, {
    plan: bench.plan,
    selection,
    reader: target.reader,
    show: 0,
    each: ({ collection }, { index, class: documentClass, reason }) => {
      const classes = foretold.get(collection) ?? [];
      classes[index] = documentClass;
      foretold.set(collection, classes);
      const said = reasons.get(collection) ?? [];
      said[index] = reason;
      reasons.set(collection, said);
    },
  });
  const result = await applySelection(runIn(bench.workDirectory), {
    plan: bench.plan,
    selection,
    target,
    other: undefined,
    actor: ACTOR,
  });
  const mismatches: string[] = [];
  let unforetold = 0;
  for (const [i, each] of cases.entries()) {
    const classes = foretold.get(each.collection) ?? [];
    const expected = { inserted: 0, identical: 0, replaced: 0, kept: 0, conflict: 0, refused: 0 };
    for (const documentClass of classes) expected[outcomeOf(documentClass, each.whenMatched)]++;
    const { inserted, identical, replaced, kept, conflict, refused } = result.collections[i]!;
    const actual = { inserted, identical, replaced, kept, conflict, refused };
    if (JSON.stringify(expected) === JSON.stringify(actual)) continue;
    // Said beforehand: which of several selected documents takes a key under a collation.
    if (comparison.collections[i]?.warnings.some((warning) => warning.includes('was not looked at'))) {
      unforetold += classes.length;
      continue;
    }
    const notices = result.notices.filter(({ into }) => into === each.collection);
    mismatches.push(
      [
        `${told(each)} ${each.existing === undefined ? 'created' : 'existing'}, ${each.whenMatched}`,
        `  foretold: ${JSON.stringify(expected)}`,
        `  applied:  ${JSON.stringify(actual)}`,
        ...classes.map(
          (documentClass, at) => `  ${at} ${documentClass} ${reasons.get(each.collection)?.[at]}`,
        ),
        ...notices.map(({ id, outcome, reason }) => `  ${id} ${outcome}: ${reason}`),
        ...each.documents.map(
          (document) => `  ${EJSON.stringify(deserialize(document, { promoteValues: false }))}`,
        ),
      ].join('\n'),
    );
  }
  return { classes: [...foretold.values()].flat(), mismatches, unforetold };
}

function outcomeOf(
  documentClass: DocumentClass,
  whenMatched: WhenMatched,
): 'inserted' | 'identical' | 'replaced' | 'kept' | 'conflict' | 'refused' {
  if (documentClass === 'insert') return 'inserted';
  if (documentClass === 'identical' || documentClass === 'conflict' || documentClass === 'refused')
    return documentClass;
  return whenMatched === 'replace' ? 'replaced' : 'kept';
}
