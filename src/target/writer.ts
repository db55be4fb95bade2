/**
 * TargetWriter over raw commands. Every method is one attempt: when it throws, what was to be written may or may not be
 * there, and the caller reads back before it tries again. The driver's own retries do not apply to raw commands.
 */

import { rawDocument, rawValue } from '../mongo/raw-value.ts';
import { readWriteFaults } from '../mongo/reply.ts';
import type { CollectionBlueprint } from './collection-metadata.ts';
import { CommandFailure } from './command-failure.ts';
import { COMMAND_TIME_MS, type Commands } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { removeStatement, replaceStatement } from './statements.ts';
import type { Replacement, TargetWriter, WriteOutcome } from './target.ts';

/** How long the server waits for the majority before it says so; an election takes up to 12 s. */
const MAJORITY_WAIT_MS = 20_000;

export const MAJORITY = { w: 'majority', wtimeout: MAJORITY_WAIT_MS } as const;

/** Documents are independent of each other, and one refusal must not keep the rest out. */
const WRITE = { ordered: false, maxTimeMS: COMMAND_TIME_MS, writeConcern: MAJORITY } as const;

/** Without it the server replaces a top-level Timestamp(0,0) by its own time. */
const KEEP_EMPTY_TIMESTAMPS = { bypassEmptyTsReplacement: true } as const;

const NAMESPACE_EXISTS = 48;

export class MongoWriter implements TargetWriter {
  readonly #commands: Commands;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  async insert(collection: string, documents: Buffer): Promise<WriteOutcome> {
    const reply = await this.#commands.run({
      insert: collection,
      ...WRITE,
      ...KEEP_EMPTY_TIMESTAMPS,
      documents: documentSequence('documents', documents),
    });
    return { written: Number(reply['n']), faults: readWriteFaults(reply) };
  }

  async replace(collection: string, replacements: readonly Replacement[]): Promise<WriteOutcome> {
    const statements = replacements.map(({ seen, after }) => replaceStatement(seen, after));
    const reply = await this.#commands.run({
      update: collection,
      ...WRITE,
      ...KEEP_EMPTY_TIMESTAMPS,
      updates: documentSequence('updates', Buffer.concat(statements)),
    });
    return { written: Number(reply['n']), faults: readWriteFaults(reply) };
  }

  async remove(collection: string, seen: readonly Buffer[]): Promise<WriteOutcome> {
    const reply = await this.#commands.run({
      delete: collection,
      ...WRITE,
      deletes: documentSequence('deletes', Buffer.concat(seen.map(removeStatement))),
    });
    return { written: Number(reply['n']), faults: readWriteFaults(reply) };
  }

  async createCollection(name: string, blueprint: CollectionBlueprint): Promise<void> {
    const options = Object.fromEntries(
      blueprint.options.map((option) => [option.name, rawValue(option.value)]),
    );
    try {
      await this.#commands.runPatiently(`creating ${this.#commands.database}.${name}`, {
        create: name,
        ...options,
        writeConcern: MAJORITY,
      });
    } catch (error) {
      // Our own earlier attempt whose reply was lost, or somebody else's collection: the caller looks at it again.
      if (!(error instanceof CommandFailure && error.serverCode === NAMESPACE_EXISTS)) throw error;
    }
  }

  async createIndexes(collection: string, blueprint: CollectionBlueprint): Promise<void> {
    if (blueprint.indexes.length === 0) return;
    // Indexes that exist already are left as they are, so this may be repeated.
    await this.#commands.runPatiently(`creating the indexes of ${this.#commands.database}.${collection}`, {
      createIndexes: collection,
      indexes: blueprint.indexes.map(rawDocument),
      writeConcern: MAJORITY,
    });
  }
}
