/**
 * Conditional writes of a standalone, which has no transactions, under the operator's word that nobody else writes meanwhile. The
 * bytes are compared just before; a condition on each statement, by value, catches most of what comes in between all the same.
 */
import { runOf } from '../bson/document-run.ts';
import { rawDocument } from '../mongo/raw-value.ts';
import { type Reply, readWriteFaults, type WriteFault } from '../mongo/reply.ts';
import { CommandFailure, isTransientCode } from './command-failure.ts';
import { type Command, type Commands, WRITE } from './commands.ts';
import { type Counterparts, findCounterparts } from './counterparts.ts';
import { documentSequence } from './driver-internals.ts';
import type { EmptyTimestamps } from './empty-timestamp.ts';
import { rideOut, TryAgain } from './patience.ts';
import { fitsQuoted, removeIfSeenStatement, replaceIfSeenStatement, type SeenAs } from './statements.ts';
import type { ConditionalOutcome, TargetReader, WriteOutcome } from './target.ts';
import type { ConditionalWrite } from './transactional-writes.ts';

const UNKNOWN_FIELD = 40415;
const OBJECT_TOO_LARGE = 10334;
/** Of a server before 5.0, which has no variables in an update; of one that passes them on in a message that becomes too large. */
const NO_VARIABLE: ReadonlySet<number> = new Set([UNKNOWN_FIELD, OBJECT_TOO_LARGE]);

export interface ExclusiveTools {
  readonly commands: Commands;
  readonly timestamps: EmptyTimestamps;
  readonly reader: TargetReader;
}

/**
 * An unclear answer is settled by reading back, and what is still open is tried again. Throws CommandFailure or TryAgain when the
 * patience is used up.
 */
export async function writeExclusively(
  tools: ExclusiveTools,
  write: Omit<ConditionalWrite, 'identity'>,
): Promise<ConditionalOutcome> {
  const { commands, reader } = tools;
  const { collection, seen, after } = write;
  const what = `writing to ${commands.database}.${collection.name}`;
  const leftAlone = new Map<number, 'changed' | 'deleted'>();
  const faults: WriteFault[] = [];
  const run = runOf(seen);
  let open = [...seen.keys()];
  let isInDoubt = false;
  await rideOut(commands.patience, what, async () => {
    await write.beforeAttempt?.();
    const there = await findCounterparts({ reader, collection, run, positions: open, keepsOthers: true });
    for (const position of open) {
      if (there.presence(position) === 'same' || (isInDoubt && isDone(there, position, after))) continue;
      leftAlone.set(position, there.presence(position) === 'absent' ? 'deleted' : 'changed');
    }
    open = open.filter((position) => there.presence(position) === 'same');
    isInDoubt = true;
    let settled = 0;
    for (const part of cut(write, open)) {
      const outcome = await writePart(tools, write, part);
      const refusals = outcome.faults.filter(({ code }) => !isTransientCode(code));
      faults.push(...refusals.map((fault) => ({ ...fault, index: part[fault.index] as number })));
      settled += outcome.written + refusals.length;
    }
    const refused = new Set(faults.map(({ index }) => index));
    if (settled === open.length) return;
    open = open.filter((position) => !refused.has(position));
    throw new TryAgain(what, 'documents are not settled yet');
  });
  return { leftAlone, faults };
}

/** After an attempt: a document that is not the one seen any more may be our own doing. */
function isDone(there: Counterparts, position: number, after: readonly Buffer[] | undefined): boolean {
  if (after === undefined) return there.presence(position) === 'absent';
  return there.other(position)?.equals(after[position] as Buffer) === true;
}

/** Two documents that are too large for one statement come alone. */
function cut({ seen, after }: Pick<ConditionalWrite, 'seen' | 'after'>, open: readonly number[]): number[][] {
  const fits = (position: number): boolean =>
    after === undefined || fitsQuoted({ seen: seen[position] as Buffer, after: after[position] as Buffer });
  const together = open.filter(fits);
  const alone = open.filter((position) => !fits(position)).map((position) => [position]);
  return together.length > 0 ? [together, ...alone] : alone;
}

async function writePart(
  tools: ExclusiveTools,
  { collection, seen, after }: Omit<ConditionalWrite, 'identity'>,
  part: readonly number[],
): Promise<WriteOutcome> {
  const { collated } = collection;
  const seenOf = (position: number): Buffer => seen[position] as Buffer;
  if (after === undefined) {
    const statements = part.map((position) => removeIfSeenStatement(seenOf(position), { collated }));
    const deletes = documentSequence('deletes', Buffer.concat(statements));
    return outcomeOf(await tools.commands.run({ delete: collection.name, ...WRITE, deletes }));
  }
  const pairs = part.map((position) => ({ seen: seenOf(position), after: after[position] as Buffer }));
  const write = (seenAs: SeenAs, more: Command = {}): Promise<WriteOutcome> =>
    tools.timestamps.keep(
      () => pairs.map((pair) => pair.after),
      async (fields) => {
        const statements = pairs.map((pair) => replaceIfSeenStatement(pair, { seenAs, collated }));
        const updates = documentSequence('updates', Buffer.concat(statements));
        const command = { update: collection.name, ...WRITE, ...more, ...fields, updates };
        return outcomeOf(await tools.commands.run(command));
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

function outcomeOf(reply: Reply): WriteOutcome {
  return { written: Number(reply['n']), faults: readWriteFaults(reply) };
}
