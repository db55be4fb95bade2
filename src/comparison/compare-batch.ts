/** The class of every document that met a target, and what of a collection keeps documents out. */
import { documentValue } from '../bson/diff-documents.ts';
import { Documents, sameDocument } from '../bson/documents.ts';
import { findElement, innerDocument, valueAt } from '../bson/elements.ts';
import { showIsoDate } from '../bson/extended-json-types.ts';
import { replacementRefusal } from '../bson/storable.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { overwrites, type Reference } from '../plan/plan.ts';
import type { Matcher } from '../query/compile-query.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import { numberIn } from '../target/describe-collection.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import { listOf, localMatcher, matchOnServer, unlessUnanswerable } from './ask-server.ts';
import type { DanglingReference, DocumentCheck, DocumentClass, Objection, Verdict } from './comparison.ts';
import { coveredBy, indexKeys } from './index-keys.ts';
import type { Met } from './meet.ts';
import type { ReferenceCheck } from './references.ts';

/** How the documents of one collection are compared; the same for all its batches. */
export interface CollectionRules extends PairRules, Pick<SelectedCollection, 'whenMatched' | 'merge'> {
  readonly checks: readonly DocumentCheck[];
  readonly references: readonly Reference[];
  readonly referenceCheck: ReferenceCheck;
}

export interface Findings {
  readonly met: Met;
  /** By position; of the others it is enough whether they are there. */
  readonly verdicts: ReadonlyMap<number, Verdict>;
  readonly dangling: readonly DanglingReference[];
}

const INSERT: Verdict = { class: 'insert', reason: '' };
const IDENTICAL: Verdict = { class: 'identical', reason: '' };
const ABSENT: Verdict = { class: 'absent', reason: '' };
/** It is no match, whatever the plan says of one, and there is no room beside it. */
export const TAKEN_ID: Objection = {
  class: 'conflict',
  reason: 'the target holds a document of another _id that its collation takes for the same',
};

export function verdictOf({ verdicts, met }: Findings, position: number): Verdict {
  return verdicts.get(position) ?? (met.there.presence(position) === 'same' ? IDENTICAL : INSERT);
}

export async function comparePart(met: Met, rules: CollectionRules): Promise<Findings> {
  const { documents, positions, there } = met;
  const verdicts = new Map<number, Verdict>();
  for (const { position, reason } of met.refusals) verdicts.set(position, { class: 'refused', reason });
  const written: number[] = [];
  for (const position of positions) {
    const presence = there.presence(position);
    if (presence === 'same') continue;
    const other = there.other(position);
    if (presence === 'other' && other !== undefined) {
      const verdict = classifyPair(documents.value(position), documentValue(other), rules);
      verdicts.set(position, verdict);
      if (overwrites(rules) && verdict.class !== 'identical') written.push(position);
    } else if (rules.merge?.whenNotMatched === 'discard') verdicts.set(position, ABSENT);
    else if (presence === 'otherId') verdicts.set(position, TAKEN_ID);
    else written.push(position);
  }
  for (const [position, objection] of unmergeable(met, written)) verdicts.set(position, objection);
  const isOpen = (position: number): boolean => !isObjectedTo(verdicts.get(position));
  const asWritten = documentsAsWritten(met, written.filter(isOpen));
  for (const check of [replacementCheck(met), ...rules.checks]) {
    const left = written.filter(isOpen);
    if (left.length === 0) break;
    for (const [position, objection] of await check(asWritten, left)) verdicts.set(position, objection);
  }
  const dangling = await rules.referenceCheck.dangling(documents, positions, rules.references);
  return { met, verdicts, dangling };
}

/** Documents whose fields cannot be put into the target's. */
function unmergeable({ stored, there, fields }: Met, positions: readonly number[]): Map<number, Objection> {
  const objections = new Map<number, Objection>();
  for (const position of positions) {
    const other = there.other(position);
    const reason = other && fields?.refusal(other, stored.document(position));
    if (reason !== undefined) objections.set(position, { class: 'refused', reason });
  }
  return objections;
}

/** The documents as the target would hold them, where fields of them are merged into its own: at the positions of those that were met. */
export function documentsAsWritten(met: Met, positions: readonly number[]): Documents {
  const { documents, stored, there, fields } = met;
  if (fields === undefined || positions.length === 0) return documents;
  const merged = new Set(positions.filter((position) => there.other(position) !== undefined));
  const asWritten = Array.from(stored.offsets, (_, position) =>
    merged.has(position)
      ? fields.merged(there.other(position) as Buffer, stored.document(position))
      : stored.document(position),
  );
  return Documents.of(asWritten, stored.first);
}

