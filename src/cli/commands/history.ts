/** `plan history`: what the oplog says happened to the collections of a plan, or of a database. Reads the oplog alone. */
import { join } from 'node:path';
import { RestorePlanError } from '../../errors.ts';
import { workDirectoryFault } from '../../files.ts';
import { userHash } from '../../oplog/history.ts';
import { readHistory } from '../../oplog/read-history.ts';
import { type Instant, isStillToCome, parseInstant } from '../../plan/instant.ts';
import { makeWorkDirectory } from '../../selection/directory.ts';
import type { OptionValues } from '../command.ts';
import type { CommandContext } from '../context.ts';
import { show } from '../view.ts';
import { historyView } from '../views/history.ts';
import { placeOf } from './oplog.ts';

export async function run(
  context: CommandContext,
  [file]: readonly string[],
  options: OptionValues,
): Promise<void> {
  const place = await placeOf(context, file, options);
  const since = instantOption(options, 'since');
  const until = instantOption(options, 'until');
  if (since !== undefined) requirePast(since, until, context.now());
  const asked = options['collection'];
  const collections = Array.isArray(asked) ? (asked as readonly string[]) : place.scope.collections;
  const users = new Map(
    (typeof options['users'] === 'string' ? options['users'].split(',') : [])
      .map((name) => name.trim())
      .map((name) => [userHash(name), name]),
  );
  await context.follow(['oplog']);
  try {
    await makeWorkDirectory(context.workDirectory);
  } catch (error) {
    throw workDirectoryFault(error, context.workDirectory);
  }
  for (const { open } of place.oplogs) {
    const entries = await open();
    try {
      const history = await readHistory(context, {
        ...{ entries, collections, since: since?.epochMs, until: until?.epochMs },
        database: place.scope.database,
        spillPath: join(context.workDirectory, `.history-${context.processId}-`),
      });
      await show(context, historyView(history, users));
    } finally {
      await entries.close();
    }
  }
}

function instantOption(options: OptionValues, name: string): Instant | undefined {
  const given = options[name];
  if (typeof given !== 'string') return undefined;
  const reading = parseInstant(given);
  if ('instant' in reading) return reading.instant;
  throw new RestorePlanError('USAGE', `--${name} ${given}: ${reading.message}`, {
    hint: `It is ${reading.expected}.`,
  });
}

/** Throws USAGE for a time in which nothing can have happened: that would look as if nothing had. */
function requirePast(since: Instant, until: Instant | undefined, now: number): void {
  if (isStillToCome(since, now))
    throw new RestorePlanError('USAGE', `--since ${since.text} is still to come`, {
      hint: 'Name a moment before what happened.',
    });
  if (until !== undefined && until.epochMs <= since.epochMs)
    throw new RestorePlanError('USAGE', `--until ${until.text} is not later than --since ${since.text}`, {
      hint: 'Nothing lies between. --until does not count itself.',
    });
}
