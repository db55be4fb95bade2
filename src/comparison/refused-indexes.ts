/**
 * Indexes of the backup that the target's server would not create: known before anything is written. The server is asked to make the
 * keys of an empty document, for which it reads the whole specification; what it looks at only when it creates an index is held
 * here, as measured on mongod 8.2.
 */

import { documentValue } from '../bson/diff-documents.ts';
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import { findElement, innerDocument } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { numberIn, readIndex } from '../target/describe-collection.ts';
import type { TargetIndex, TargetReader } from '../target/target.ts';
import { cannotAnswer } from './ask-server.ts';
import { keysOnServer, wereKeysMade } from './index-keys-on-server.ts';
import { indexText } from './unique-keys.ts';

export interface RefusedIndex {
  readonly name: string;
  /** `index pos_hay { pos: "geoHaystack", type: 1 }` */
  readonly text: string;
  readonly reason: string;
}

/** With the one on `_id`. */
const MOST_INDEXES = 64;
const LONGEST_SECONDS = 0x7fffffff;

/** `specifications` are raw, without the index on `_id`. Throws CommandFailure when the server cannot be reached. */
export async function refusedIndexes(
  reader: TargetReader,
  specifications: readonly Buffer[],
): Promise<RefusedIndex[]> {
  const refused: RefusedIndex[] = [];
  const taken: TargetIndex[] = [];
  for (const specification of specifications) {
    const index = readIndex(specification);
    const reason = faultOf(index, taken) ?? (await serversFault(reader, index));
    if (reason === undefined) taken.push(index);
    else refused.push({ name: index.name, text: indexText(index), reason });
  }
  return refused;
}

function faultOf(index: TargetIndex, taken: readonly TargetIndex[]): string | undefined {
  const { name, raw } = index;
  if (name === '') return 'an index needs a name';
  if (name.includes('\0')) return 'its name holds a NUL';
  if (taken.length + 1 >= MOST_INDEXES) return `a collection has at most ${MOST_INDEXES} indexes`;
  if (taken.some((other) => other.name === name)) return 'another index of the backup has its name';
  if (taken.some((other) => isSame(index, other))) return 'another index of the backup has the same key';
  const kinds = index.key.map(([, direction]) => direction);
  if (kinds.includes('text') && taken.some(isText)) return 'a collection has at most one text index';
  if (index.unique && kinds.includes('hashed')) return 'a hashed index cannot be unique';
  if (index.sparse && innerDocument(raw, 'partialFilterExpression') !== undefined) {
    return 'an index cannot be both sparse and partial';
  }
  return ttlFault(index) ?? wildcardFault(index);
}

function ttlFault({ raw, key }: TargetIndex): string | undefined {
  const ttl = findElement(raw, 0, Buffer.from('expireAfterSeconds'));
  if (ttl === undefined) return undefined;
  const seconds = numberIn(ttl);
  if (seconds === undefined && ttl.type !== BSON.DECIMAL128) return 'its expireAfterSeconds is not a number';
  if (seconds !== undefined && !(seconds >= 0 && seconds <= LONGEST_SECONDS)) {
    return `its expireAfterSeconds is not from 0 to ${LONGEST_SECONDS}`;
  }
  return key.length > 1 ? 'an index on several fields cannot expire documents' : undefined;
}

function wildcardFault({ key, unique, sparse, expireAfterSeconds }: TargetIndex): string | undefined {
  if (!key.some(([path]) => path === '$**' || path.endsWith('.$**'))) return undefined;
  if (unique) return 'a wildcard index cannot be unique';
  if (sparse) return 'a wildcard index cannot be sparse';
  return expireAfterSeconds === undefined ? undefined : 'a wildcard index cannot expire documents';
}

function isText({ key }: TargetIndex): boolean {
  return key.some(([, direction]) => direction === 'text');
}

/** Indexes of one key may stand side by side where they differ in what they cover or in how they compare. */
function isSame(one: TargetIndex, other: TargetIndex): boolean {
  const told = ({ key, raw, unique, sparse }: TargetIndex): string =>
    JSON.stringify([
      key,
      unique,
      sparse,
      innerDocument(raw, 'partialFilterExpression')?.toString('base64'),
      innerDocument(raw, 'collation')?.toString('base64'),
    ]);
  return told(one) === told(other);
}

const EMPTY = documentValue(EMPTY_DOCUMENT);

/** A text index before the server has filled in what it always lists: its specification cannot be asked about. */
function isUnfilled(index: TargetIndex): boolean {
  return isText(index) && !index.key.some(([path]) => path === '_fts');
}

async function serversFault(reader: TargetReader, index: TargetIndex): Promise<string | undefined> {
  if (isUnfilled(index)) return undefined;
  try {
    await keysOnServer(reader, index, [{ index: 0, document: EMPTY, id: EMPTY }]);
    return undefined;
  } catch (error) {
    if (!(error instanceof CommandFailure) || error.transient) throw error;
    return cannotAnswer(error) || wereKeysMade(error) ? undefined : error.serverWords;
  }
}
