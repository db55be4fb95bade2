/**
 * Compares a selection with one target, which it can only read.
 *
 * Documents are compared batch by batch. Every document is counted; details are kept for the first few of each class, or handed
 * on one by one.
 */

import { documentValue } from '../bson/diff-documents.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { RawValue } from '../bson/types.ts';
import { settingsOf } from '../plan/plan.ts';
import { comparesText, compileQuery } from '../query/compile-query.ts';
import { type Run, untold } from '../run.ts';
import { PastReader } from '../selection/document-past.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import type { TargetCollection } from '../target/target.ts';
import { CHANGED_SINCE, ChangedSince } from './changed-since.ts';
import {
  type CollectionRules,
  comparePart,
  expiryCheck,
  type Findings,
  shardKeyCheck,
  validatorCheck,
  verdictOf,
} from './compare-batch.ts';
import {
  type ComparedCollection,
  type ComparedDocument,
  type DocumentCheck,
  type DocumentClass,
  type Encounter,
  type LeftOutWhy,
  Tally,
  type TargetComparison,
  type Verdict,
} from './comparison.ts';
import { describe, MaskedText, type Texts, withWhy } from './describe-document.ts';
import { collectionToCreate, requireFit, requireMergeable } from './fitness.ts';
import { indexFitCheck, indexText, isHidden, isIdIndex, isOrdered, pathsOf } from './index-keys.ts';
import { lackOf } from './lacking.ts';
import { exceptedClassOf, type LeftOut } from './left-out.ts';
import { inOrder, type Meeting, type Met, meet } from './meet.ts';
import { ReferenceCheck } from './references.ts';
import { SharedKeys } from './shared-keys.ts';
import type { Sighting, TargetMemory } from './target-memory.ts';
import { uniqueIndexCheck } from './unique-indexes.ts';

/** Characters of one document's text, of one differing value's, and of a document that a program is to read. */
const DOCUMENT_TEXT = 4_000;
const VALUE_TEXT = 400;
const OBJECT_TEXT = 2 * 1024 * 1024;

export interface CompareRequest extends Encounter {
  /** Documents kept per class and collection. */
  readonly show: number;
  /** Dangling references kept per collection; as many as documents when left out. */
  readonly showDangling?: number;
  /** Told of what cannot be written, and asked what is left out for that; what is named must be marked. Without it nothing is. */
  readonly leftOut?: LeftOut;
  /** Filled with what the target holds of each document. */
  readonly memory?: TargetMemory;
  /** Collections that a run which was cut off began to create, with their uuids in hex where they are known: an apply completes them. */
  readonly begun?: ReadonlyMap<string, string | undefined> | undefined;
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
    documents: new MaskedText(mask, DOCUMENT_TEXT),
    values: new MaskedText(mask, VALUE_TEXT),
  };
  const long = new MaskedText(mask, OBJECT_TEXT);
  const shared: Shared = {
    texts,
    handedOn: {
      documents: forms.long ? long : texts.documents,
      values: texts.values,
      canonical: forms.canonical ? long : undefined,
      masked: forms.masked ? new MaskedText(mask, OBJECT_TEXT, { hidesAll: true }) : undefined,
    },
    ...(selection.manifest.oplog && { pasts: new PastReader(selection.directory) }),
    referenceCheck: new ReferenceCheck(reader, selection, texts.values),
    serverTime: await reader.serverTime(),
    compared: 0,
  };
  const compared: ComparedCollection[] = [];
  try {
    for (const each of collections) {
      compared.push(await new CollectionComparison(run, request, { selected: each, shared }).compare());
    }
  } finally {
    shared.pasts?.close();
  }
  run.emit({ type: 'comparison-finished', target: reader.name });
  const { kind, id, version } = reader.identity;
  return {
    target: reader.name,
    database: reader.database,
    server: `${kind} ${id} (MongoDB ${version})`,
    collections: compared,
  };
}

/** What the collections of one comparison have in common. */
interface Shared {
  readonly texts: Texts;
  /** Of documents that are not kept in memory, and may take more of it. */
  readonly handedOn: Texts;
  /** What the oplog knows of documents, where one was used. */
  readonly pasts?: PastReader;
  readonly referenceCheck: ReferenceCheck;
  /** UTC milliseconds by the target's clock. */
  readonly serverTime: number;
  /** Documents compared so far. */
  compared: number;
}

/** Of one collection of the selection. */
class CollectionComparison {
  readonly #run: Run;
  readonly #request: CompareRequest;
  readonly #selected: SelectedCollection;
  readonly #shared: Shared;
  readonly #tally: Tally;
  readonly #warnings = new Set<string>();
  readonly #changedSince: ChangedSince;

