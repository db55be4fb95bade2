/**
 * Runs single commands against the target's primary, patiently where asked to, and hands back raw replies. Everything the tool asks
 * of a server goes through here: retries, cursors and documents of the driver's API would decode documents and report write errors
 * that cannot be trusted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MongoClient } from 'mongodb';
import { RestorePlanError } from '../errors.ts';
import type { Emit, TargetName } from '../events.ts';
import { freeMemory } from '../free-memory.ts';
import { type Reply, readWriteFaults } from '../mongo/raw-messages.ts';
import { CommandFailure, standstillName } from './command-failure.ts';
import { type CommandRoute, runForRawReply } from './driver-internals.ts';

export interface Command {
  readonly [field: string]: unknown;
}

/** Longest that the server may work on one command, milliseconds. */
export const COMMAND_TIME_MS = 30_000;

/** How long the server waits for the majority before it says so; an election takes up to 12 s. */
const MAJORITY_WAIT_MS = 20_000;

export const MAJORITY = { w: 'majority', wtimeout: MAJORITY_WAIT_MS } as const;

/** Of writes outside a transaction: documents are independent of each other, and one refusal must not keep the rest out. */
export const WRITE = { ordered: false, maxTimeMS: COMMAND_TIME_MS, writeConcern: MAJORITY } as const;

/** Commands and replies above it are of large documents. */
const LARGE_BYTES = 6 * 1024 * 1024;

/** Bytes of the documents of a command's sequence, or of the cursor of a reply. */
function bytesIn(value: unknown): number {
  const { documents, cursor } = (value ?? {}) as { readonly documents?: unknown; readonly cursor?: unknown };
  const bytes = documents ?? cursor;
  return bytes instanceof Uint8Array ? bytes.length : 0;
}

export class Commands {
  readonly #client: MongoClient;
  /** Name of the target's database. */
  readonly database: string;
  readonly target: TargetName;
  readonly patience: Patience;
  readonly #replyMs: number;

  /** `replyMs`: longest wait for one reply, milliseconds. */
  constructor(
    client: MongoClient,
    replyMs: number,
    { target, database, patience }: Pick<Commands, 'target' | 'database' | 'patience'>,
  ) {
    this.#client = client;
    this.database = database;
    this.target = target;
    this.patience = patience;
    this.#replyMs = replyMs;
  }

  /**
   * One attempt. The first field of `command` is its name. Throws CommandFailure when there is no reply, the reply is
   * not ok, a write concern was not met, or the server takes no writes at all: whatever the command was to write may or may
   * not be there. `route`: the commands of a transaction go through one mongos.
   */
  async run(command: Command, database = this.database, route?: CommandRoute): Promise<Reply> {
    // The driver's own time limit does not end a command that a server which hangs does not even take off the wire.
    const signal = AbortSignal.timeout(this.#replyMs);
    const failed = (cause: unknown): CommandFailure => {
      const name = Object.keys(command)[0] ?? '';
      const collection = command[name];
      const namespace = typeof collection === 'string' ? `${database}.${collection}` : database;
      return new CommandFailure({ target: this.target, command: name, namespace, cause });
    };
    let reply: Reply;
    try {
      reply = await runForRawReply(this.#client, { database, command, signal, route });
    } catch (cause) {
      throw failed(cause);
    }
    // The reply blames the documents for these, one by one; they are not to be refused for it.
    for (const { code } of readWriteFaults(reply)) {
      const codeName = standstillName(code);
      if (codeName !== undefined) throw failed({ code, codeName });
    }
    if (Math.max(bytesIn(reply), ...Object.values(command).map(bytesIn)) > LARGE_BYTES) freeMemory();
    return reply;
  }

  /** A command without effect, or one that may be repeated: tried again while faults are transient. */
  runPatiently(what: string, command: Command, database?: string): Promise<Reply> {
    return retry(this.patience, what, () => this.run(command, database));
  }
}

// Transient faults: waits between attempts grow, and end when the patience given for one step is used up.

export interface Patience {
  /** How long one step may keep failing before it is given up, milliseconds from its first failure. */
  readonly totalMs: number;
  readonly emit: Emit;
  /** Aborted: no further attempt is made. */
  readonly signal: AbortSignal;
}

/** Thrown by an attempt that got an answer, but one that only time can change: a document locked, a write not yet visible. */
export class TryAgain extends RestorePlanError {
  readonly transient = true;
  readonly reason: string;

  constructor(what: string, reason: string) {
    super('TARGET', `${what}: ${reason}`, {
      hint: 'Look at the state of the target server, then run the same command again.',
    });
    this.reason = reason;
  }
}

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 3_000;

/** Runs `attempt` until it succeeds, fails for good, or the patience ends; then throws the last failure. */
export async function retry<T>(patience: Patience, what: string, attempt: () => Promise<T>): Promise<T> {
  let firstFailureAt: number | undefined;
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CommandFailure || error instanceof TryAgain)) throw error;
      if (!error.transient || patience.signal.aborted) throw error;
      const now = performance.now();
      firstFailureAt ??= now;
      // Jitter keeps the batches in flight from coming back all at once to a server that has just recovered.
      const delayMs =
        Math.min(FIRST_DELAY_MS * 2 ** (tries - 1), LONGEST_DELAY_MS) * (0.5 + Math.random() / 2);
      if (now + delayMs - firstFailureAt > patience.totalMs) throw error;
      patience.emit({
        type: 'retry',
        what,
        attempt: tries,
        delayMs: Math.round(delayMs),
        reason: error.reason,
      });
      await delay(delayMs, undefined, { signal: patience.signal }).catch(() => {
        throw error;
      });
    }
  }
}

/** Documents that are written together, while it is not known of all of them what came of it. */
export interface Unsettled<Item> {
  open: readonly Item[];
  /** Something was sent before, so that a document which is not as it was may be our own doing. */
  isInDoubt: boolean;
}

interface Settling {
  readonly patience: Patience;
  readonly what: string;
  /** Why another attempt is made after one that got its answer. */
  readonly why: (open: number) => string;
}

/**
 * The one rule by which documents are written: attempt what is open; if in doubt, look first what is there; keep what is open, and try
 * again. An attempt takes out of `open` what is settled as soon as it is, for it may fail at any moment. How it finds out what is there
 * differs, and must: an insert may ask after it was sent, because the server keeps `_id`s apart; a standalone compares the bytes before
 * each attempt, because nothing else does; a transaction compares them in its own snapshot, and the server remembers its commit.
 */
export function settle<Item>(
  { patience, what, why }: Settling,
  items: readonly Item[],
  attempt: (unsettled: Unsettled<Item>) => Promise<void>,
): Promise<void> {
  const unsettled: Unsettled<Item> = { open: items, isInDoubt: false };
  return retry(patience, what, async () => {
    await attempt(unsettled);
    if (unsettled.open.length > 0) throw new TryAgain(what, why(unsettled.open.length));
  });
}
