/**
 * TargetWriter over raw commands, to which the driver's own retries do not apply: every write settles itself here.
 *
 * A reply is believed only when it is a clean one. After anything else (connection lost, election, write concern not met) an insert is
 * sent again under its identity, or, where the server keeps none, its documents are read back by `_id` at majority and their bytes
 * compared. So an attempt may be repeated as often as it takes.
 */

import { Binary } from 'bson';
import { advice } from '../advice.ts';
import type { Documents } from '../bson/documents.ts';
import { elements, keyOf } from '../bson/elements.ts';
import type { RawValue } from '../bson/types.ts';
import { RestorePlanError } from '../errors.ts';
import type { TargetName } from '../events.ts';
import { rawDocument, rawValue, readWriteFaults, type WriteFault } from '../mongo/raw-messages.ts';
import {
  CommandFailure,
  isDocumentCode,
  isTransientCode,
  TOO_LARGE_FOR_CACHE,
  TRIES_FOR_CACHE,
} from './command-failure.ts';
import { type Command, type Commands, MAJORITY, settle, WRITE } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { writeExclusively } from './exclusive-writes.ts';
import { findExisting } from './existing.ts';
import { EmptyTimestamps } from './statements.ts';
import type {
  CollectionBlueprint,
  ConditionalOutcome,
  DocumentBatch,
  FieldChanges,
  FoundPresence,
  InsertOutcome,
  Replacement,
  ServerIdentity,
  Settlement,
  TargetCollection,
  TargetReader,
  TargetWriter,
  WriteIdentity,
  WriteOptions,
  WrittenCollection,
} from './target.ts';
import { type ConditionalWrite, halves, Transactions } from './transactional-writes.ts';
import { sessionFields, WriteSessions } from './write-sessions.ts';

const NAMESPACE_EXISTS = 48;
const DUPLICATE_KEY = 11000;

export class MongoWriter implements TargetWriter {
  readonly #commands: Commands;
  readonly #reader: TargetReader;
  readonly #sessions: WriteSessions;
  readonly #timestamps: EmptyTimestamps;
  readonly #transactions: Transactions;

  constructor(commands: Commands, reader: TargetReader) {
    this.#commands = commands;
    this.#reader = reader;
    this.#sessions = new WriteSessions(commands, reader.identity);
    this.#timestamps = new EmptyTimestamps(commands);
    this.#transactions = new Transactions(this.#timestamps, reader.identity.kind === 'sharded cluster');
  }

  get transactionSize() {
    return this.#transactions.partSize.limits;
  }

  newIdentity(): Promise<WriteIdentity | undefined> {
    return this.#sessions.newIdentity();
  }

