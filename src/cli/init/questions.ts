/** Answers for a new plan: from options where they are given, else from the terminal, else none. */
import { RestorePlanError } from '../../errors.ts';
import { neutral } from '../../report/neutral.ts';
import { wrapped } from '../../report/wrap.ts';
import type { CommandContext } from '../context.ts';

export interface Question {
  /** Name of the option that answers it, for messages: `--at`. */
  readonly option: string;
  /** What the option says; undefined when it was not given. */
  readonly given: string | undefined;
  /** Stands above the question, where it needs more than a few words. */
  readonly about?: string;
  /** A few words, without a question mark or colon. */
  readonly ask: string;
  /** Taken for an empty answer, but not where nobody answers. Undefined: the value is left to be filled in later. */
  readonly otherwise?: string;
  /** Says what is wrong with an answer; undefined when it can be used. */
  readonly fault?: (answer: string) => string | undefined;
}

/** Undefined: neither given nor answered. Throws USAGE for an option that cannot be used. */
export async function answerTo(context: CommandContext, question: Question): Promise<string | undefined> {
  const { given, option, otherwise, fault = () => undefined } = question;
  if (given !== undefined) {
    const problem = fault(given);
    if (problem !== undefined) throw new RestorePlanError('USAGE', `${option} ${neutral(given)}: ${problem}`);
    return given;
  }
  const suffix = otherwise === undefined ? '' : ` [${neutral(otherwise)}]`;
  if (question.about !== undefined && context.interactive) say(context, question.about);
  for (;;) {
    const answer = await context.ask(`${question.ask}${suffix}: `);
    if (answer === undefined) return undefined;
    if (answer === '') return otherwise;
    const problem = fault(answer);
    if (problem === undefined) return answer;
    say(context, problem, 2);
  }
}

/** Talk between two questions. */
export function say({ stderr }: CommandContext, text: string, indent = 0): void {
  for (const line of wrapped(text, { columns: Math.min(stderr.columns, 100), indent }))
    stderr.write(`${line}\n`);
}

/** No terminal is no. */
export async function isAgreed(context: CommandContext, question: string): Promise<boolean> {
  const answer = await context.ask(`${question} [Y/n]: `);
  return answer !== undefined && /^(?:y|yes|)$/i.test(answer);
}

/** Shows a numbered list and takes numbers or names, separated by commas. A list of one is its own answer. */
export async function chosenFrom(
  context: CommandContext,
  list: readonly string[],
  question: Question,
): Promise<readonly string[]> {
  const rows = list.map(
    (name, i) => `  ${String(i + 1).padStart(String(list.length).length)}  ${neutral(name)}\n`,
  );
  if (question.given === undefined) context.stderr.write(rows.join(''));
  const only = list.length === 1 ? list[0] : undefined;
  const namesIn = (answer: string): string[] =>
    answer
      .split(',')
      .map((part) => part.trim())
      .filter((part) => part !== '')
      .map((part) => (/^\d+$/.test(part) ? (list[Number(part) - 1] ?? part) : part));
  const answer = await answerTo(context, {
    ...question,
    ...(only === undefined ? {} : { otherwise: only }),
    fault: (text) => {
      const unknown = namesIn(text).filter((name) => list.length > 0 && !list.includes(name));
      return unknown.length === 0 ? undefined : `there is no ${unknown.join(', ')} in the list`;
    },
  });
  return [...new Set(namesIn(answer ?? only ?? ''))];
}
