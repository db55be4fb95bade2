/** What was answered to a `plan init` that was stopped, kept in the work directory until the plan is written. */
import { createHash } from 'node:crypto';
import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { makeWorkDirectory, PRIVATE_FILE } from '../../selection/directory.ts';
import { neutral } from '../../text/escape.ts';
import { showCounted } from '../../text/quantities.ts';
import type { CommandContext } from '../context.ts';
import { type GivenAnswer, Talk } from './questions.ts';

const FORMAT = 1;

export class KeptAnswers {
  readonly #context: CommandContext;
  readonly #file: string;
  readonly #path: string;

  /** `file`: the plan to be, absolute; each has answers of its own. */
  constructor(context: CommandContext, file: string) {
    this.#context = context;
    this.#file = file;
    const key = createHash('sha256').update(file).digest('hex').slice(0, 16);
    this.#path = join(context.workDirectory, `init-${key}.json`);
  }

  /** The answers of last time, if somebody at the terminal wants to go on with them; those that are not wanted are forgotten. */
  async offered(): Promise<readonly GivenAnswer[]> {
    if (!this.#context.interactive) return [];
    const answers = await this.#read();
    if (answers.length === 0) return [];
    const talk = new Talk(this.#context);
    for (const { question, answer } of answers)
      talk.say(`${question.replace(/^--/, '')}: ${answer === '' ? '(as proposed)' : answer}`, 2);
    const many = showCounted(answers.length, 'answer');
    if (await talk.isAgreed('go on', `Go on with these ${many} for ${neutral(basename(this.#file))}`))
      return answers;
    await this.forget();
    return [];
  }

  /** False when there are none, or they cannot be kept: then the operator types them again. */
  async keep(answers: readonly GivenAnswer[]): Promise<boolean> {
    if (answers.length === 0) return false;
    const partial = `${this.#path}.partial`;
    try {
      await makeWorkDirectory(this.#context.workDirectory);
      await writeFile(partial, JSON.stringify({ format: FORMAT, answers }), { mode: PRIVATE_FILE });
      await rename(partial, this.#path);
      return true;
    } catch {
      return false;
    }
  }

  async forget(): Promise<void> {
    await rm(this.#path, { force: true });
  }

  async #read(): Promise<readonly GivenAnswer[]> {
    try {
      const kept = JSON.parse(await readFile(this.#path, 'utf8')) as { format?: unknown; answers?: unknown };
      return kept.format === FORMAT && Array.isArray(kept.answers) ? kept.answers.filter(isAnswer) : [];
    } catch {
      return []; // not there, or cut off
    }
  }
}

function isAnswer(value: unknown): value is GivenAnswer {
  const { question, answer } = (value ?? {}) as { question?: unknown; answer?: unknown };
  return typeof question === 'string' && typeof answer === 'string';
}
