/** Selecting in a test's own folder, and being refused. */
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { Emit } from '../../src/events.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { selectDocuments } from '../../src/selection/select-documents.ts';
import type { Selection } from '../../src/selection/selection.ts';

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
