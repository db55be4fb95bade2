/**
 * Compares a selection with one target, which it can only read.
 *
 * Documents are compared batch by batch, a few batches in flight: memory is bounded by the batches, however large the
 * selection is. Every document is counted; details are kept for the first few of each class, or handed on one by one.
 */

import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { Documents } from '../bson/documents.ts';
import { type Plan, settingsOf, type WhenMatched } from '../plan/plan.ts';
import { comparesText, compileQuery } from '../query/compile-query.ts';
import { type Run, untold } from '../run.ts';
import { readBatches } from '../selection/read-batches.ts';
import type { SelectedCollection, Selection } from '../selection/selection.ts';
import type { TargetCollection, TargetReader } from '../target/target.ts';
import type { CandidateCheck } from './candidate.ts';
import { expiryCheck, shardKeyCheck, validatorCheck } from './collection-checks.ts';
import { type BatchFindings, type CollectionRules, compareBatch, type Finding } from './compare-batch.ts';
import {
  type ComparedCollection,
  type ComparedDocument,
  type DocumentClass,
  type DocumentSides,
  type LeftOutWhy,
  Tally,
  type TargetComparison,
} from './comparison.ts';
import { collectionToCreate, requireFit } from './fitness.ts';
import { indexFitCheck } from './index-fit.ts';
import { indexText, isHidden, isIdIndex, isOrdered, pathsOf } from './index-keys.ts';
import { exceptedClassOf, type LeftOut } from './left-out.ts';
import { MaskedText } from './masked-text.ts';
import { mapConcurrently } from './meet.ts';
import { fieldDifferences } from './pair.ts';
import { ReferenceCheck } from './references.ts';
import { SharedKeys } from './shared-keys.ts';
import type { Sighting, TargetMemory } from './target-memory.ts';
import { uniqueIndexCheck } from './unique-indexes.ts';

/** Three batches and their counterparts from the target stay below 20 MB; larger ones gain no speed. */
const BATCHES_IN_FLIGHT = 3;
const BATCH = { maxBytes: 2 * 1024 * 1024, maxDocuments: 2_000, held: BATCHES_IN_FLIGHT };

/** Characters of one document's text, of one differing value's, and of a document that a program is to read. */
const DOCUMENT_TEXT = 4_000;
const VALUE_TEXT = 400;
const OBJECT_TEXT = 2 * 1024 * 1024;

export interface CompareRequest {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
  /** Documents kept per class and collection. */
  readonly show: number;
  /** Dangling references kept per collection; as many as documents when left out. */
  readonly showDangling?: number;
  /** Told of what cannot be written, and asked what is left out for that; what is named must be marked. Without it nothing is. */
  readonly leftOut?: LeftOut;
  /** Filled with what the target holds of each document. */
  readonly memory?: TargetMemory;
  /** Is given the documents of the selection, in backup order, with their details; awaited. */
  readonly each?: (collection: SelectedCollection, document: ComparedDocument) => void | Promise<void>;
  /** Is told the class of each document of the selection, in backup order. */
  readonly found?: (collection: SelectedCollection, index: number, documentClass: DocumentClass) => void;
  /** Documents per class and collection that `each` is given; all when left out. */
  readonly most?: number;
  readonly forms?: DocumentForms;
}

/** In which further forms documents are described. */
export interface DocumentForms {
  /** Texts of documents are as long as `canonical` ones may be, for readers with more room than a terminal. */
  readonly long?: boolean;
  readonly canonical?: boolean;
  readonly masked?: boolean;
}

