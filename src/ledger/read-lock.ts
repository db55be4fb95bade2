/** The lock of a target, read without a write. */
import { documentOf } from '../bson/document-builder.ts';
import { BSON } from '../bson/types.ts';
import type { TargetReader } from '../target/target.ts';
import { LOCK } from './layout.ts';
import { LOCK_ID, type LockState, readLockState } from './lock-state.ts';

const text = Buffer.from(`\0\0\0\0${LOCK_ID}\0`);
text.writeInt32LE(LOCK_ID.length + 1, 0);
const THE_LOCK = documentOf('_id', BSON.STRING, text);

/** Undefined when this database was never locked. */
export async function readLock(reader: TargetReader): Promise<LockState | undefined> {
  const [raw] = await reader.find(LOCK, THE_LOCK, { limit: 1 });
  return raw && readLockState(raw);
}
