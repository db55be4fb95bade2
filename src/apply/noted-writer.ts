/** A writer that writes under the lock alone, and says when documents may have been written, whatever the answer was. */
import { CommandFailure } from '../target/command-failure.ts';
import type { TargetWriter, WriteOutcome } from '../target/target.ts';

export interface WriteRules {
  /** Called before every command, the repeated ones too: whoever was out of reach for long may have lost the lock. */
  readonly ensureLock: () => Promise<void>;
  /** Not called for a command that the user has no right to: the server refuses it before it looks at a document. */
  readonly onMayHaveWritten: () => void;
}

export function notedWriter(
  writer: TargetWriter,
  { ensureLock, onMayHaveWritten }: WriteRules,
): TargetWriter {
  const noted = async (write: () => Promise<WriteOutcome>): Promise<WriteOutcome> => {
    await ensureLock();
    let isRefused = false;
    try {
      return await write();
    } catch (error) {
      isRefused = error instanceof CommandFailure && error.lacksPrivilege;
      throw error;
    } finally {
      if (!isRefused) onMayHaveWritten();
    }
  };
  return {
    insert: (...what) => noted(() => writer.insert(...what)),
    replace: (...what) => noted(() => writer.replace(...what)),
    remove: (...what) => noted(() => writer.remove(...what)),
    createCollection: (name, blueprint) => writer.createCollection(name, blueprint),
    createIndexes: (collection, blueprint) => writer.createIndexes(collection, blueprint),
  };
}
