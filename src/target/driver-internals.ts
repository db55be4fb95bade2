/**
 * The one door to the driver's internals: raw documents in a command, a session of our own, and a raw reply. The driver's exact version is
 * pinned in package.json, and `test/target/raw-bytes.test.ts` compares bytes, so an upgrade that breaks this cannot pass.
 */
import type { Socket } from 'node:net';
import type { MongoClient } from 'mongodb';
// @ts-expect-error the driver ships no types for its internals
import commands from 'mongodb/lib/cmap/commands.js';
// @ts-expect-error
import connection from 'mongodb/lib/cmap/connection.js';
// @ts-expect-error
import execution from 'mongodb/lib/operations/execute_operation.js';
// @ts-expect-error
import operation from 'mongodb/lib/operations/operation.js';
// @ts-expect-error
import operations from 'mongodb/lib/operations/run_command.js';
// @ts-expect-error
import namespaces from 'mongodb/lib/utils.js';
import type { Reply } from '../mongo/raw-messages.ts';

const DocumentSequence = commands.DocumentSequence as new (field: string) => object;

/** Section of kind 1: type byte, size (int32, all but the type byte), name, NUL, documents. */
class RawSequence extends DocumentSequence {
  readonly documents: Buffer;
  /** The documents are written by themselves: the section is to end before them. */
  apart = false;
  readonly #head: Buffer;

  constructor(field: string, documents: Buffer) {
    super(field);
    this.documents = documents;
    this.#head = Buffer.from(`\u0001\0\0\0\0${field}\0`, 'latin1');
    this.#head.writeInt32LE(this.#head.length - 1 + documents.length, 1);
  }

  toBin(): Buffer {
    return this.apart ? this.#head : Buffer.concat([this.#head, this.documents]);
  }
}

/**
 * A command argument made of raw documents. OP_MSG carries the documents of an insert, update or delete as a section of their
 * own ("kind 1"), outside the command document; the driver's public API always decodes and encodes them again, which reorders
 * keys and changes types.
 *
 * `documents` are whole documents, one after another; they must not change before the reply. The value must be a direct
 * field of the command, and the only one of its kind.
 */
export function documentSequence(field: 'documents' | 'updates' | 'deletes', documents: Buffer): object {
  return new RawSequence(field, documents);
}

interface Request {
  /** Absent in the OP_QUERY of a handshake. */
  readonly command?: object;
  /** The message in pieces, its length in the first four bytes. Takes sequences out of `command`. */
  toBin(): Uint8Array[];
}

interface Connection {
  readonly socket: Socket;
  writeCommand(request: Request, options: { readonly agreedCompressor: string }): Promise<void>;
}

const Connection = connection.Connection as new () => Connection;

/**
 * Hands raw documents to the socket where they lie. The driver copies them three times on their way there, which took a tenth
 * of the processor time of an apply.
 */
class ScatteringConnection extends Connection {
  override async writeCommand(
    request: Request,
    options: { readonly agreedCompressor: string },
  ): Promise<void> {
    const sequence = Object.values(request.command ?? {}).find((value) => value instanceof RawSequence);
    if (sequence === undefined || options.agreedCompressor !== 'none')
      return super.writeCommand(request, options);
    sequence.apart = true;
    const head = Buffer.concat(request.toBin());
    head.writeInt32LE(head.length + sequence.documents.length, 0);
    // Nothing waits for the socket to drain: the reply cannot come before, and a connection has one command under way.
    this.socket.cork();
    this.socket.write(head);
    this.socket.write(sequence.documents);
    this.socket.uncork();
  }
}

/** For the driver's client: how it makes connections. */
export const CONNECTION_OPTIONS = { connectionType: ScatteringConnection };

interface Operation {
  /** Where it was sent. */
  server: object | undefined;
  hasAspect(aspect: symbol): boolean;
  buildOptions(timeout: object): object;
  handleOk(response: { toObject(options: { raw: true }): Reply }): Reply;
}

const RunCommand = operations.RunCommandOperation as new (
  namespace: object,
  command: object,
  options: object,
) => Operation;

/** The server that the first of some commands went to, to send the others there, too. */
export interface CommandRoute {
  server: object | undefined;
}

/**
 * `db.command(command, { raw: true })` would hand out raw errors as well, and the driver reads its own errors: after "not
 * primary" it keeps the error's `topologyVersion` as the server's, and with raw bytes in that place every later error of the
 * server ends in a TypeError of the driver, which then never notices the election.
 *
 * A command with an `lsid` keeps it: of its own accord the driver puts that of an implicit session in its place, without a word.
 */
class RunCommandRawReply extends RunCommand {
  readonly #keepsSession: boolean;

  constructor(namespace: object, command: object, options: object) {
    super(namespace, command, options);
    this.#keepsSession = 'lsid' in command;
  }

  override hasAspect(aspect: symbol): boolean {
    if (aspect === operation.Aspect.MUST_SELECT_SAME_SERVER) return this.server !== undefined;
    return super.hasAspect(aspect);
  }

  override buildOptions(timeout: object): object {
    const options = super.buildOptions(timeout);
    return this.#keepsSession ? { ...options, session: undefined } : options;
  }

  override handleOk(response: { toObject(options: { raw: true }): Reply }): Reply {
    return response.toObject({ raw: true });
  }
}

interface RawCommand {
  readonly database: string;
  /** May hold `lsid` and `txnNumber`: then it runs in that session. */
  readonly command: object;
  readonly signal: AbortSignal;
  /** Taken where it is known, else noted. */
  readonly route?: CommandRoute | undefined;
}

/** Throws what the driver throws, or the signal's reason. The reply's nested documents are raw bytes. */
export async function runForRawReply(
  client: MongoClient,
  { database, command, signal, route }: RawCommand,
): Promise<Reply> {
  const namespace = new namespaces.MongoDBNamespace(database);
  const run = new RunCommandRawReply(namespace, command, { signal });
  if (route !== undefined) run.server = route.server;
  const reply: Reply = await execution.executeOperation(client, run);
  if (route !== undefined) route.server = run.server;
  return reply;
}