/** Each check sees only what the ones before it had nothing against. */
function isObjectedTo(verdict: Verdict | undefined): boolean {
  return verdict?.class === 'refused' || verdict?.class === 'conflict';
}

/** Of documents that would take the place of another one. */
function replacementCheck({ there }: Met): DocumentCheck {
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    for (const position of positions) {
      if (there.other(position) === undefined) continue;
      const reason = replacementRefusal(documents.value(position));
      if (reason !== undefined) objections.set(position, { class: 'refused', reason });
    }
    return objections;
  };
}

interface PairRules {
  readonly isSoftDeleted: Matcher | undefined;
  /** Dotted path of a date. */
  readonly updatedAt: string | undefined;
  /** The plan masks that date: a reason may not tell it. */
  readonly hidesUpdatedAt: boolean;
}

interface PairClass {
  readonly class: Extract<DocumentClass, 'identical' | 'softDeleted' | 'stale' | 'different'>;
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string;
}

export function classifyPair(backup: RawValue, target: RawValue, rules: PairRules): PairClass {
  if (sameDocument(backup, target)) return { class: 'identical', reason: '' };
  if (rules.isSoftDeleted?.(target.bytes, target.start)) {
    return { class: 'softDeleted', reason: 'the target has it, marked as deleted' };
  }
  if (rules.updatedAt !== undefined) {
    const before = dateAt(backup, rules.updatedAt);
    const since = dateAt(target, rules.updatedAt);
    if (before !== undefined && since !== undefined && since > before) {
      const reason = `${rules.updatedAt} is newer in the target`;
      if (rules.hidesUpdatedAt) return { class: 'stale', reason };
      const reasonValues = `${showIsoDate(since) ?? since} there, ${showIsoDate(before) ?? before} in the backup`;
      return { class: 'stale', reason, reasonValues };
    }
  }
  return { class: 'different', reason: '' };
}

/** UTC milliseconds; undefined when the field is no single date. */
function dateAt(document: RawValue, path: string): number | undefined {
  const value = indexKeys(document, [path])[0]?.[0];
  return value?.type === BSON.DATE ? Number(value.bytes.readBigInt64LE(value.start)) : undefined;
}

// Documents that a collection of the target would not keep, apart from its keys: its validator refuses them (server error 121),
// it is sharded and has no place for them, or it expires and would delete them. Found without storing them.

/** The server looks for expired documents once a minute; what expires this soon would hardly be seen. */
const SOON_MS = 10 * 60_000;

/** What a TTL index, or a clustered collection that expires, would delete within minutes. Undefined where nothing expires. `serverTime`: UTC
 * milliseconds by the target's clock. */
export function expiryCheck(
  reader: TargetReader,
  collection: TargetCollection,
  serverTime: number,
): DocumentCheck | undefined {
  const expiries = expiriesOf(collection);
  if (expiries.length === 0) return undefined;
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    for (const { index, seconds, path, text } of expiries) {
      const due = new Map<number, number>();
      for (const position of positions) {
        const expires = expiresAt(path, seconds, documents.value(position));
        if (expires !== undefined && expires <= serverTime + SOON_MS) due.set(position, expires);
      }
      const expiring =
        index === undefined
          ? due.keys()
          : await coveredBy({ reader, collection, index }, documents, [...due.keys()]);
      for (const position of expiring) {
        const when = showIsoDate(due.get(position) ?? 0) ?? 'long ago';
        objections.set(position, {
          class: 'refused',
          reason: `${text} would delete it`,
          reasonValues: `it expires ${when}`,
        });
      }
    }
    return objections;
  };
}

interface Expiry {
  /** Undefined: the whole collection, which is clustered. */
  readonly index: TargetIndex | undefined;
  readonly text: string;
  readonly path: string;
  readonly seconds: number;
}

function expiriesOf({ indexes, options }: TargetCollection): Expiry[] {
  const expiries = indexes.flatMap((index): Expiry[] => {
    const path = index.key[0]?.[0];
    const seconds = index.expireAfterSeconds;
    if (path === undefined || seconds === undefined) return [];
    return [{ index, text: `the TTL index ${index.name}`, path, seconds }];
  });
  const option = findElement(options, 0, Buffer.from('expireAfterSeconds'));
  const seconds = option && numberIn(option);
  if (seconds === undefined) return expiries;
  return [...expiries, { index: undefined, text: 'the clustered collection', path: '_id', seconds }];
}

