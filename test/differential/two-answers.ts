/** Asks the engine and a real server the same question about the same documents. */
import { findElement } from '../../src/bson/elements.ts';
import type { JsonValue } from '../../src/bson/extended-json.ts';
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import { compileQuery } from '../../src/query/compile-query.ts';
import { QueryFault } from '../../src/query/query-fault.ts';
import { command, failureOf, firstBatch, type RawConnection } from './raw-connection.ts';

/** The `_id`s (int32) of the matching documents in ascending order, or why there is no answer. */
export type Answer = { readonly ids: readonly number[] } | { readonly refused: string };

export interface StoredCollection {
  readonly name: string;
  readonly documents: readonly Buffer[];
}

export const DATABASE = 'differential';
const ID = Buffer.from('_id');
const IDS_ONLY = command({ _id: 1 });
let counter = 0;

export async function storeDocuments(
  connection: RawConnection,
  documents: readonly Buffer[],
  collation?: Buffer,
): Promise<StoredCollection> {
  const name = `c${counter++}`;
  if (collation !== undefined) await connection.send(command({ create: name, collation, $db: DATABASE }));
  const failure = failureOf(
    await connection.send(
      command({ insert: name, documents, bypassEmptyTsReplacement: true, $db: DATABASE }),
    ),
  );
  if (failure !== undefined) throw new Error(`the server refused a document: ${failure}`);
  return { name, documents };
}

export async function dropCollection(connection: RawConnection, { name }: StoredCollection): Promise<void> {
  await connection.send(command({ drop: name, $db: DATABASE }));
}

export function queryBytes(query: JsonValue): Buffer {
  return writeExtendedJson(query, { dialect: 'query' });
}

export async function askServer(
  connection: RawConnection,
  { name }: StoredCollection,
  filter: Buffer,
): Promise<Answer> {
  const reply = await connection.send(
    command({
      find: name,
      filter,
      projection: IDS_ONLY,
      batchSize: 100_000,
      singleBatch: true,
      $db: DATABASE,
    }),
  );
  const failure = failureOf(reply);
  if (failure !== undefined) return { refused: failure };
  return {
    ids: firstBatch(reply)
      .map(idOf)
      .sort((a, b) => a - b),
  };
}

export function askEngine({ documents }: StoredCollection, filter: Buffer): Answer {
  try {
    const matches = compileQuery(filter);
    return { ids: documents.filter((document) => matches(document, 0)).map(idOf) };
  } catch (fault) {
    if (fault instanceof QueryFault) return { refused: fault.message };
    throw fault;
  }
}

export function idOf(document: Buffer): number {
  const id = findElement(document, 0, ID);
  if (id === undefined) throw new Error('a document without _id');
  return id.bytes.readInt32LE(id.start);
}

/** Errors of the server's own making: it trips over empty keys in the values of an "enum" while it plans the query. */
const SERVER_FAULT = /^FieldPath cannot be constructed with empty string$/;

/**
 * agree: the same documents, or both refuse. unsupported: the engine refuses what the server answers, which it may.
 * differ: anything else.
 */
export function verdict(server: Answer, engine: Answer): 'agree' | 'unsupported' | 'differ' {
  if ('refused' in engine) return 'refused' in server ? 'agree' : 'unsupported';
  if ('refused' in server) return SERVER_FAULT.test(server.refused) ? 'agree' : 'differ';
  const same =
    server.ids.length === engine.ids.length && server.ids.every((id, index) => id === engine.ids[index]);
  return same ? 'agree' : 'differ';
}
