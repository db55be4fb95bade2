/**
 * Answers for a new plan: from options where they are given, else from the terminal, else none.
 *
 * What was typed is remembered in order, and an interview can be gone through again with it: to take a step back, to ask one question anew,
 * or to go on another day. Questions that have their answer by then are not shown.
 */

import { RestorePlanError } from '../../errors.ts';
import { isAbbreviation, isTimeZone, nearTimeZone, parseInstant } from '../../plan/instant.ts';
import { parseLocationTemplate } from '../../plan/location-template.ts';
import type { StoreKind } from '../../plan/sources/source-kind.ts';
import { type DraftLocation, STORES, type StoreLocation, storeTyped } from '../../plan/sources/stores.ts';
import { compileQuery } from '../../query/compile-query.ts';
import { parseQuery } from '../../query/parse-query.ts';
import { QueryFault } from '../../query/query-fault.ts';
import { neutral } from '../../text/escape.ts';
import { wrapped } from '../../text/terminal.ts';
import type { CommandContext } from '../context.ts';

export interface Question {
  /** Name of the option that answers it, for messages: `--at`; tells questions apart. */
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

/** A typed answer; empty where the question's own proposal was taken. */
export interface GivenAnswer {
  readonly question: string;
  readonly answer: string;
}

/** Typed in place of an answer. */
const BACK = '<';

/** Thrown out of an interview, which is then to be gone through again. */
class AskAgain extends Error {}

/** The talk with whoever writes a plan. */
export class Talk {
  readonly context: CommandContext;
  #answers: GivenAnswer[];
  /** How many of the answers this time through has come by. */
  #next = 0;
  /** How many answers came before each question of this time through. */
  readonly #places = new Map<string, number>();
  /** Questions that are asked again, with what was answered before; also those that an option answers. */
  readonly #reopened = new Map<string, string>();

  constructor(context: CommandContext, answers: readonly GivenAnswer[] = []) {
    this.context = context;
    this.#answers = [...answers];
  }

  get answers(): readonly GivenAnswer[] {
    return this.#answers;
  }

  /** Goes through an interview until it ends. */
  async through<T>(interview: () => Promise<T>): Promise<T> {
    for (;;) {
      this.#next = 0;
      try {
        return await interview();
      } catch (error) {
        if (!(error instanceof AskAgain)) throw error;
      }
    }
  }

  /** Forgets what was answered from this question on, and proposes `before`, if it is a text, when it is asked again. */
  reopen(question: string, before: string): AskAgain {
    this.#answers.length = this.#places.get(question) ?? 0;
    if (before !== '') this.#reopened.set(question, before);
    return new AskAgain(question);
  }

  /** Whether the next question has its answer already. */
  knows(question: string): boolean {
    return this.#answers[this.#next]?.question === question;
  }

  /** Undefined: neither given nor answered. Throws USAGE for an option that cannot be used, AskAgain for a step back. */
  async answerTo(question: Question): Promise<string | undefined> {
    const { option, fault = () => undefined, about } = question;
    this.#places.set(option, this.#next);
    const before = this.#reopened.get(option);
    const otherwise = before ?? question.otherwise;
    if (question.given !== undefined && before === undefined) return usable(option, question.given, fault);
    const known = this.#answers[this.#next];
    if (known?.question === option && (known.answer === '' || fault(known.answer) === undefined)) {
      this.#next++;
      return known.answer === '' ? otherwise : known.answer;
    }
    this.#answers.length = this.#next;
    const suffix = otherwise === undefined ? '' : ` [${neutral(otherwise)}]`;
    if (about !== undefined && this.context.interactive) this.say(about);
    for (;;) {
      const answer = await this.context.ask(`${question.ask}${suffix}: `);
      if (answer === undefined) return undefined;
      if (answer === BACK) {
        const last = this.#answers.at(-1);
        if (last !== undefined) throw this.reopen(last.question, last.answer);
        this.say('This is the first question.', 2);
        continue;
      }
      const problem = answer === '' ? undefined : fault(answer);
      if (problem === undefined) {
        this.#answers.push({ question: option, answer });
        this.#next++;
        return answer === '' ? otherwise : answer;
      }
      this.say(problem, 2);
    }
  }

