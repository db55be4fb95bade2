/**
 * Lets the target server judge documents without storing them: they travel in `$documents` with `$literal`, at the head of a
 * pipeline. What a server says is exact, because it is its own answer.
 */
import { BSON } from '../bson/types.ts';
import { CommandFailure } from '../target/command-failure.ts';
import { bytesOf, type Candidate } from './candidate.ts';
import { documentOf, embed, putDocument, wrapped } from './query-documents.ts';

/** The documents travel inside one command, which has to stay below 16 MiB with the pipeline beside them. */
const BYTES_PER_COMMAND = 12 * 1024 * 1024;
const DOCUMENTS_PER_COMMAND = 4_000;

/** Unrecognized pipeline stage: a server before 5.1, which has no `$documents`. */
const NO_SUCH_STAGE = 40324;
/** Unrecognized expression. */
const NO_SUCH_EXPRESSION = 168;

/** The server does not know how to answer this user, whatever the documents. */
export function cannotAnswer({ serverCode, lacksPrivilege }: CommandFailure): boolean {
  return serverCode === NO_SUCH_STAGE || serverCode === NO_SUCH_EXPRESSION || lacksPrivilege;
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

/** `{$documents: [the candidates’ documents]}`. */
export function documentsStage(candidates: readonly Candidate[]): Buffer {
  return wrapped(
    '$documents',
    documentOf((builder) => {
      builder.element(BSON.ARRAY, '$literal');
      embed(builder, () => {
        for (const [index, candidate] of candidates.entries())
          putDocument(builder, String(index), bytesOf(candidate));
      });
    }),
  );
}

/**
 * Asks about as many candidates at once as a command takes. A document that the server fails at spoils its whole group: the halves
 * are asked about instead, until it stands alone. Throws CommandFailure when the server cannot be reached
 */
export async function askInGroups(
  candidates: readonly Candidate[],
  ask: (group: readonly Candidate[]) => Promise<void>,
  failed: (candidate: Candidate, failure: CommandFailure) => void,
): Promise<void> {
  const waiting = groupsOf(candidates);
  for (let group = waiting.pop(); group !== undefined; group = waiting.pop()) {
    try {
      await ask(group);
    } catch (error) {
      if (!(error instanceof CommandFailure) || error.transient) throw error;
      if (group.length === 1 || cannotAnswer(error)) {
        for (const candidate of group) failed(candidate, error);
        continue;
      }
      const half = Math.ceil(group.length / 2);
      waiting.push(group.slice(0, half), group.slice(half));
    }
  }
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
