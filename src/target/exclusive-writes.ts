/**
 * Conditional writes of a standalone, which has no transactions, under the operator's word that nobody else writes meanwhile. The
 * bytes are compared just before; a condition on each statement, by value, catches most of what comes in between all the same.
 */
import { Documents } from '../bson/documents.ts';
import { type Reply, rawDocument, readWriteFaults, type WriteFault } from '../mongo/raw-messages.ts';
import { CommandFailure, isTransientCode } from './command-failure.ts';
import { type Command, settle, WRITE } from './commands.ts';
import { documentSequence } from './driver-internals.ts';
import { Existing, findExisting } from './existing.ts';
import {
  type EmptyTimestamps,
  fitsQuoted,
  joined,
  removeIfSeenStatement,
  replaceIfSeenStatement,
  type SeenAs,
} from './statements.ts';
import type { ConditionalOutcome, TargetReader, WrittenCollection } from './target.ts';
import type { ConditionalWrite } from './transactional-writes.ts';

const UNKNOWN_FIELD = 40415;
const OBJECT_TOO_LARGE = 10334;
/** Of a server before 5.0, which has no variables in an update; of one that passes them on in a message that becomes too large. */
const NO_VARIABLE: ReadonlySet<number> = new Set([UNKNOWN_FIELD, OBJECT_TOO_LARGE]);

/** What one attempt came to: documents written, and those that the server refused. */
interface Written {
  readonly count: number;
  readonly faults: readonly WriteFault[];
}

/**
 * An unclear answer is settled by reading back, and what is still open is tried again. Throws CommandFailure or TryAgain when the
 * patience is used up.
 */
export async function writeExclusively(
  timestamps: EmptyTimestamps,
  reader: TargetReader,
  write: Omit<ConditionalWrite, 'identity'>,
): Promise<ConditionalOutcome> {
  const { commands } = timestamps;
  const { collection, seen, after, fields } = write;
  const what = `writing to ${commands.database}.${collection.name}`;
  const leftAlone = new Map<number, 'changed' | 'deleted'>();
  const faults: WriteFault[] = [];
  const documents = Documents.of(seen);
  const why = (): string => 'documents are not settled yet';
  await settle({ patience: commands.patience, what, why }, [...seen.keys()], async (unsettled) => {
    await write.beforeAttempt?.();
    const positions = unsettled.open;
    const known = new Existing(documents, { keepsOthers: true, fields });
    const there = await findExisting({ reader, collection }, { documents, positions }, known);
    for (const position of positions) {
      if (there.presence(position) === 'same') continue;
      if (unsettled.isInDoubt && isDone(there, position, write)) continue;
      leftAlone.set(position, there.presence(position) === 'absent' ? 'deleted' : 'changed');
    }
    const open = positions.filter((position) => there.presence(position) === 'same');
    unsettled.open = open;
    unsettled.isInDoubt = true;
    let settled = 0;
    const changes = open.map((position): Change => {
      const found = there.other(position) ?? (seen[position] as Buffer);
      return { position, seen: found, after: after?.(position, found) };
    });
    for (const part of cut(changes)) {
      const outcome = await writePart(timestamps, collection, part);
      const refusals = outcome.faults.filter(({ code }) => !isTransientCode(code));
      faults.push(...refusals.map((fault) => ({ ...fault, index: (part[fault.index] as Change).position })));
      settled += outcome.count + refusals.length;
    }
    const refused = new Set(faults.map(({ index }) => index));
    unsettled.open = settled === open.length ? [] : open.filter((position) => !refused.has(position));
  });
  return { leftAlone, faults };
}

/** After an attempt: a document that is not the one seen any more may be our own doing. */
function isDone(
  there: Existing,
  position: number,
  { after, fields }: Pick<ConditionalWrite, 'after' | 'fields'>,
): boolean {
  if (after === undefined) return there.presence(position) === 'absent';
  const now = there.other(position);
  if (now === undefined) return false;
  const ours = after(position, now);
  return fields === undefined ? now.equals(ours) : fields.areSame(now, ours);
}

interface Change {
  readonly position: number;
  readonly seen: Buffer;
  /** Undefined: removed. */
  readonly after: Buffer | undefined;
}

/** Two documents that are too large for one statement come alone. */
function cut(changes: readonly Change[]): (readonly Change[])[] {
  const fits = ({ seen, after }: Change): boolean => after === undefined || fitsQuoted({ seen, after });
  const together = changes.filter(fits);
  const alone = changes.filter((change) => !fits(change)).map((change) => [change]);
  return together.length > 0 ? [together, ...alone] : alone;
}

async function writePart(
  timestamps: EmptyTimestamps,
  { name, collated }: WrittenCollection,
  part: readonly Change[],
): Promise<Written> {
  const pairs = part.flatMap(({ seen, after }) => (after === undefined ? [] : [{ seen, after }]));
  if (pairs.length === 0) {
    const statements = part.map(({ seen }) => removeIfSeenStatement(seen, { collated }));
    const deletes = documentSequence('deletes', joined(statements));
    return outcomeOf(await timestamps.commands.run({ delete: name, ...WRITE, deletes }));
  }
  const write = (seenAs: SeenAs, more: Command = {}): Promise<Written> =>
    timestamps.keep(
      () => pairs.map((pair) => pair.after),
      async (fields) => {
        const statements = pairs.map((pair) => replaceIfSeenStatement(pair, { seenAs, collated }));
        const updates = documentSequence('updates', joined(statements));
        const command = { update: name, ...WRITE, ...more, ...fields, updates };
        return outcomeOf(await timestamps.commands.run(command));
      },
    );
  const [first] = pairs;
  if (first === undefined || fitsQuoted(first)) return write('quoted');
  try {
    return await write('variable', { let: { seen: { $literal: rawDocument(first.seen) } } });
  } catch (error) {
    if (!(error instanceof CommandFailure && NO_VARIABLE.has(error.serverCode ?? 0))) throw error;
    return write('size');
  }
}

function outcomeOf(reply: Reply): Written {
  return { count: Number(reply['n']), faults: readWriteFaults(reply) };
}
