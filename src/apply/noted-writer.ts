/** A writer that writes under the lock alone, and says when documents may have been written, whatever the answer was. */
import { CommandFailure } from '../target/command-failure.ts';
import type { TargetWriter } from '../target/target.ts';

const TRANSACTION_TOO_OLD = 225;

export interface WriteRules {
  /** Called before every command, the repeated ones too: whoever was out of reach for long may have lost the lock. */
  readonly ensureLock: () => Promise<void>;
  /**
   * Called when the server says that somebody has used up the identity of a write: nobody does so but a run that has taken the
   * lock since. Throws when it is lost.
   */
  readonly renewLock: () => Promise<void>;
  /** Not called for a command that the user has no right to: the server refuses it before it looks at a document. */
  readonly onMayHaveWritten: () => void;
}

export function notedWriter(
  writer: TargetWriter,
  { ensureLock, renewLock, onMayHaveWritten }: WriteRules,
): TargetWriter {
  const noted = async <T>(write: () => Promise<T>): Promise<T> => {
    let isRefused = false;
    try {
      return await write();
    } catch (error) {
      isRefused = error instanceof CommandFailure && error.lacksPrivilege;
      if (error instanceof CommandFailure && error.serverCode === TRANSACTION_TOO_OLD) await renewLock();
      throw error;
    } finally {
      if (!isRefused) onMayHaveWritten();
    }
  };
  const underLock = { beforeAttempt: ensureLock };
  return {
    newIdentity: () => writer.newIdentity(),
    insert: async (...what) => {
      await ensureLock();
      return noted(() => writer.insert(...what));
    },
    replace: (collection, replacements, options) =>
      noted(() => writer.replace(collection, replacements, { ...options, ...underLock })),
    remove: (collection, seen, options) =>
      noted(() => writer.remove(collection, seen, { ...options, ...underLock })),
    endIdentity: (...what) => writer.endIdentity(...what),
    executedStatements: (...what) => writer.executedStatements(...what),
    settleTransaction: (...what) => writer.settleTransaction(...what),
    createCollection: (name, blueprint) => writer.createCollection(name, blueprint),
    createIndexes: (collection, blueprint) => writer.createIndexes(collection, blueprint),
  };
}