/** UTC milliseconds of the earliest date in the field plus the seconds; undefined = never. */
function expiresAt(path: string, seconds: number, document: RawValue): number | undefined {
  const dates = indexKeys(document, [path])
    .map(([value]) =>
      value?.type === BSON.DATE ? Number(value.bytes.readBigInt64LE(value.start)) : undefined,
    )
    .filter((date) => date !== undefined);
  if (dates.length === 0) return undefined;
  // An array may hold more dates than a call takes arguments.
  return dates.reduce((least, date) => Math.min(least, date)) + seconds * 1000;
}

/** From this version on, a document without the shard key is stored as if the key were null; before, it was refused. */
const TAKES_MISSING_KEYS = [4, 4] as const;

/**
 * What a sharded collection has no place for. Undefined where the collection is not sharded. `version`: of the server, such as
 * 8.2.0.
 */
export function shardKeyCheck(
  { shardKey }: TargetCollection,
  version: string,
  warn: (message: string) => void,
): DocumentCheck | undefined {
  if (shardKey === undefined) return undefined;
  const takesMissing = isAtLeast(version, TAKES_MISSING_KEYS);
  return async (documents, positions) => {
    const objections = new Map<number, Objection>();
    for (const position of positions) {
      const document = documents.value(position);
      const found = shardKey.map((path) => valueAt(document, path));
      if (found.includes('array'))
        objections.set(position, refused('its shard key is, or lies in, an array'));
      const missing = shardKey.filter((_, field) => found[field] === undefined);
      if (missing.length === 0) continue;
      const lacks = `lacks the shard key ${missing.join(', ')}`;
      if (!takesMissing) objections.set(position, refused(`it ${lacks}`));
      else warn(`a document ${lacks}; the server stores it as if that were null`);
    }
    return objections;
  };
}

function refused(reason: string): Objection {
  return { class: 'refused', reason };
}

function isAtLeast(version: string, [major, minor]: readonly [number, number]): boolean {
  const [haveMajor = 0, haveMinor = 0] = version.split('.').map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}

const REFUSED: Objection = { class: 'refused', reason: "the collection's validator does not accept it" };

/** Undefined where nothing is validated, or where a violation is only logged. `warn` is told what could not be decided. */
export function validatorCheck(
  reader: TargetReader,
  collection: TargetCollection,
  warn: (message: string) => void,
): DocumentCheck | undefined {
  const { validator } = collection;
  if (validator === undefined || textOption(collection, 'validationLevel') === 'off') return undefined;
  if (textOption(collection, 'validationAction') === 'warn') {
    warn('the validator of the target collection only logs violations; it was not evaluated');
    return undefined;
  }
  const question = { reader, query: listOf('$nor', [validator]), collation: collationOf(collection) };
  return async (documents, positions) => {
    const { matching, unanswered } = await matchOnServer(question, documents, positions);
    const objections = new Map<number, Objection>();
    for (const position of matching) objections.set(position, REFUSED);
    if (unanswered.length === 0) return objections;
    const accepts = localValidator(validator);
    if (accepts === undefined)
      warn('some documents could not be checked against the validator of the target');
    for (const position of unanswered) {
      if (accepts?.(documents.bytes, documents.start(position)) === false) objections.set(position, REFUSED);
    }
    return objections;
  };
}

/** For documents that the server cannot be asked about; undefined where our query engine does not know an operator. */
function localValidator(validator: Buffer): Matcher | undefined {
  const matches = localMatcher(validator);
  // A document that an expression has no answer for is left to the server to judge when it is inserted.
  return matches && ((bytes, start) => unlessUnanswerable(() => matches(bytes, start)) ?? true);
}

/** The collection's default collation, raw; undefined = simple. */
function collationOf(collection: TargetCollection): Buffer | undefined {
  return innerDocument(collection.options, 'collation');
}

function textOption(collection: TargetCollection, name: string): string | undefined {
  const value = findElement(collection.options, 0, Buffer.from(name));
  return value?.type === BSON.STRING
    ? value.bytes.toString('utf8', value.start + 4, value.end - 1)
    : undefined;
}