  constructor(
    run: Run,
    request: CompareRequest,
    { selected, shared }: { readonly selected: SelectedCollection; readonly shared: Shared },
  ) {
    this.#run = run;
    this.#request = request;
    this.#selected = selected;
    this.#shared = shared;
    this.#tally = new Tally({ documents: request.show, dangling: request.showDangling ?? request.show });
    this.#changedSince = new ChangedSince(selected, shared.pasts, request.plan.mask);
  }

  readonly #warn = (message: string): void => void this.#warnings.add(message);

  async compare(): Promise<ComparedCollection> {
    const request = this.#request;
    const { selection, reader, leftOut } = request;
    const { collection: name, into, whenMatched, count } = this.#selected;
    const existing = await reader.collection(into);
    if (existing !== undefined) requireFit(reader, existing);
    const collection = existing ?? (await collectionToCreate(request, this.#selected, this.#warn));
    requireMergeable(reader, collection, this.#selected);
    const isEmpty =
      existing === undefined || (await reader.find(into, EMPTY_DOCUMENT, { limit: 1 })).length === 0;
    if (existing !== undefined && !this.#isCompleted(existing, isEmpty)) {
      const lack = await lackOf(request, this.#selected, existing);
      if (lack !== undefined) this.#warn(lack);
    }
    const rules = this.#rulesFor(collection, isEmpty);
    const sharedKeys = await SharedKeys.find({
      ...{ selection, name, reader, collection, signal: this.#run.signal, warn: this.#warn },
      showId: this.#shared.texts.values.showId,
    });
    if (leftOut !== undefined) {
      await holdBack(this.#run, request, leftOut, { selected: this.#selected, collection });
    }
    const meeting: Meeting = {
      ...{ selection, name, reader, needs: 'documents', knowsDepth: true },
      collection: isEmpty ? undefined : existing,
    };
    for await (const findings of meet(this.#run, meeting, (met) => comparePart(met, rules))) {
      await this.#take(findings, sharedKeys);
    }
    const changedSince = this.#changedSince.warning;
    if (changedSince !== undefined) this.#warn(changedSince);
    const tally = this.#tally;
    return {
      ...{ collection: name, into, whenMatched, selected: count, counts: tally.counts },
      ...(tally.leftOut && { leftOut: tally.leftOut }),
      danglingReferences: tally.danglingReferences,
      wouldCreate: existing === undefined ? { indexes: collection.indexes.length } : undefined,
      documents: tally.documents,
      dangling: tally.dangling,
      warnings: [...this.#warnings],
    };
  }

  /** Whether an apply goes on to make it, as prepare-collection.ts decides it. */
  #isCompleted({ name, uuid }: TargetCollection, isEmpty: boolean): boolean {
    const { begun } = this.#request;
    if (begun?.has(name) !== true || !isEmpty) return false;
    const ours = begun.get(name);
    return ours === undefined || uuid === undefined || ours === uuid.toString('hex');
  }

  /** `collection`: as the target has it, or as apply would create it. `isEmpty`: the target has no document of it. */
  #rulesFor(collection: TargetCollection, isEmpty: boolean): CollectionRules {
    const { plan, reader } = this.#request;
    const { texts, serverTime, referenceCheck } = this.#shared;
    const warn = this.#warn;
    const settings = settingsOf(plan, this.#selected.collection);
    if (settings.softDelete !== undefined && collection.collated && comparesText(settings.softDelete)) {
      warn(
        `${collection.name} compares text by a collation, softDelete byte by byte: a document may be soft-deleted and not be called so`,
      );
    }
    const checks = [
      shardKeyCheck(collection, reader.identity.version, warn),
      expiryCheck(reader, collection, serverTime),
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
          indexFitCheck(place, warn),
          isUnique ? uniqueIndexCheck(place, texts.values.showId) : undefined,
        ];
      }),
    ];
    return {
      whenMatched: this.#selected.whenMatched,
      ...(this.#selected.merge && { merge: this.#selected.merge }),
      checks: checks.filter((check): check is DocumentCheck => check !== undefined),
      references: settings.references,
      referenceCheck,
      isSoftDeleted: settings.softDelete === undefined ? undefined : compileQuery(settings.softDelete),
      updatedAt: settings.updatedAt,
      hidesUpdatedAt: plan.mask.some((path) => `${settings.updatedAt}.`.startsWith(`${path}.`)),
    };
  }

  /** Counts the documents of a part, in backup order; remembers, keeps and hands on what is wanted of them. */
  async #take(findings: Findings, sharedKeys: SharedKeys): Promise<void> {
    const { leftOut, memory, found, each, most = Number.POSITIVE_INFINITY, reader } = this.#request;
    const selected = this.#selected;
    const { collection } = selected;
    const { documents, there } = findings.met;
    const tally = this.#tally;
    const all = inOrder(findings.met);
    for (const position of all) {
      const index = documents.first + position;
      const isFree = leftOut?.of(collection, index) === undefined && !sharedKeys.isEmpty;
      const verdict = isFree
        ? this.#withClaim(findings, position, sharedKeys)
        : verdictOf(findings, position);
      const documentClass = verdict.class;
      const isAbsent = there.presence(position) === 'absent';
      const isHeldBack = isAbsent && leftOut?.of(collection, index) === 'heldBack';
      const why = isHeldBack
        ? leftOut?.heldBackFor(collection, index)
        : this.#exceptedWhy(index, documentClass);
      memory?.remember(collection, index, sightingOf(findings.met, position));
      found?.(selected, index, documentClass);
      const isKept = tally.count(documentClass);
      if (why !== undefined) tally.countLeftOut(documentClass, why);
      const isOpen = why === undefined && exceptedClassOf(documentClass) === 'different';
      const told = isOpen ? this.#withChange(findings.met, position, verdict) : verdict;
      const isHandedOn = each !== undefined && tally.counts[documentClass] <= most;
      if (!isKept && !isHandedOn) continue;
      const after = this.#shared.pasts?.afterOf(collection, index);
      const finding = {
        ...{ documents, position, verdict: told, target: targetOf(findings.met, position) },
        ...{ past: this.#shared.pasts?.of(collection, index), after: after && documentValue(after) },
        fields: findings.met.fields,
      };
      if (isKept) tally.keep(withWhy(describe(finding, this.#shared.texts), why));
      if (isHandedOn) await each(selected, withWhy(describe(finding, this.#shared.handedOn), why));
    }
    tally.addDangling(findings.dangling);
    this.#shared.compared += all.length;
    const { compared } = this.#shared;
    this.#run.emit({ type: 'comparison-progress', target: reader.name, compared });
  }

  /** Says of a document that is not what the change left, where nothing else is said of it. */
  #withChange(met: Met, position: number, verdict: Verdict): Verdict {
    const isChanged = this.#changedSince.note(met, position);
    return isChanged && verdict.reason === '' ? { ...verdict, reason: CHANGED_SINCE } : verdict;
  }

  /**
   * Whether an apply would leave out a document of this class by decision; one that is held back for its parent is not asked
   * about.
   */
  #exceptedWhy(index: number, documentClass: DocumentClass): LeftOutWhy | undefined {
    const { leftOut } = this.#request;
    if (leftOut === undefined || documentClass === 'identical') return undefined;
    const noted = exceptedClassOf(documentClass);
    const isExcepted =
      noted === undefined
        ? leftOut.of(this.#selected.collection, index) !== undefined
        : leftOut.note(this.#selected, index, noted);
    return isExcepted ? 'excepted' : undefined;
  }

  /** A document that would be written takes its unique keys, unless one before it did. */
  #withClaim(findings: Findings, position: number, sharedKeys: SharedKeys): Verdict {
    const found = verdictOf(findings, position);
    const { documents } = findings.met;
    const claimant = {
      ...{ document: documents.value(position), id: documents.id(position) },
      ordinal: documents.first + position,
    };
    if (found.class === 'refused' && found.by !== undefined)
      return { ...found, ...sharedKeys.conflictBefore(found.by, claimant) };
    const isWritten =
      found.class === 'insert' ||
      (this.#selected.whenMatched === 'replace' && exceptedClassOf(found.class) === 'different');
    const objection = isWritten ? sharedKeys.claim(claimant) : undefined;
    return objection === undefined ? found : { ...found, ...objection };
  }
}

/** What a later run compares with: the document that is there, or those of its fields that are restored. */
export function sightingOf({ there, fields }: Met, position: number): Sighting {
  const presence = there.presence(position);
  const other = there.other(position);
  // What stands there under another `_id` may be what this selection has inserted meanwhile: no change of this document.
  if (presence === 'absent' || presence === 'otherId') return 'absent';
  if (presence === 'same' || other === undefined) return 'same';
  return fields === undefined ? other : fields.image(other);
}

function targetOf({ documents, there }: Met, position: number): RawValue | undefined {
  const other = there.other(position);
  if (other !== undefined) return documentValue(other);
  return there.presence(position) === 'same' ? documents.value(position) : undefined;
}

/**
 * Decides which dependents of a collection are left out; what its parents are is known by now. In a collection that is its own
 * dependent a child may come before its parent, so it is compared once beforehand where anything but the very `_id` could be in the
 * way.
 */
export async function holdBack(
  run: Run,
  { plan, selection, reader }: Encounter,
  leftOut: LeftOut,
  { selected, collection }: { readonly selected: SelectedCollection; readonly collection: TargetCollection },
): Promise<void> {
  const { validator, indexes, collated } = collection;
  const mayRefuse = validator !== undefined || collated || !indexes.every(isIdIndex);
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
