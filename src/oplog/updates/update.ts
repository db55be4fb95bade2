/** What kind an update (`op: u`) is, and what it makes of a document. */

import { findId } from '../../bson/documents.ts';
import { findElement } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { CannotRoll, NEWER_SERVER, OplogFault } from '../faults.ts';
import { applyDiff } from './diff.ts';
import type { DocumentWriter } from './document-writer.ts';
import { applyModifiers } from './modifiers.ts';

/** whole: the entry holds the document as it was then. diff, modifiers: what changed in it. */
export type UpdateKind = 'whole' | 'diff' | 'modifiers';

const VERSION_KEY = Buffer.from('$v');
const DIFF_KEY = Buffer.from('diff');

/**
 * Tells by the update, the document at `at`. A top-level `_id` is looked for first: since 5.0 a document may have a field of its own that is
 * named `$v`. Throws OplogFault for a kind that is not known here.
 */
export function updateKind(update: Buffer, at: number): UpdateKind {
  if (findId(update, at) !== undefined) return 'whole';
  const version = findElement(update, at, VERSION_KEY);
  if (version === undefined) return 'modifiers';
  const number =
    version.type === BSON.INT32
      ? update.readInt32LE(version.start)
      : version.type === BSON.INT64
        ? Number(update.readBigInt64LE(version.start))
        : version.type === BSON.DOUBLE
          ? update.readDoubleLE(version.start)
          : Number.NaN;
  if (number === 1) return 'modifiers';
  if (number === 2 && findElement(update, at, DIFF_KEY)?.type === BSON.OBJECT) return 'diff';
  throw new OplogFault('its update is of a kind ($v) that is not known here', NEWER_SERVER);
}

/** Writes what the update makes of the document at `start`. Throws CannotRoll or OplogFault. */
export function applyUpdate(
  document: Buffer,
  start: number,
  update: Buffer,
  at: number,
  writer: DocumentWriter,
): void {
  if (updateKind(update, at) === 'modifiers') {
    applyModifiers(document, start, update, at, writer);
    return;
  }
  const diff = findElement(update, at, DIFF_KEY);
  if (diff === undefined) throw new CannotRoll('an update holds no diff');
  applyDiff(document, start, update, diff.start, writer);
}
