/** What a target's ledger says, read without a write: for the gate, for status, for a dry-run. */
import { EMPTY_DOCUMENT } from '../bson/document-builder.ts';
import type { TargetReader } from '../target/target.ts';
import { RUNS } from './layout.ts';
import { type RunRecord, readRunRecord } from './run-record.ts';

/** More selections than anybody restores into one database. */
const MOST_RUNS = 100_000;

/** All runs ever recorded in this database. Throws RestorePlanError TARGET when one is newer than this version or damaged. */
export async function readRuns(reader: TargetReader): Promise<RunRecord[]> {
  const documents = await reader.find(RUNS, EMPTY_DOCUMENT, { limit: MOST_RUNS });
  return documents.map(readRunRecord);
}
