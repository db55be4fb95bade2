/** Selecting in a test's own folder, and being refused. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { Emit } from '../../src/events.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { selectDocuments } from '../../src/selection/select-documents.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { documentsOf } from '../backup/every-layout.ts';

export interface Selecting {
  readonly backup: Backup;
  /** Folder in which `.restore-plan` is made. */
  readonly folder: string;
  readonly emit?: Emit;
  readonly signal?: AbortSignal;
  readonly spareBytes?: number;
}

export function select(plan: Plan, { backup, folder, emit, signal, ...more }: Selecting): Promise<Selection> {
  return selectDocuments({
    plan,
    backup,
    workDirectory: join(folder, '.restore-plan'),
    toolVersion: '0.0.0',
    emit: emit ?? (() => {}),
    signal: signal ?? new AbortController().signal,
    ...more,
  });
}

/** The error a promise was rejected with. */
export async function refusal(promise: Promise<unknown>): Promise<RestorePlanError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof RestorePlanError) return error;
    throw error;
  }
  return assert.unreachable('should have been refused') as never;
}

/** The documents that were selected of a collection, as they are in its file. */
export function bytesOf({ directory, manifest }: Selection, collection: string): Promise<Buffer> {
  return readFile(join(directory, manifest.database, `${collection}.bson`));
}

/** Their `_id`s. */
export async function idsOf(selection: Selection, collection: string): Promise<unknown[]> {
  return documentsOf(await bytesOf(selection, collection)).map((document) => deserialize(document)['_id']);
}
