/**
 * Documents that an index of the target's collection cannot hold, found without storing them: the server makes their keys.
 *
 * Only documents that an index of its kind could object to are asked about, told apart here at little cost: an index on one plain
 * field takes everything, one on several fields objects to nothing but arrays.
 */
import { elements, findElement } from '../bson/elements.ts';
import { holdsSymbol } from '../bson/storable.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { CommandFailure } from '../target/command-failure.ts';
import { numberIn } from '../target/describe-collection.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import { askInGroups, cannotAnswer, isUnaskable } from './ask-server.ts';
import type { Candidate, CandidateCheck, Objection } from './candidate.ts';
import { indexKeys } from './index-keys.ts';
import { keysOnServer, wereKeysMade } from './index-keys-on-server.ts';
import { indexRefusal } from './index-refusal.ts';
import { coveredBy } from './partial-index.ts';
import { indexCollation, indexText, isIdIndex, pathsOf } from './unique-keys.ts';

export interface IndexFitQuestion {
  readonly reader: TargetReader;
  /** As the target has it, or as apply would create it. */
  readonly collection: TargetCollection;
  readonly index: TargetIndex;
  /** Is told what could not be asked. */
  readonly warn: (message: string) => void;
}

/** Undefined where the index takes every document. */
export function indexFitCheck(question: IndexFitQuestion): CandidateCheck | undefined {
  const { reader, collection, index, warn } = question;
  if (isIdIndex(index)) return idCheck(index);
  const mayObject = suspicionOf(index);
  const old = isOfVersion1(index);
  if (mayObject === undefined && !old) return undefined;
  return async (candidates) => {
    const objections = new Map<Candidate, Objection>();
    const refuse = (candidate: Candidate, reason: string): void => {
      objections.set(candidate, cannotHold(index, reason));
    };
    const covered = await coveredBy({ reader, collection, index }, candidates);
    if (old) {
      for (const candidate of covered.filter((each) => hasDecimalKey(index, each.document))) {
        refuse(candidate, 'it is of version 1, which takes no Decimal128');
      }
    }
    const suspects = covered.filter((each) => mayObject?.(each.document) && !objections.has(each));
    const failed = (candidate: Candidate, failure: CommandFailure): void => {
      if (wereKeysMade(failure)) return;
      if (cannotAnswer(failure)) {
        warn(`the server cannot be asked whether its ${indexText(index)} takes the documents: not foretold`);
      } else if (isUnaskable(failure)) {
        warn(`some documents are too large to ask the server whether its ${indexText(index)} takes them`);
      } else refuse(candidate, indexRefusal(failure.serverCode as number, index));
    };
    await askInGroups(suspects, (group) => keysOnServer(reader, index, group), failed);
    return objections;
  };
}

/** Nobody can ask about the index on `_id` (197). All that it has to object to is a symbol, under a collation. */
function idCheck(index: TargetIndex): CandidateCheck | undefined {
  if (indexCollation(index) === undefined) return undefined;
  const objection = cannotHold(index, indexRefusal(NO_KEY, index));
  return async (candidates) =>
    new Map(candidates.filter(({ id }) => holdsSymbol(id)).map((candidate) => [candidate, objection]));
}

function cannotHold(index: TargetIndex, reason: string): Objection {
  return { class: 'refused', reason: `${indexText(index)} cannot hold it: ${reason}`, by: index };
}

/** CannotBuildIndexKeys */
const NO_KEY = 201;

type Suspicion = (document: RawValue) => boolean;

/** Whether a document could be one that the index does not take; undefined: it takes every one. */
function suspicionOf(index: TargetIndex): Suspicion | undefined {
  const suspicions = [...kindSuspicions(index)];
  if (indexCollation(index) !== undefined) suspicions.push(holdsSymbol);
  return suspicions.length === 0
    ? undefined
    : (document) => suspicions.some((mayObject) => mayObject(document));
}

function* kindSuspicions(index: TargetIndex): Generator<Suspicion> {
  const kinds = new Set(index.key.map(([, kind]) => kind).filter((kind) => typeof kind === 'string'));
  const plain = pathsOf(index).filter((path) => !isWildcard(path) && !path.startsWith('_fts'));
  const hasWildcard = pathsOf(index).some(isWildcard);
  const geo = index.key.flatMap(([path, kind]) => (kind === '2d' || kind === '2dsphere' ? [path] : []));
  if (geo.length > 0) yield (document) => indexKeys(document, geo).some((key) => key.some(isThere));
  if (kinds.has('text')) {
    const language = Buffer.from(`${languageField(index)}\0`);
    yield ({ bytes, start, end }) => bytes.subarray(start, end).includes(language);
  }
  // Kinds that take no array at all beside or within them; a number in a path may be a position or a name.
  const least = kinds.size > 0 || hasWildcard || plain.some((path) => /(^|\.)\d+(\.|$)/.test(path)) ? 1 : 2;
  if (plain.length >= least) {
    yield (document) => plain.filter((path) => meetsArray(document, path)).length >= least;
  }
}

function isWildcard(path: string): boolean {
  return path === '$**' || path.endsWith('.$**');
}

const isThere = (value: RawValue | undefined): boolean => value !== undefined;

/** Whether there is an array on the way down the path, or at its end. */
function meetsArray(document: RawValue, path: string): boolean {
  let value: RawValue | undefined = document;
  for (const part of path.split('.')) {
    if (value?.type !== BSON.OBJECT) return false;
    value = findElement(value.bytes, value.start, Buffer.from(part));
    if (value?.type === BSON.ARRAY) return true;
  }
  return false;
}

/** The field that names a document's language: `language` unless the index says otherwise. */
function languageField({ raw }: TargetIndex): string {
  const field = findElement(raw, 0, Buffer.from('language_override'));
  return field?.type === BSON.STRING
    ? field.bytes.toString('utf8', field.start + 4, field.end - 1)
    : 'language';
}

function isOfVersion1({ raw }: TargetIndex): boolean {
  const version = findElement(raw, 0, Buffer.from('v'));
  return version !== undefined && (numberIn(version) ?? 2) < 2;
}

function hasDecimalKey(index: TargetIndex, document: RawValue): boolean {
  return indexKeys(document, pathsOf(index)).some((key) =>
    key.some((value) => value !== undefined && holdsDecimal(value)),
  );
}

function holdsDecimal(value: RawValue): boolean {
  if (value.type === BSON.DECIMAL128) return true;
  if (value.type !== BSON.OBJECT && value.type !== BSON.ARRAY) return false;
  return [...elements(value.bytes, value.start)].some(holdsDecimal);
}
