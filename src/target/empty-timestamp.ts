/** What the server changes of a document that is written, unless it is told not to. */
import { elements, keyOf } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { CommandFailure } from './command-failure.ts';
import type { Command } from './commands.ts';

const UNKNOWN_FIELD = 40415;

/** Keeps a server from putting its own time in the place of a top-level Timestamp(0,0). */
export class EmptyTimestamps {
  readonly #target: TargetName;
  /** False as soon as the server has said that it does not know how, as those before 2024 do (SERVER-88750). */
  #isKnown = true;

  constructor(target: TargetName) {
    this.#target = target;
  }

  /** Runs a write with the fields to add to it, a second time for a server that refuses them before it looks at a document. */
  async keep<T>(documents: () => Iterable<Buffer>, write: (fields: Command) => Promise<T>): Promise<T> {
    if (this.#isKnown) {
      try {
        return await write({ bypassEmptyTsReplacement: true });
      } catch (error) {
        if (!(error instanceof CommandFailure && error.serverCode === UNKNOWN_FIELD)) throw error;
        this.#isKnown = false;
      }
    }
    for (const each of documents()) if (holdsEmptyTimestamp(each)) throw this.#cannotKeep();
    return write({});
  }

  #cannotKeep(): RestorePlanError {
    return new RestorePlanError(
      'TARGET',
      `${this.#target}: a document holds an empty Timestamp, which this server would replace by its own time`,
      {
        hint: 'Update the server: MongoDB 8.0, and the patch releases of 5.0 to 7.0 since 2024, can keep it as it is.',
      },
    );
  }
}

/**
 * True when one of the documents, concatenated, holds Timestamp(0,0) at its top level beside the `_id`. Walks every element of
 * that level, so it is for servers that cannot be told.
 */
export function holdsEmptyTimestamp(documents: Buffer): boolean {
  for (let start = 0; start < documents.length; start += documents.readInt32LE(start)) {
    for (const element of elements(documents, start)) {
      const isEmpty = element.type === BSON.TIMESTAMP && documents.readBigUInt64LE(element.start) === 0n;
      if (isEmpty && keyOf(element) !== '_id') return true;
    }
  }
  return false;
}
