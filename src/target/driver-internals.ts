/**
 * The one door to the driver's internals: raw documents in a command, and a raw reply to it. The driver's exact version is
 * pinned in package.json, and `test/target/raw-bytes.test.ts` compares bytes, so an upgrade that breaks this cannot pass.
 */
import type { MongoClient } from 'mongodb';
// @ts-expect-error the driver ships no types for its internals
import commands from 'mongodb/lib/cmap/commands.js';
// @ts-expect-error
import execution from 'mongodb/lib/operations/execute_operation.js';
// @ts-expect-error
import operations from 'mongodb/lib/operations/run_command.js';
// @ts-expect-error
import namespaces from 'mongodb/lib/utils.js';
import type { Reply } from '../mongo/reply.ts';

interface DocumentSequence {
  /** `document` serves command monitoring only; `bytes` goes on the wire as it is. */
  push(document: object, bytes: Uint8Array): number;
}

const Sequence = commands.DocumentSequence as new (field: string) => DocumentSequence;

/**
 * A command argument made of raw documents. OP_MSG carries the documents of an insert, update or delete as a section of their
 * own ("kind 1"), outside the command document; the driver's public API always decodes and encodes them again, which reorders
 * keys and changes types.
 *
 * `bytes` are whole documents, one after another: one push for all of them, so the cost does not grow with their number.
 * The value must be a direct field of the command.
 */
export function documentSequence(field: 'documents' | 'updates' | 'deletes', bytes: Buffer): object {
  const sequence = new Sequence(field);
  sequence.push({}, bytes);
  return sequence;
}

interface RunCommand {
  handleOk(response: { toObject(options: { raw: true }): Reply }): Reply;
}

const RunCommand = operations.RunCommandOperation as new (
  namespace: object,
  command: object,
  options: object,
) => RunCommand;

/**
 * `db.command(command, { raw: true })` would hand out raw errors as well, and the driver reads its own errors: after "not
 * primary" it keeps the error's `topologyVersion` as the server's, and with raw bytes in that place every later error of the
 * server ends in a TypeError of the driver, which then never notices the election.
 */
class RunCommandRawReply extends RunCommand {
  override handleOk(response: { toObject(options: { raw: true }): Reply }): Reply {
    return response.toObject({ raw: true });
  }
}

export interface RawCommand {
  readonly database: string;
  readonly command: object;
  readonly signal: AbortSignal;
}

/** Throws what the driver throws, or the signal's reason. The reply's nested documents are raw bytes. */
export function runForRawReply(
  client: MongoClient,
  { database, command, signal }: RawCommand,
): Promise<Reply> {
  const namespace = new namespaces.MongoDBNamespace(database);
  return execution.executeOperation(client, new RunCommandRawReply(namespace, command, { signal }));
}
