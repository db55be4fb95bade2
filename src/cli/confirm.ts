/** The last word before a target is written to. */
import { RestorePlanError } from '../errors.ts';
import { neutral } from '../report/neutral.ts';
import type { OptionValue } from './command.ts';
import type { CommandContext } from './context.ts';

export interface Confirmation {
  /** What is about to be done: `Insert 412 documents into production`. */
  readonly what: string;
  readonly database: string;
  /** Value of `--confirm`. */
  readonly given: OptionValue;
}

/**
 * Settles when the database's name was given with `--confirm` or typed on the terminal. Throws USAGE otherwise: a wrong
 * name means that the operator has another database in mind.
 */
export async function confirm(context: CommandContext, confirmation: Confirmation): Promise<void> {
  const { what, database, given } = confirmation;
  if (typeof given === 'string') {
    if (given === database) return;
    throw new RestorePlanError(
      'USAGE',
      `--confirm names ${neutral(given)}, but the target's database is ${database}`,
      {
        hint: 'Nothing was written. Check which database the plan writes to.',
      },
    );
  }
  const answer = await context.ask(
    `\n${neutral(what)}.\nType the name of the database (${database}) to go on: `,
  );
  if (answer === database) return;
  if (answer === undefined) {
    throw new RestorePlanError('USAGE', 'nobody can be asked here, so the database must be named', {
      hint: `Nothing was written. Give --confirm ${database} to go on.`,
    });
  }
  throw new RestorePlanError('USAGE', 'not confirmed', {
    hint: `Nothing was written. The name to type is ${database}.`,
  });
}