/** Throws RestorePlanError TARGET when the target cannot be asked, or cannot be restored into. */
export async function compareWithTarget(run: Run, request: CompareRequest): Promise<TargetComparison> {
  const { plan, selection, reader, forms = {} } = request;
  const { collections } = selection.manifest;
  const documents = collections.reduce((sum, each) => sum + each.count, 0);
  run.emit({ type: 'comparison-started', target: reader.name, documents });
  const { mask } = plan;
  const texts = {
    documents: new MaskedText({ mask, limit: DOCUMENT_TEXT }),
    values: new MaskedText({ mask, limit: VALUE_TEXT }),
  };
  const long = new MaskedText({ mask, limit: OBJECT_TEXT });
  const shared: Shared = {
    texts,
    handedOn: {
      documents: forms.long ? long : texts.documents,
      values: texts.values,
      canonical: forms.canonical ? long : undefined,
      masked: forms.masked ? new MaskedText({ mask, limit: OBJECT_TEXT, hidesAll: true }) : undefined,
    },
    referenceCheck: new ReferenceCheck(reader, selection, texts.values),
    serverTime: await reader.serverTime(),
    compared: 0,
  };
  const compared: ComparedCollection[] = [];
  for (const each of collections) compared.push(await compareCollection(run, request, each, shared));
  run.emit({ type: 'comparison-finished', target: reader.name });
  const { kind, id, version } = reader.identity;
  return {
    target: reader.name,
    database: reader.database,
    server: `${kind} ${id} (MongoDB ${version})`,
    collections: compared,
  };
}

/** Documents, and values within them, as text. */
interface Texts {
  readonly documents: MaskedText;
  readonly values: MaskedText;
  readonly canonical?: MaskedText | undefined;
  readonly masked?: MaskedText | undefined;
}

/** What the collections of one comparison have in common. */
interface Shared {
  readonly texts: Texts;
  /** Of documents that are not kept in memory, and may take more of it. */
  readonly handedOn: Texts;
  readonly referenceCheck: ReferenceCheck;
  /** UTC milliseconds by the target's clock. */
  readonly serverTime: number;
  /** Documents compared so far. */
  compared: number;
}

async function compareCollection(
  run: Run,
  request: CompareRequest,
  selected: SelectedCollection,
  shared: Shared,
): Promise<ComparedCollection> {
  const { selection, reader } = request;
  const { emit, signal } = run;
  const warnings = new Set<string>();
  const warn = (message: string): void => void warnings.add(message);
  const existing = await reader.collection(selected.into);
  if (existing !== undefined) requireFit(reader, existing);
  const collection = existing ?? (await collectionToCreate(request, selected, warn));
  const rules = await rulesFor(request, {
    selected,
    collection,
    isMissing: existing === undefined,
    shared,
    warn,
  });
  const { showId } = shared.texts.values;
  const sharedKeys = await SharedKeys.find({
    selection,
    name: selected.collection,
    collection,
    showId,
    warn,
    signal,
  });
  if (request.leftOut !== undefined) await holdBack(run, request, request.leftOut, { selected, collection });
  const tally = new Tally({ documents: request.show, dangling: request.showDangling ?? request.show });
  const batches = readBatches(selection, selected.collection, BATCH);
  const take = async ({ findings, dangling }: BatchFindings): Promise<void> => {
    for (const found of findings) {
      const isLeftOut = request.leftOut?.of(selected.collection, found.index) !== undefined;
      const finding = isLeftOut ? found : withClaim(found, selected.whenMatched, sharedKeys);
      const why = request.leftOut && whyLeftOut(request.leftOut, selected, finding);
      request.memory?.remember(
        { collection: selected.collection, index: finding.index },
        sightingOf(finding),
      );
      request.found?.(selected, finding.index, finding.class);
      const isKept = tally.count(finding.class);
      if (why !== undefined) tally.countLeftOut(finding.class, why);
      const isHandedOn =
        request.each !== undefined &&
        tally.counts[finding.class] <= (request.most ?? Number.POSITIVE_INFINITY);
      if (isKept) tally.keep(withWhy(describe(finding, shared.texts), why));
      if (isHandedOn) await request.each?.(selected, withWhy(describe(finding, shared.handedOn), why));
    }
    tally.addDangling(dangling);
    shared.compared += findings.length;
    emit({ type: 'comparison-progress', target: reader.name, compared: shared.compared });
  };
  // The first part of a batch, mostly the only one, is compared while earlier batches are taken; the others in their turn.
  const compare = async (batch: Documents) => {
    signal.throwIfAborted();
    const others = compareBatch(batch, rules);
    return { first: await others.next(), others };
  };
  const weigh = ({ bytes }: Documents): number => bytes.length;
  const compared = mapConcurrently(batches, { inFlight: BATCHES_IN_FLIGHT, weigh }, compare);
  for await (const { first, others } of compared) {
    if (!first.done) await take(first.value);
    for await (const findings of others) await take(findings);
  }
  return {
    collection: selected.collection,
    into: selected.into,
    whenMatched: selected.whenMatched,
    selected: selected.count,
    counts: tally.counts,
    ...(tally.leftOut && { leftOut: tally.leftOut }),
    danglingReferences: tally.danglingReferences,
    wouldCreate: existing === undefined ? { indexes: collection.indexes.length } : undefined,
    documents: tally.documents,
    dangling: tally.dangling,
    warnings: [...warnings],
  };
}