  async insert(
    collection: Pick<TargetCollection, 'name' | 'collated' | 'uuid'>,
    { documents, positions }: DocumentBatch,
    { identity, beforeAttempt }: WriteOptions,
  ): Promise<InsertOutcome> {
    const there = new Map<number, FoundPresence>();
    const refused: WriteFault[] = [];
    /** Some attempt got no answer, and the server does not know whose a document is. */
    let mayBeOurs = false;
    /** Settles those that are there; returns the others. */
    const lookFor = async (open: readonly number[]): Promise<readonly number[]> => {
      const asked = open.map((place) => positions[place] as number);
      const at = { reader: this.#reader, collection };
      const found = await findExisting(at, { documents, positions: asked });
      return open.filter((place) => {
        const presence = found.presence(positions[place] as number);
        if (presence !== 'absent') there.set(place, presence === 'same' && mayBeOurs ? 'doubtful' : presence);
        return presence === 'absent';
      });
    };
    const { patience, database } = this.#commands;
    const what = `inserting into ${database}.${collection.name}`;
    const why = (open: number): string => `${open} documents are not settled yet`;
    let tries = 0;
    await settle({ patience, what, why }, [...positions.keys()], async (unsettled) => {
      tries++;
      const mayPass = ({ code }: WriteFault): boolean =>
        isTransientCode(code) || (code === TOO_LARGE_FOR_CACHE && tries < TRIES_FOR_CACHE);
      if (unsettled.isInDoubt && identity === undefined) unsettled.open = await lookFor(unsettled.open);
      unsettled.isInDoubt = true;
      const faults: WriteFault[] = [];
      const parts = [unsettled.open];
      for (let part = parts.shift(); part !== undefined; part = parts.shift()) {
        if (part.length === 0) continue;
        try {
          await beforeAttempt?.();
          const sent = concatenated(documents, part, positions);
          for (const fault of await this.#insertOnce(collection, sent, { identity, statements: part }))
            faults.push({ ...fault, index: part[fault.index] as number });
        } catch (error) {
          // One document makes the server refuse all of them: the halves are tried alone.
          const code = error instanceof CommandFailure && !error.transient ? error.serverCode : undefined;
          if (code === undefined || !isDocumentCode(code)) {
            mayBeOurs = identity === undefined;
            throw error;
          }
          if (part.length > 1) parts.unshift(...halves(part));
          else faults.push({ index: part[0] as number, code, keyPattern: undefined });
        }
      }
      const again = faults.filter(mayPass).map(({ index }) => index);
      const taken = faults.filter(isSameId).map(({ index }) => index);
      // Refused as there, and not to be seen: its writer's majority is still to come, or it was removed again.
      unsettled.open = [...again, ...(await lookFor(taken))];
      refused.push(...faults.filter((fault) => !mayPass(fault) && !isSameId(fault)));
    });
    return { there, faults: refused };
  }

  async #insertOnce(
    { name, uuid }: Pick<TargetCollection, 'name' | 'uuid'>,
    documents: Buffer,
    { identity, statements }: { identity: WriteIdentity | undefined; statements: readonly number[] },
  ): Promise<readonly WriteFault[]> {
    const command: Command = {
      insert: name,
      ...WRITE,
      ...(uuid && { collectionUUID: new Binary(uuid, Binary.SUBTYPE_UUID) }),
      ...(identity && { ...sessionFields(identity, identity.txnNumber), ...statementIds(statements) }),
    };
    return this.#timestamps.keep(
      () => [documents],
      async (fields) => {
        const sequence = documentSequence('documents', documents);
        return readWriteFaults(await this.#commands.run({ ...command, ...fields, documents: sequence }));
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
    options: WriteOptions,
  ): Promise<ConditionalOutcome> {
    const seen = replacements.map((each) => each.seen);
    const after = (place: number): Buffer => (replacements[place] as Replacement).after;
    return this.#writeIfSeen({ collection, seen, after }, options);
  }

  merge(
    collection: WrittenCollection,
    changes: FieldChanges,
    options: WriteOptions,
  ): Promise<ConditionalOutcome> {
    return this.#writeIfSeen({ collection, ...changes }, options);
  }

  remove(
    collection: WrittenCollection,
    seen: readonly Buffer[],
    options: WriteOptions,
  ): Promise<ConditionalOutcome> {
    return this.#writeIfSeen({ collection, seen }, options);
  }

  async #writeIfSeen(
    what: Pick<ConditionalWrite, 'collection' | 'seen' | 'after' | 'fields'>,
    { identity, exclusive = false, beforeAttempt }: WriteOptions,
  ): Promise<ConditionalOutcome> {
    const { kind } = this.#reader.identity;
    if (exclusive !== (kind === 'standalone')) throw notThisWay(this.#commands.target, kind);
    if (exclusive) {
      return writeExclusively(this.#timestamps, this.#reader, { ...what, beforeAttempt });
    }
    if (identity === undefined) throw new TypeError('a transaction has an identity, noted before it begins');
    return this.#transactions.write({ ...what, identity, beforeAttempt });
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

/** The documents as one piece of memory: without a copy where they lie side by side, as in a batch that is new as a whole. */
function concatenated(documents: Documents, part: readonly number[], positions: readonly number[]): Buffer {
  const first = positions[part[0] as number] as number;
  const last = positions[part.at(-1) as number] as number;
  const isWhole = last - first + 1 === part.length;
  if (isWhole) return documents.bytes.subarray(documents.offsets[first] as number, documents.end(last));
  return Buffer.concat(part.map((place) => documents.document(positions[place] as number)));
}

function isSameId({ code, keyPattern }: WriteFault): boolean {
  return code === DUPLICATE_KEY && keyPattern?.length === 1 && keyPattern[0] === '_id';
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
        hint: advice`Make it a replica set of one member, or see to it that nobody else writes and say so with ${{ option: 'exclusive' }}.`,
        facts: { target },
      },
    );
  }
  return new RestorePlanError(
    'USAGE',
    `${target} is a ${kind}, which has transactions: --exclusive is not for it`,
    {
      hint: advice`Leave ${{ option: 'exclusive' }} out.`,
      facts: { target },
    },
  );
}
