/**
 * Lets the target server decide which documents match a query, without storing them: `$documents` with `$literal`,
 * then `$match`. Exact for every operator and collation, because it is the server's own answer.
 */
import { findId } from '../bson/stored-form.ts';
import { BSON } from '../bson/types.ts';
import { CommandFailure } from '../target/command-failure.ts';
import type { TargetReader } from '../target/target.ts';
import { bytesOf, type Candidate } from './candidate.ts';
import { documentOf, embed, projectionOf, putDocument, wrapped } from './query-documents.ts';

/** The documents travel inside one command, which has to stay below 16 MiB with the query beside them. */
const BYTES_PER_COMMAND = 12 * 1024 * 1024;
const DOCUMENTS_PER_COMMAND = 4_000;

/** Unrecognized pipeline stage: a server before 5.1, which has no `$documents`. Smaller groups would not help. */
const NO_SUCH_STAGE = 40324;

export interface ServerQuestion {
  readonly reader: TargetReader;
  readonly query: Buffer;
  readonly collation: Buffer | undefined;
}

export interface ServerAnswer {
  readonly matching: ReadonlySet<Candidate>;
  /** Those that the server could not be asked about, for instance a document too large for a command. */
  readonly unanswered: readonly Candidate[];
}

/** Throws CommandFailure when the server cannot be reached. */
export async function matchOnServer(
  question: ServerQuestion,
  candidates: readonly Candidate[],
): Promise<ServerAnswer> {
  const matching = new Set<Candidate>();
  const unanswered: Candidate[] = [];
  const waiting = groupsOf(candidates);
  for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
    try {
      for (const candidate of await askOnce(question, group)) matching.add(candidate);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.transient) throw error;
      if (group.length === 1 || error.serverCode === NO_SUCH_STAGE) {
        unanswered.push(...group);
        continue;
      }
      // One document that cannot be embedded (the pipeline around it makes it too deep) spoils its whole group.
      const half = Math.ceil(group.length / 2);
      waiting.push(group.slice(0, half), group.slice(half));
    }
  }
  return { matching, unanswered };
}

function groupsOf(candidates: readonly Candidate[]): Candidate[][] {
  const groups: Candidate[][] = [];
  let group: Candidate[] = [];
  let bytes = 0;
  for (const candidate of candidates) {
    const size = candidate.document.end - candidate.document.start;
    if (group.length >= DOCUMENTS_PER_COMMAND || (group.length > 0 && bytes + size > BYTES_PER_COMMAND)) {
      groups.push(group);
      group = [];
      bytes = 0;
    }
    group.push(candidate);
    bytes += size;
  }
  if (group.length > 0) groups.push(group);
  return groups;
}

async function askOnce(
  { reader, query, collation }: ServerQuestion,
  group: readonly Candidate[],
): Promise<Candidate[]> {
  const documents = documentOf((builder) => {
    builder.element(BSON.ARRAY, '$literal');
    embed(builder, () => {
      for (const [index, candidate] of group.entries())
        putDocument(builder, String(index), bytesOf(candidate));
    });
  });
  const pipeline = [
    wrapped('$documents', documents),
    wrapped('$match', query),
    wrapped('$project', projectionOf([])),
  ];
  const found = await reader.aggregate(1, pipeline, collation === undefined ? {} : { collation });
  const matched = new Set(found.map((document) => exactId(document, 0)));
  return group.filter(({ document }) => matched.has(exactId(document.bytes, document.start)));
}

/** The server hands an `_id` back as it was given, so type and bytes are enough to know it again. */
function exactId(bytes: Buffer, start: number): string {
  const id = findId(bytes, start);
  return id === undefined ? '' : `${id.type}:${bytes.toString('latin1', id.start, id.end)}`;
}
