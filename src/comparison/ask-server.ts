/**
 * Lets the target server judge documents without storing them: they travel in `$documents` with `$literal`, at the head of a
 * pipeline. What a server says is exact, because it is its own answer. Our own query engine takes its place as far as it goes.
 */
import { buildDocument, type DocumentBuilder } from '../bson/document-builder.ts';
import { type Documents, findId } from '../bson/documents.ts';
import { elements, findElement, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import { compileQuery, type Matcher } from '../query/compile-query.ts';
import { QueryFault } from '../query/query-fault.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { numberIn } from '../target/describe-collection.ts';
import type { TargetIndex, TargetReader } from '../target/target.ts';

/** The documents travel inside one command, which has to stay below 16 MiB with the pipeline beside them. */
const BYTES_PER_COMMAND = 12 * 1024 * 1024;
const DOCUMENTS_PER_COMMAND = 4_000;

/** Unrecognized pipeline stage: a server before 5.1, which has no `$documents`. */
const NO_SUCH_STAGE = 40324;
/** Unrecognized expression. */
const NO_SUCH_EXPRESSION = 168;
/** A mongos makes no keys of an index. */
const NO_KEYS_ON_MONGOS = 6868510;
const UNANSWERED: ReadonlySet<number | undefined> = new Set([
  NO_SUCH_STAGE,
  NO_SUCH_EXPRESSION,
  NO_KEYS_ON_MONGOS,
]);

/** The server does not know how to answer this user, whatever the documents. */
export function cannotAnswer({ serverCode, lacksPrivilege }: CommandFailure): boolean {
  return UNANSWERED.has(serverCode) || lacksPrivilege;
}

/** Codes by which the server says that a document does not fit into a command, and nothing of what was asked. */
const UNASKABLE: ReadonlySet<number> = new Set([
  15, // Overflow: the pipeline around it makes it too deep
  10334, // BSONObjectTooLarge
  17419, // the same, of a document that grows while it is computed
  17420, // the same
  16493, // a reply that is too large
]);

/** The document could not be asked about: it is too large, or too deep with a pipeline around it. */
export function isUnaskable({ serverCode }: CommandFailure): boolean {
  return serverCode === undefined || UNASKABLE.has(serverCode);
}

/** `{$documents: [those at the positions]}`. */
export function documentsStage(documents: Documents, positions: readonly number[]): Buffer {
  return wrapped(
    '$documents',
    buildDocument((builder) => {
      builder.element(BSON.ARRAY, '$literal');
      builder.embed(() => {
        for (const [index, position] of positions.entries())
          putDocument(builder, String(index), documents.document(position));
      });
    }),
  );
}

type Positions = readonly number[];

/**
 * Asks about as many documents at once as a command takes. A document that the server fails at spoils its whole group: the halves
 * are asked about instead, until it stands alone. Throws CommandFailure when the server cannot be reached.
 */
export async function askInGroups(
  documents: Documents,
  positions: Positions,
  {
    ask,
    failed,
  }: {
    readonly ask: (group: Positions) => Promise<void>;
    readonly failed: (position: number, failure: CommandFailure) => void;
  },
): Promise<void> {
  const waiting = groupsOf(documents, positions);
  for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
    try {
      await ask(group);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.transient) throw error;
      if (group.length === 1 || cannotAnswer(error)) {
        for (const position of group) failed(position, error);
        continue;
      }
      const half = Math.ceil(group.length / 2);
      waiting.push(group.slice(0, half), group.slice(half));
    }
  }
}

