/**
 * What a server remembers of a write under a session's number, and how it is asked later, from another process; and one transaction of
 * such a session.
 *
 * Seen on mongod and mongos 8.2.0; the server's own tests have `retriedStmtIds` from 6.0 on
 * (jstests/sharding/internal_txns/retryable_writes_retry_conflict.js and its neighbours). `test/target/write-sessions.test.ts`
 * holds all of it against real servers.
 */
import { randomBytes } from 'node:crypto';
import { Binary, Long } from 'bson';
import type { RawValue } from '../bson/types.ts';
import { asBuffer, type Reply, rawDocument } from '../mongo/raw-messages.ts';
import { CommandFailure } from './command-failure.ts';
import { type Command, type Commands, MAJORITY, retry } from './commands.ts';
import { type CommandRoute, documentSequence } from './driver-internals.ts';
import { readAuthenticatedUsers, readServerTime } from './reader.ts';
import { neverRemoveStatement } from './statements.ts';
import type { ServerIdentity, Settlement, WriteIdentity } from './target.ts';

/**
 * A server forgets a session some time after its last use, 30 minutes by default, and says which time in its `hello`. So much less
 * is relied on: after an election, the clock is another server's.
 */
const CLOCK_MARGIN_MS = 5 * 60_000;

/** The first version whose replies name repeated statements. */
const NAMES_STATEMENTS = 6;

/** Number of a transaction that ends every other one of its session: far beyond those that attempts use up. */
const LAST_NUMBER = 2 ** 40;

const CONFLICTING_OPERATION = 117;
const TRANSACTION_TOO_OLD = 225;
const NO_SUCH_TRANSACTION = 251;
const TRANSACTION_COMMITTED = 256;
/** The server knows the session, and not all that was done in it: its oplog does not reach so far back. */
const INCOMPLETE_HISTORY = 217;

/** Ends with every command of a session: `lsid` and `txnNumber`. */
export function sessionFields({ lsid }: Pick<WriteIdentity, 'lsid'>, txnNumber: number): Command {
  return {
    lsid: { id: new Binary(lsid, Binary.SUBTYPE_UUID) },
    txnNumber: Long.fromNumber(txnNumber),
  };
}

interface Origin {
  readonly user: string;
  /** The server's clock less that of this process's `performance.now()`. */
  readonly clockMs: number;
}

export class WriteSessions {
  readonly #commands: Commands;
  readonly #server: ServerIdentity;
  #origin: Promise<Origin> | undefined;

  constructor(commands: Commands, server: ServerIdentity) {
    this.#commands = commands;
    this.#server = server;
  }

