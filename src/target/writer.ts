/**
 * TargetWriter over raw commands. The driver's own retries do not apply to raw commands: an insert is one attempt, and its caller
 * sends it again; conditional writes settle themselves.
 */
import { Binary } from 'bson';
import { elements, keyOf } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { rawDocument, rawValue } from '../mongo/raw-value.ts';
import { readWriteFaults } from '../mongo/reply.ts';
import { CommandFailure } from './command-failure.ts';
import { type Command, type Commands, MAJORITY, WRITE } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { EmptyTimestamps } from './empty-timestamp.ts';
import { writeExclusively } from './exclusive-writes.ts';
import type {
  CollectionBlueprint,
  ConditionalOutcome,
  ConditionalWriteOptions,
  InsertOptions,
  Replacement,
  ServerIdentity,
  Settlement,
  TargetReader,
  TargetWriter,
  WriteIdentity,
  WriteOutcome,
  WrittenCollection,
} from './target.ts';
import { PartSize, writeInTransactions } from './transactional-writes.ts';
import { sessionFields, WriteSessions } from './write-sessions.ts';

const NAMESPACE_EXISTS = 48;

export class MongoWriter implements TargetWriter {
  readonly #commands: Commands;
  readonly #reader: TargetReader;
  readonly #sessions: WriteSessions;
  readonly #timestamps: EmptyTimestamps;
  readonly #partSize = new PartSize();

  constructor(commands: Commands, reader: TargetReader) {
    this.#commands = commands;
    this.#reader = reader;
    this.#sessions = new WriteSessions(commands, reader.identity);
    this.#timestamps = new EmptyTimestamps(commands.target);
  }

  newIdentity(): Promise<WriteIdentity | undefined> {
    return this.#sessions.newIdentity();
  }

  insert(
    collection: string,
    documents: Buffer,
    { uuid, identity, statements }: InsertOptions = {},
  ): Promise<WriteOutcome> {
    const command: Command = {
      insert: collection,
      ...WRITE,
      ...(uuid && { collectionUUID: new Binary(uuid, Binary.SUBTYPE_UUID) }),
      ...(identity && sessionFields(identity, identity.txnNumber)),
      ...(statements && statementIds(statements)),
    };
    return this.#timestamps.keep(
      () => [documents],
      async (fields) => {
        const sequence = documentSequence('documents', documents);
        const reply = await this.#commands.run({ ...command, ...fields, documents: sequence });
        return { written: Number(reply['n']), faults: readWriteFaults(reply) };
      },
    );
  }

  executedStatements(
    collection: string,
    identity: WriteIdentity,
    ids: readonly RawValue[],
  ): Promise<ReadonlySet<number> | 'unknown'> {
    return this.#sessions.executedStatements(collection, identity, ids);
  }

  endIdentity(collection: string, identity: WriteIdentity): Promise<void> {
    return this.#sessions.end(collection, identity);
  }

  replace(
    collection: WrittenCollection,
    replacements: readonly Replacement[],
    options: ConditionalWriteOptions,
  ): Promise<ConditionalOutcome> {
    const seen = replacements.map((each) => each.seen);
    const after = replacements.map((each) => each.after);
    return this.#writeIfSeen({ collection, seen, after }, options);
  }

  remove(
    collection: WrittenCollection,
    seen: readonly Buffer[],
    options: ConditionalWriteOptions,
  ): Promise<ConditionalOutcome> {
    return this.#writeIfSeen({ collection, seen }, options);
  }

  async #writeIfSeen(
    what: {
      readonly collection: WrittenCollection;
      readonly seen: readonly Buffer[];
      readonly after?: readonly Buffer[];
    },
    { identity, exclusive = false, beforeAttempt }: ConditionalWriteOptions,
  ): Promise<ConditionalOutcome> {
    const [commands, timestamps] = [this.#commands, this.#timestamps];
    const { kind } = this.#reader.identity;
    if (exclusive !== (kind === 'standalone')) throw notThisWay(commands.target, kind);
    if (exclusive) {
      return writeExclusively({ commands, timestamps, reader: this.#reader }, { ...what, beforeAttempt });
    }
    if (identity === undefined) throw new TypeError('a transaction has an identity, noted before it begins');
    const tools = { commands, timestamps, partSize: this.#partSize, isSharded: kind === 'sharded cluster' };
    return writeInTransactions(tools, { ...what, identity, beforeAttempt });
  }

  settleTransaction(collection: string, identity: WriteIdentity): Promise<Settlement> {
    return this.#sessions.settle(collection, identity);
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

/** A server counts on from `stmtId` by itself; thousands of numbers cost as much as their documents do. */
function statementIds(statements: readonly number[]): Command {
  const [first = 0] = statements;
  const isRow = statements.every((statement, i) => statement === first + i);
  return isRow ? { stmtId: first } : { stmtIds: statements };
}

function notThisWay(target: TargetName, kind: ServerIdentity['kind']): RestorePlanError {
  if (kind === 'standalone') {
    return new RestorePlanError(
      'TARGET',
      `${target} is a standalone server: without transactions, a document that somebody changes at the same moment could be overwritten or removed`,
      {
        hint: 'Make it a replica set of one member, or see to it that nobody else writes and say so with --exclusive.',
        facts: { target },
      },
    );
  }
  return new RestorePlanError(
    'USAGE',
    `${target} is a ${kind}, which has transactions: --exclusive is not for it`,
    {
      hint: 'Leave --exclusive out.',
      facts: { target },
    },
  );
}
