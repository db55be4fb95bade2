/** Selecting in a test's own folder, and being refused. */

import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { deserialize } from 'bson';
import * as assert from 'uvu/assert';
import type { Backup } from '../../src/backup/backup.ts';
import { RestorePlanError } from '../../src/errors.ts';
import type { Emit, RunEvent } from '../../src/events.ts';
import type { Plan } from '../../src/plan/plan.ts';
import { runIn } from '../../src/run.ts';
import type { Onlooker } from '../../src/selection/read-backup.ts';
import { selectDocuments } from '../../src/selection/select-documents.ts';
import type { Selection } from '../../src/selection/selection.ts';
import type { SliceRunner } from '../../src/selection/slices/slice-runner.ts';
import type { ThreadSettings } from '../../src/selection/slices/slice-threads.ts';
import { documentsOf } from '../backup/every-layout.ts';
import type { Test } from '../harness.ts';
import { type TemporaryFolder, temporaryFolder } from '../lab/guard.ts';

export interface Selecting {
  readonly backup: Backup;
  /** Folder in which `.restore-plan` is made. */
  readonly folder: string;
  readonly emit?: Emit;
  readonly signal?: AbortSignal;
  readonly spareBytes?: number;
  readonly patternMs?: number;
  readonly onlooker?: Onlooker;
  readonly runner?: SliceRunner | undefined;
  readonly threads?: ThreadSettings;
}

export function select(plan: Plan, { backup, folder, emit, signal, ...more }: Selecting): Promise<Selection> {
  const run = runIn(join(folder, '.restore-plan'), { ...(emit && { emit }), ...(signal && { signal }) });
  return selectDocuments(run, { plan, backup, ...more });
}

/** What `selectingAnew` gives; all of it is the running test's own. */
export interface SelectingAnew {
  /** Absolute path of its `.restore-plan`. */
  readonly workDirectory: string;
  /** Emitted so far. */
  readonly events: readonly RunEvent[];
  select(plan: Plan, backup: Backup, more?: Pick<Selecting, 'signal' | 'patternMs'>): Promise<Selection>;
}

/** For each test of the suite a folder of its own, which is removed after it. */
export function selectingAnew(suite: Test): SelectingAnew {
  let temporary: TemporaryFolder;
  let events: RunEvent[];
  suite.before.each(() => {
    temporary = temporaryFolder('select');
    events = [];
  });
  suite.after.each(() => temporary.remove());
  return {
    get workDirectory() {
      return join(temporary.path, '.restore-plan');
    },
    get events() {
      return events;
    },
    select(plan, backup, more = {}) {
      const emit = (event: RunEvent) => events.push(event);
      const { path: folder } = temporary;
      return select(plan, { backup, folder, emit, ...more });
    },
  };
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