  async newIdentity(): Promise<WriteIdentity | undefined> {
    if (this.#server.kind === 'standalone') return undefined;
    const { user, clockMs } = await this.#whoAndWhen();
    const lsid = randomBytes(16);
    // Version 4, variant 1, as RFC 9562 has it.
    lsid[6] = ((lsid[6] as number) & 0x0f) | 0x40;
    lsid[8] = ((lsid[8] as number) & 0x3f) | 0x80;
    return { lsid, txnNumber: 1, user, at: Math.round(clockMs + performance.now()) };
  }

  /**
   * By deletes that match nothing, under the same statement ids: what the server has carried out, it does not look at again, but
   * names. Each goes where an insert of its `_id` went.
   */
  async executedStatements(
    collection: string,
    identity: WriteIdentity,
    ids: readonly RawValue[],
  ): Promise<ReadonlySet<number> | 'unknown'> {
    const major = Number.parseInt(this.#server.version, 10);
    if (this.#server.kind === 'standalone' || major < NAMES_STATEMENTS) return 'unknown';
    if (!(await this.#isRemembered(identity))) return 'unknown';
    if (ids.length === 0) return new Set();
    let reply: Reply;
    try {
      reply = await this.#commands.runPatiently(
        `asking what was written to ${this.#commands.database}.${collection}`,
        {
          delete: collection,
          ordered: false,
          deletes: documentSequence('deletes', Buffer.concat(ids.map(neverRemoveStatement))),
          ...sessionFields(identity, identity.txnNumber),
          stmtIds: Array.from(ids.keys()),
        },
      );
    } catch (error) {
      if (isOneOf(error, TRANSACTION_TOO_OLD, INCOMPLETE_HISTORY)) return 'unknown';
      throw error;
    }
    const executed = reply['retriedStmtIds'];
    return new Set(Array.isArray(executed) ? executed.map(Number) : []);
  }

  async end(collection: string, identity: WriteIdentity): Promise<void> {
    if (this.#server.kind === 'standalone') return;
    const what = `ending a session that wrote to ${this.#commands.database}.${collection}`;
    await retry(this.#commands.patience, what, () => this.#overtake(collection, identity));
  }

  /**
   * A replica set answers to `abortTransaction` alone: done, committed before, aborted before, or a newer number has been used. A
   * mongos answers for what went through itself. Where neither says, a newer transaction that touches the collection on every
   * shard ends the older one there.
   */
  async settle(collection: string, identity: WriteIdentity): Promise<Settlement> {
    const what = `settling a transaction in ${this.#commands.database}.${collection}`;
    const isOurs = (await this.#whoAndWhen()).user === identity.user;
    // To another user the same lsid is another session; the server ends what was left open after a minute.
    if (this.#server.kind === 'standalone' || !isOurs) return 'unknown';
    const answer = await retry(this.#commands.patience, what, () => this.#abort(identity));
    if (answer === 'aborted' || answer === 'committed') return answer;
    if (answer === NO_SUCH_TRANSACTION && this.#server.kind === 'replica set') {
      return (await this.#isRemembered(identity)) ? 'aborted' : 'unknown';
    }
    await retry(this.#commands.patience, what, () => this.#overtake(collection, identity));
    return 'unknown';
  }

  async #abort(identity: WriteIdentity): Promise<Settlement | number> {
    const fields = { ...sessionFields(identity, identity.txnNumber), autocommit: false };
    try {
      await this.#commands.run({ abortTransaction: 1, ...fields }, 'admin');
      return 'aborted';
    } catch (error) {
      if (isOneOf(error, TRANSACTION_COMMITTED)) return 'committed';
      if (isOneOf(error, TRANSACTION_TOO_OLD)) return TRANSACTION_TOO_OLD;
      if (isOneOf(error, NO_SUCH_TRANSACTION)) return NO_SUCH_TRANSACTION;
      throw error;
    }
  }

  async #overtake(collection: string, identity: WriteIdentity): Promise<void> {
    const fields = { ...sessionFields(identity, LAST_NUMBER), autocommit: false };
    const route = this.#server.kind === 'sharded cluster' ? { server: undefined } : undefined;
    const { database } = this.#commands;
    const start = { startTransaction: true, readConcern: { level: 'snapshot' } };
    try {
      await this.#commands.run(
        { find: collection, limit: 1, singleBatch: true, ...fields, ...start },
        database,
        route,
      );
      await this.#commands.run({ abortTransaction: 1, ...fields }, 'admin', route);
    } catch (error) {
      // Settled in this way before, or ended by the server itself meanwhile.
      if (!isOneOf(error, CONFLICTING_OPERATION, NO_SUCH_TRANSACTION)) throw error;
    }
  }

  async #isRemembered({ user, at }: WriteIdentity): Promise<boolean> {
    if ((await this.#whoAndWhen()).user !== user) return false;
    const hello = await this.#commands.runPatiently('reading the server time', { hello: 1 }, 'admin');
    const minutes = Number(hello['logicalSessionTimeoutMinutes'] ?? 0);
    return (hello['localTime'] as Date).getTime() - at < minutes * 60_000 - CLOCK_MARGIN_MS;
  }

  /** Asked once for each connection; a failure is not kept. */
  #whoAndWhen(): Promise<Origin> {
    this.#origin ??= this.#ask().catch((error: unknown) => {
      this.#origin = undefined;
      throw error;
    });
    return this.#origin;
  }

  async #ask(): Promise<Origin> {
    return {
      user: await readAuthenticatedUsers(this.#commands),
      clockMs: (await readServerTime(this.#commands)) - performance.now(),
    };
  }
}

function isOneOf(error: unknown, ...codes: readonly number[]): error is CommandFailure {
  return error instanceof CommandFailure && codes.includes(error.serverCode ?? 0);
}

/** One transaction, from its first command to its end. */
export class Transaction {
  readonly #commands: Commands;
  readonly #fields: Command;
  readonly #timeMs: number;
  readonly #route: CommandRoute | undefined;
  #recoveryToken: Buffer | undefined;
  /** The server has ended it. */
  isOver = false;

  /** `fields`: session, number, autocommit. */
  constructor(
    { commands, isSharded }: { readonly commands: Commands; readonly isSharded: boolean },
    fields: Command,
    timeMs: number,
  ) {
    this.#commands = commands;
    this.#fields = fields;
    this.#timeMs = timeMs;
    this.#route = isSharded ? { server: undefined } : undefined;
  }

  async run(command: Command): Promise<Reply> {
    const { database } = this.#commands;
    // A getMore takes its time from its cursor.
    const limit = 'getMore' in command ? {} : { maxTimeMS: this.#timeMs };
    const reply = await this.#guarded(
      this.#commands.run({ ...command, ...limit, ...this.#fields }, database, this.#route),
    );
    // With it, another mongos can be asked what became of the transaction.
    const token = reply['recoveryToken'];
    if (token !== undefined) this.#recoveryToken = asBuffer(token);
    return reply;
  }

  /** Safe to repeat. Repeated, it goes to any mongos: the one that began may be gone. */
  async commit({ isRepeated }: { readonly isRepeated: boolean }): Promise<void> {
    const token = this.#recoveryToken && { recoveryToken: rawDocument(this.#recoveryToken) };
    const command = { commitTransaction: 1, ...this.#fields, ...token, writeConcern: MAJORITY };
    await this.#guarded(this.#commands.run(command, 'admin', isRepeated ? undefined : this.#route));
    this.isOver = true;
  }

  /** Frees its documents, where that can be said; the next attempt ends it otherwise, or the server after a minute. */
  async abandon(because: unknown): Promise<void> {
    const isOutOfReach = because instanceof CommandFailure && because.serverCode === undefined;
    if (this.isOver || isOutOfReach) return;
    try {
      await this.#commands.run({ abortTransaction: 1, ...this.#fields }, 'admin', this.#route);
    } catch (error) {
      // The error to be told is the one that led here.
      if (!(error instanceof CommandFailure)) throw error;
    }
  }

  /** Every error but that of a commit without an answer ends a transaction; the server says so by a label. */
  async #guarded(reply: Promise<Reply>): Promise<Reply> {
    try {
      return await reply;
    } catch (error) {
      if (error instanceof CommandFailure && error.abortedTransaction) this.isOver = true;
      throw error;
    }
  }
}