function groupsOf(documents: Documents, positions: Positions): number[][] {
  const groups: number[][] = [];
  let group: number[] = [];
  let bytes = 0;
  for (const position of positions) {
    const size = documents.size(position);
    if (group.length >= DOCUMENTS_PER_COMMAND || (group.length > 0 && bytes + size > BYTES_PER_COMMAND)) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(position);
    bytes += size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

interface ServerAnswer {
  readonly matching: ReadonlySet<number>;
  /** Those that the server could not be asked about, for instance a document too large for a command. */
  readonly unanswered: Positions;
}

/**
 * Which documents match a query: exact for every operator and collation. Throws CommandFailure when the server cannot be reached.
 */
export async function matchOnServer(
  {
    reader,
    query,
    collation,
  }: { readonly reader: TargetReader; readonly query: Buffer; readonly collation: Buffer | undefined },
  documents: Documents,
  positions: Positions,
): Promise<ServerAnswer> {
  const matching = new Set<number>();
  const unanswered: number[] = [];
  const stages = [wrapped('$match', query), wrapped('$project', projectionOf([]))];
  const ask = async (group: Positions): Promise<void> => {
    const pipeline = [documentsStage(documents, group), ...stages];
    const found = await reader.aggregate(1, pipeline, collation === undefined ? {} : { collation });
    const matched = new Set(found.map((document) => exactId(document, 0)));
    for (const position of group) {
      if (matched.has(exactId(documents.bytes, documents.start(position)))) matching.add(position);
    }
  };
  await askInGroups(documents, positions, { ask, failed: (position) => unanswered.push(position) });
  return { matching, unanswered };
}

/** The server hands an `_id` back as it was given, so type and bytes are enough to know it again. */
function exactId(bytes: Buffer, start: number): string {
  const id = findId(bytes, start);
  return id === undefined ? '' : `${id.type}:${bytes.toString('latin1', id.start, id.end)}`;
}

/**
 * Lets the server make the keys that documents would have in an index. Throws CommandFailure with the code that an insert would
 * end with where the server can make no keys of one of the documents, or takes no such index. A partial filter is not looked at.
 * Needs MongoDB 6.3 (`$_internalIndexKey`), and no mongos.
 */
export async function keysOnServer(
  { reader, index }: { readonly reader: TargetReader; readonly index: TargetIndex },
  documents: Documents,
  positions: Positions,
): Promise<void> {
  const keys = indexKeyExpression(index);
  // Counted, so that no key has to be sent back.
  const count = buildDocument((builder) => {
    builder.element(BSON.NULL, '_id');
    builder.element(BSON.OBJECT, 'keys');
    builder.embed(() => {
      builder.element(BSON.OBJECT, '$sum');
      builder.embed(() => {
        putDocument(builder, '$size', keys);
      });
    });
  });
  await reader.aggregate(1, [documentsStage(documents, positions), wrapped('$group', count)]);
}

/** The same keys themselves, those of each document in turn: under the index's collation what the server compares in the place of text. */
export async function indexKeysOnServer(
  { reader, index }: { readonly reader: TargetReader; readonly index: TargetIndex },
  documents: Documents,
  positions: Positions,
): Promise<readonly (readonly RawValue[])[]> {
  const projection = buildDocument((builder) => {
    builder.element(BSON.INT32, '_id');
    builder.int32(0);
    putDocument(builder, 'keys', indexKeyExpression(index));
  });
  const pipeline = [documentsStage(documents, positions), wrapped('$project', projection)];
  const answers = await reader.aggregate(1, pipeline);
  return answers.map((answer) => {
    const keys = findElement(answer, 0, Buffer.from('keys'));
    return keys === undefined ? [] : [...elements(keys.bytes, keys.start)];
  });
}

function indexKeyExpression(index: TargetIndex): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, '$_internalIndexKey');
    builder.embed(() => {
      builder.element(BSON.STRING, 'doc');
      builder.string('$$ROOT');
      putDocument(builder, 'spec', askable(index));
    });
  });
}

/** The server made the keys of a compound wildcard index, which it takes, and failed at showing them. */
const NOT_SHOWN = 13111;

/** Whether a failure says nothing against the document: its keys were made. */
export function wereKeysMade({ serverCode }: CommandFailure): boolean {
  return serverCode === NOT_SHOWN;
}

/**
 * The specification as this question takes it. Keys are made in ascending order alone; which document has a key does not depend
 * on it. What `createIndexes` adds must be there: a 2dsphere index without its version would be taken for one of version 1, which
 * objects to null.
 */
function askable({ raw, key }: TargetIndex): Buffer {
  return buildDocument((builder) => {
    if (key.some(([, kind]) => kind === '2dsphere') && findElement(raw, 0, SPHERE_VERSION) === undefined) {
      builder.element(BSON.INT32, SPHERE_VERSION.toString());
      builder.int32(NEWEST_SPHERE);
    }
    for (const field of elements(raw)) {
      if (keyOf(field) !== 'key' || field.type !== BSON.OBJECT) {
        putValue(builder, keyOf(field), field);
        continue;
      }
      builder.element(BSON.OBJECT, 'key');
      builder.embed(() => {
        for (const part of elements(field.bytes, field.start)) {
          if (!isDescending(part)) putValue(builder, keyOf(part), part);
          else {
            builder.element(BSON.INT32, keyOf(part));
            builder.int32(1);
          }
        }
      });
    }
  });
}