/** What an apply would make of a document, beside its class; undefined where it is not left out. */
function whyLeftOut(
  leftOut: LeftOut,
  selected: SelectedCollection,
  { class: documentClass, index, target }: Finding,
): LeftOutWhy | undefined {
  const { collection } = selected;
  if (documentClass === 'identical') return undefined;
  if (target === undefined && leftOut.of(collection, index) === 'heldBack')
    return leftOut.heldBackFor(collection, index);
  const noted = exceptedClassOf(documentClass);
  if (noted === undefined) return leftOut.of(collection, index) && 'excepted';
  return leftOut.note(selected, index, noted) ? 'excepted' : undefined;
}

const LEFT_OUT_REASONS: Readonly<Record<LeftOutWhy, string>> = {
  excepted: 'left out by decision',
  conflict: 'held back: what it depends on is in conflict',
  refused: 'held back: what it depends on would be refused',
};

function withWhy(document: ComparedDocument, why: LeftOutWhy | undefined): ComparedDocument {
  if (why === undefined) return document;
  const reason = [LEFT_OUT_REASONS[why], ...(document.reason === '' ? [] : [document.reason])].join('; ');
  return { ...document, reason, leftOut: why === 'excepted' ? 'excepted' : 'heldBack' };
}

/**
 * Decides which dependents of a collection are left out; what its parents are is known by now. In a collection that is its own
 * dependent a child may come before its parent, so it is compared once beforehand where anything but an `_id` could be in the way.
 */
export async function holdBack(
  run: Run,
  { plan, selection, reader }: Pick<CompareRequest, 'plan' | 'selection' | 'reader'>,
  leftOut: LeftOut,
  { selected, collection }: { readonly selected: SelectedCollection; readonly collection: TargetCollection },
): Promise<void> {
  const mayRefuse = collection.validator !== undefined || !collection.indexes.every(isIdIndex);
  if (leftOut.isOwnDependent(selected.collection) && mayRefuse) {
    const { directory, manifest } = selection;
    await compareWithTarget(untold(run), {
      ...{ plan, reader, show: 0 },
      selection: { directory, manifest: { ...manifest, collections: [selected] } },
      found: (_, ordinal, documentClass) => {
        if (documentClass === 'conflict' || documentClass === 'refused')
          leftOut.note(selected, ordinal, documentClass);
      },
    });
  }
  await leftOut.holdBack(selected);
}

interface CollectionQuestion {
  readonly selected: SelectedCollection;
  /** As the target has it, or as apply would create it. */
  readonly collection: TargetCollection;
  readonly isMissing: boolean;
  readonly shared: Shared;
  readonly warn: (message: string) => void;
}

