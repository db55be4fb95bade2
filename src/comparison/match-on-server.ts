/** Lets the target server decide which documents match a query: exact for every operator and collation. */
import { findId } from '../bson/stored-form.ts';
import type { TargetReader } from '../target/target.ts';
import { askInGroups, documentsStage } from './ask-server.ts';
import type { Candidate } from './candidate.ts';
import { projectionOf, wrapped } from './query-documents.ts';

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
  { reader, query, collation }: ServerQuestion,
  candidates: readonly Candidate[],
): Promise<ServerAnswer> {
  const matching = new Set<Candidate>();
  const unanswered: Candidate[] = [];
  const stages = [wrapped('$match', query), wrapped('$project', projectionOf([]))];
  const ask = async (group: readonly Candidate[]): Promise<void> => {
    const pipeline = [documentsStage(group), ...stages];
    const found = await reader.aggregate(1, pipeline, collation === undefined ? {} : { collation });
    const matched = new Set(found.map((document) => exactId(document, 0)));
    for (const candidate of group) {
      const { bytes, start } = candidate.document;
      if (matched.has(exactId(bytes, start))) matching.add(candidate);
    }
  };
  await askInGroups(candidates, ask, (candidate) => unanswered.push(candidate));
  return { matching, unanswered };
}

/** The server hands an `_id` back as it was given, so type and bytes are enough to know it again. */
function exactId(bytes: Buffer, start: number): string {
  const id = findId(bytes, start);
  return id === undefined ? '' : `${id.type}:${bytes.toString('latin1', id.start, id.end)}`;
}