const SPHERE_VERSION = Buffer.from('2dsphereIndexVersion');
/** What servers from 3.2 to 8.2 make. */
const NEWEST_SPHERE = 3;

function isDescending(part: RawElement): boolean {
  return (numberIn(part) ?? 0) < 0;
}

/** Our own query engine in the place of the server's; undefined where it does not know an operator. */
export function localMatcher(query: Buffer): Matcher | undefined {
  return unlessUnanswerable(() => compileQuery(query));
}

/** Undefined for a document that an expression has no answer for. */
export function unlessUnanswerable<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask();
  } catch (error) {
    if (error instanceof QueryFault) return undefined;
    throw error;
  }
}

// Raw queries and stages around raw values: nothing of a document is decoded to ask about it.

export function putValue(builder: DocumentBuilder, key: string, value: RawValue): void {
  builder.element(value.type, key);
  builder.value(value);
}

export function putDocument(builder: DocumentBuilder, key: string, document: Buffer): void {
  builder.element(BSON.OBJECT, key);
  builder.raw(document);
}

/** `{key: document}`, for instance a pipeline stage. */
export function wrapped(key: string, document: Buffer): Buffer {
  return buildDocument((builder) => putDocument(builder, key, document));
}

/** `{_id: 1, …}` for the given top-level fields. */
export function projectionOf(fields: readonly string[]): Buffer {
  return buildDocument((builder) => {
    for (const field of new Set(['_id', ...fields])) {
      builder.element(BSON.INT32, field);
      builder.int32(1);
    }
  });
}

/** `{$and: [a, b]}`. */
export function both(a: Buffer, b: Buffer): Buffer {
  return listOf('$and', [a, b]);
}

/** `{operator: [documents…]}`. */
export function listOf(operator: string, documents: readonly Buffer[]): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.ARRAY, operator);
    builder.embed(() => {
      for (const [index, document] of documents.entries()) putDocument(builder, String(index), document);
    });
  });
}

/** One field and the value it must equal; undefined = it is missing or null. */
type FieldValue = readonly [path: string, value: RawValue | undefined];

/**
 * The documents that may hold these index keys: `{a: {$eq: value}, b: {$eq: value}, …}`. An absent value asks for null,
 * which missing fields match too. An index that is `sparse` can only be used when the fields must exist.
 */
export function equalQuery(fields: readonly FieldValue[], sparse: boolean): Buffer {
  const clauses = fields.map(([path, value]) => {
    // An empty array is stored as undefined, which no query may compare with.
    if (value?.type === BSON.UNDEFINED) return listOf('$or', [emptyArray(path), undefinedAt(path)]);
    return buildDocument((builder) => {
      builder.element(BSON.OBJECT, path);
      builder.embed(() => {
        if (value === undefined) builder.element(BSON.NULL, '$eq');
        else putValue(builder, '$eq', value);
        if (!sparse || value === undefined) return;
        builder.element(BSON.BOOL, '$exists');
        builder.byte(1);
      });
    });
  });
  return clauses.length === 1 ? (clauses[0] as Buffer) : listOf('$and', clauses);
}

/** An index key as a document: the index's fields in order, null for a missing one. */
export function keyDocument(paths: readonly string[], key: readonly (RawValue | undefined)[]): Buffer {
  return buildDocument((builder) => {
    for (const [field, path] of paths.entries()) {
      const value = key[field];
      if (value === undefined) builder.element(BSON.NULL, path);
      else putValue(builder, path, value);
    }
  });
}

function emptyArray(path: string): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.ARRAY, path);
    builder.embed(() => {});
  });
}

function undefinedAt(path: string): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, path);
    builder.embed(() => {
      builder.element(BSON.INT32, '$type');
      builder.int32(BSON.UNDEFINED);
    });
  });
}

/** `{path: {$in: [values…]}}`. A regular expression among the values would be run as one: ask with `equalQuery` instead. */
export function inQuery(path: string, values: readonly RawValue[]): Buffer {
  return buildDocument((builder) => {
    builder.element(BSON.OBJECT, path);
    builder.embed(() => {
      builder.element(BSON.ARRAY, '$in');
      builder.embed(() => {
        for (const [index, value] of values.entries()) putValue(builder, String(index), value);
      });
    });
  });
}