async function rulesFor(
  { plan, reader }: CompareRequest,
  { selected, collection, isMissing, shared, warn }: CollectionQuestion,
): Promise<CollectionRules> {
  const settings = settingsOf(plan, selected.collection);
  if (settings.softDelete !== undefined && collection.collated && comparesText(settings.softDelete)) {
    warn(
      `${collection.name} compares text by a collation, softDelete byte by byte: a document may be soft-deleted and not be called so`,
    );
  }
  const isEmpty =
    isMissing || (await reader.find(collection.name, EMPTY_DOCUMENT, { limit: 1 })).length === 0;
  const checks = [
    shardKeyCheck({ collection, version: reader.identity.version, warn }),
    expiryCheck({ reader, collection, serverTime: shared.serverTime }),
    validatorCheck(reader, collection, warn),
    // In the server's order: the first index that objects is the one that its answer is about.
    ...collection.indexes.flatMap((index) => {
      const place = { reader, collection, index };
      // Of other kinds: SharedKeys says that they are not looked at.
      const isUnique = index.unique && isOrdered(index) && !isIdIndex(index) && !isEmpty;
      if (isUnique && isHidden(index) && pathsOf(index).some((path) => path.includes('.')))
        warn(
          `whether a document without a field meets another one in the ${indexText(index)} was not looked at, because it is hidden`,
        );
      return [
        indexFitCheck({ ...place, warn }),
        isUnique ? uniqueIndexCheck(place, shared.texts.values.showId) : undefined,
      ];
    }),
  ];
  return {
    reader,
    existing: isEmpty ? undefined : collection,
    whenMatched: selected.whenMatched,
    checks: checks.filter((check): check is CandidateCheck => check !== undefined),
    references: settings.references,
    referenceCheck: shared.referenceCheck,
    isSoftDeleted: settings.softDelete === undefined ? undefined : compileQuery(settings.softDelete),
    updatedAt: settings.updatedAt,
    hidesUpdatedAt: plan.mask.some((path) => `${settings.updatedAt}.`.startsWith(`${path}.`)),
  };
}

function sightingOf({ class: documentClass, target }: Finding): Sighting {
  if (target === undefined) return 'absent';
  return documentClass === 'identical' ? 'same' : target.bytes.subarray(target.start, target.end);
}

/** A document that would be written takes its unique keys, unless one before it did. */
function withClaim(finding: Finding, whenMatched: WhenMatched, keys: SharedKeys): Finding {
  const { class: documentClass, backup, id, by } = finding;
  if (documentClass === 'refused' && by !== undefined)
    return { ...finding, ...keys.conflictBefore(by, backup) };
  const isWritten =
    documentClass === 'insert' ||
    (whenMatched === 'replace' && exceptedClassOf(documentClass) === 'different');
  const objection = isWritten && id !== undefined ? keys.claim(backup, id) : undefined;
  return objection === undefined ? finding : { ...finding, ...objection };
}

const SAME = { differences: [] } as const;

function describe(finding: Finding, { documents, values, canonical, masked }: Texts): ComparedDocument {
  const { class: documentClass, reason, reasonValues, index, id, backup, target } = finding;
  const isSame = target === undefined || documentClass === 'identical';
  const text = documents.show(backup);
  return {
    class: documentClass,
    id: id === undefined ? '(none)' : values.showId(id),
    reason,
    reasonValues,
    ...(isSame ? SAME : fieldDifferences(backup, target, values.show)),
    backup: text,
    target: target && (isSame ? text : documents.show(target)),
    canonical: canonical && sidesOf(finding, canonical),
    masked: masked && sidesOf(finding, masked),
    index,
  };
}

function sidesOf({ class: documentClass, backup, target }: Finding, texts: MaskedText): DocumentSides {
  const own = texts.object(backup);
  return { backup: own, target: target && (documentClass === 'identical' ? own : texts.object(target)) };
}