  /** No terminal is no. `name` tells it apart from other questions. */
  async isAgreed(name: string, ask: string): Promise<boolean> {
    const fault = (answer: string) => (/^(?:y|yes|n|no|y\/n)$/i.test(answer) ? undefined : 'y or n');
    const answer = await this.answerTo({ option: name, given: undefined, ask, otherwise: 'Y/n', fault });
    return answer !== undefined && /^y/i.test(answer);
  }

  /** Shows a numbered list and takes numbers or names, separated by commas. A list of one is its own answer. */
  async chosenFrom(list: readonly string[], question: Question): Promise<readonly string[]> {
    const rows = list.map(
      (name, i) => `  ${String(i + 1).padStart(String(list.length).length)}  ${neutral(name)}\n`,
    );
    const isAsked = question.given === undefined && !this.knows(question.option);
    if (isAsked) this.context.stderr.write(rows.join(''));
    const only = list.length === 1 ? list[0] : undefined;
    const namesIn = (answer: string): string[] =>
      answer
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
        .map((part) => (/^\d+$/.test(part) ? (list[Number(part) - 1] ?? part) : part));
    const answer = await this.answerTo({
      ...question,
      ...(only === undefined ? {} : { otherwise: only }),
      fault: (text) => {
        const unknown = namesIn(text).filter((name) => list.length > 0 && !list.includes(name));
        return unknown.length === 0 ? undefined : `there is no ${unknown.join(', ')} in the list`;
      },
    });
    return [...new Set(namesIn(answer ?? only ?? ''))];
  }

  /** Between two questions. */
  say(text: string, indent = 0): void {
    const { stderr } = this.context;
    for (const line of wrapped(text, { columns: Math.min(stderr.columns, 100), indent }))
      stderr.write(`${line}\n`);
  }
}

function usable(option: string, given: string, fault: (answer: string) => string | undefined): string {
  const problem = fault(given);
  if (problem === undefined) return given;
  throw new RestorePlanError('USAGE', `${option} ${neutral(given)}: ${problem}`);
}

// What is wrong with an answer to `plan init`; undefined when it can be used.

export function nameFault(name: string): string | undefined {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/.test(name)) return undefined;
  return 'not a name: expected letters, digits, dots, dashes and underscores, at most 100';
}

export function sourceFault(source: string): string | undefined {
  const known = Object.values(STORES).map((store: StoreKind<StoreLocation, DraftLocation>) =>
    store.typedFault?.(source),
  );
  const fault = known.find((each) => each !== undefined);
  if (fault !== undefined) return fault;
  const template = parseLocationTemplate(storeTyped(source).typedTemplate(source) ?? source);
  return 'fault' in template ? `${template.fault.message}; expected ${template.fault.expected}` : undefined;
}

export function zoneFault(zone: string): string | undefined {
  if (isTimeZone(zone)) return undefined;
  if (isAbbreviation(zone))
    return 'an abbreviation can mean several time zones; it is a name such as America/New_York';
  const near = nearTimeZone(zone);
  return `there is no such time zone${near === undefined ? '; it is a name such as America/New_York' : `; did you mean ${near}?`}`;
}

export function instantFault(text: string): string | undefined {
  const reading = parseInstant(text);
  return 'instant' in reading ? undefined : `${reading.message}; expected ${reading.expected}`;
}

export function queryFault(text: string): string | undefined {
  try {
    compileQuery(parseQuery(text));
    return undefined;
  } catch (error) {
    if (error instanceof QueryFault) return error.message;
    throw error;
  }
}
