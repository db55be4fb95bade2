/** The last word before a target is written to. */
import { RestorePlanError } from '../errors.ts';
import { neutral } from '../text/escape.ts';
import type { OptionValue } from './command.ts';
import type { CommandContext } from './context.ts';

interface Confirmation {
  /** What is about to be done: `Insert 412 documents into production`. */
  readonly what: string;
  readonly database: string;
  /** Value of `--confirm`. */
  readonly given: OptionValue;
}

interface PlanConfirmation {
  /** Why it has to be confirmed. */
  readonly what: string;
  /** Name of the plan. */
  readonly plan: string;
  /** Value of `--confirm-plan`. */
  readonly given: OptionValue;
}

/**
 * Settles when the database's name was given with `--confirm` or typed on the terminal. Throws USAGE otherwise: a wrong
 * name means that the operator has another database in mind.
 */
export function confirm(context: CommandContext, { what, database, given }: Confirmation): Promise<void> {
  return confirmName(context, { what, given, name: database, words: DATABASE });
}

/** The same for the name of a plan, given with `--confirm-plan`. */
export function confirmPlan(context: CommandContext, { what, plan, given }: PlanConfirmation): Promise<void> {
  return confirmName(context, { what, given, name: plan, words: PLAN });
}

const DATABASE = {
  option: '--confirm',
  noun: 'database',
  is: "the target's database is",
  check: 'Check which database the plan writes to.',
} as const;
const PLAN = {
  option: '--confirm-plan',
  noun: 'plan',
  is: 'the plan is',
  check: 'Check which plan is meant.',
} as const;

interface NameConfirmation {
  readonly what: string;
  readonly given: OptionValue;
  readonly name: string;
  readonly words: typeof DATABASE | typeof PLAN;
}

async function confirmName(
  context: CommandContext,
  { what, given, name, words }: NameConfirmation,
): Promise<void> {
  const { option, noun, is, check } = words;
  if (typeof given === 'string') {
    if (given === name) return;
    throw new RestorePlanError('USAGE', `${option} names ${neutral(given)}, but ${is} ${name}`, {
      hint: `Nothing was written. ${check}`,
    });
  }
  const answer = await context.ask(`\n${neutral(what)}.\nType the name of the ${noun} (${name}) to go on: `);
  if (answer === name) return;
  if (answer === undefined) {
    throw new RestorePlanError('USAGE', `nobody can be asked here, so the ${noun} must be named`, {
      hint: `Nothing was written. Give ${option} ${name} to go on.`,
    });
  }
  throw new RestorePlanError('USAGE', 'not confirmed', {
    hint: `Nothing was written. The name to type is ${name}.`,
  });
}
