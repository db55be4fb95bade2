/**
 * TargetWriter over raw commands. Every method is one attempt: when it throws, what was to be written may or may not be
 * there, and the caller reads back before it tries again. The driver's own retries do not apply to raw commands.
 */

import { Binary } from 'bson';
import { elements, keyOf } from '../bson/elements.ts';
import { RestorePlanError } from '../errors.ts';
import { rawDocument, rawValue } from '../mongo/raw-value.ts';
import { type Reply, readWriteFaults } from '../mongo/reply.ts';
import type { CollectionBlueprint } from './collection-metadata.ts';
import { CommandFailure } from './command-failure.ts';
import { COMMAND_TIME_MS, type Command, type Commands } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { holdsEmptyTimestamp } from './empty-timestamp.ts';
import { fitsQuoted, removeStatement, replaceStatement, type SeenAs } from './statements.ts';
import type { Replacement, TargetWriter, WriteOutcome } from './target.ts';

/** How long the server waits for the majority before it says so; an election takes up to 12 s. */
const MAJORITY_WAIT_MS = 20_000;

export const MAJORITY = { w: 'majority', wtimeout: MAJORITY_WAIT_MS } as const;

/** Documents are independent of each other, and one refusal must not keep the rest out. */
const WRITE = { ordered: false, maxTimeMS: COMMAND_TIME_MS, writeConcern: MAJORITY } as const;

/** Without it the server replaces a top-level Timestamp(0,0) by its own time. */
const KEEP_EMPTY_TIMESTAMPS = { bypassEmptyTsReplacement: true } as const;

const NAMESPACE_EXISTS = 48;
const UNKNOWN_FIELD = 40415;
const OBJECT_TOO_LARGE = 10334;
/** Of a server before 5.0, which has no variables in an update; of one that passes them on in a message that becomes too large. */
const NO_VARIABLE: ReadonlySet<number> = new Set([UNKNOWN_FIELD, OBJECT_TOO_LARGE]);

export class MongoWriter implements TargetWriter {
  readonly #commands: Commands;
  /** False as soon as the server has said that it does not know how, as those before 2024 do (SERVER-88750). */
  #keepsEmptyTimestamps = true;

  constructor(commands: Commands) {
    this.#commands = commands;
  }

  async insert(collection: string, documents: Buffer, uuid?: Buffer): Promise<WriteOutcome> {
    const command = {
      insert: collection,
      ...WRITE,
      ...(uuid && { collectionUUID: new Binary(uuid, Binary.SUBTYPE_UUID) }),
      documents: documentSequence('documents', documents),
    };
    const reply = await this.#write(command, () => holdsEmptyTimestamp(documents));
    return { written: Number(reply['n']), faults: readWriteFaults(reply) };
  }

  async replace(
    collection: string,
    replacements: readonly Replacement[],
    collated = false,
  ): Promise<WriteOutcome> {
    const command = { update: collection, ...WRITE };
    const write = async (seenAs: SeenAs, more: Command = {}): Promise<WriteOutcome> => {
      const statements = replacements.map((each) => replaceStatement(each, { seenAs, collated }));
      const updates = documentSequence('updates', Buffer.concat(statements));
      const reply = await this.#write({ ...command, ...more, updates }, () =>
        replacements.some(({ after }) => holdsEmptyTimestamp(after)),
      );
      return { written: Number(reply['n']), faults: readWriteFaults(reply) };
    };
    const [first] = replacements;
    if (replacements.length !== 1 || first === undefined || fitsQuoted(first)) return write('quoted');
    try {
      return await write('variable', { let: { seen: { $literal: rawDocument(first.seen) } } });
    } catch (error) {
      if (!(error instanceof CommandFailure && NO_VARIABLE.has(error.serverCode ?? 0))) throw error;
      return write('size');
    }
  }

  /** A server that does not know the field refuses the whole command before it looks at a document. */
  async #write(command: Command, holdsEmpty: () => boolean): Promise<Reply> {
    if (this.#keepsEmptyTimestamps) {
      try {
        return await this.#commands.run({ ...command, ...KEEP_EMPTY_TIMESTAMPS });
      } catch (error) {
        if (!(error instanceof CommandFailure && error.serverCode === UNKNOWN_FIELD)) throw error;
        this.#keepsEmptyTimestamps = false;
      }
    }
    if (!holdsEmpty()) return this.#commands.run(command);
    throw new RestorePlanError(
      'TARGET',
      `${this.#commands.target}: a document holds an empty Timestamp, which this server would replace by its own time`,
      {
        hint: 'Update the server: MongoDB 8.0, and the patch releases of 5.0 to 7.0 since 2024, can keep it as it is.',
      },
    );
  }

  async remove(collection: string, seen: readonly Buffer[], collated = false): Promise<WriteOutcome> {
    const reply = await this.#commands.run({
      delete: collection,
      ...WRITE,
      deletes: documentSequence(
        'deletes',
        Buffer.concat(seen.map((each) => removeStatement(each, { collated }))),
      ),
    });
    return { written: Number(reply['n']), faults: readWriteFaults(reply) };
  }

  async createCollection(name: string, blueprint: CollectionBlueprint): Promise<void> {
    const options = Object.fromEntries(
      [...elements(blueprint.options)].map((option) => [keyOf(option), rawValue(option)]),
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
