/**
 * What to do next, for whoever reads it. Commands and options within the words are data: the command line writes them as a line to type,
 * the text of an error as a call of the library.
 */
import type { TargetName } from './events.ts';

export interface CommandCall {
  readonly command:
    | 'accept'
    | 'apply'
    | 'approve'
    | 'backups'
    | 'dry-run'
    | 'follow-up done'
    | 'follow-up list'
    | 'follow-up run'
    | 'init'
    | 'oplog save'
    | 'revert'
    | 'select'
    | 'status'
    | 'unlock'
    | 'validate'
    | 'verify';
  readonly target?: TargetName;
  /** What it is to be told beside plan and target, in order. */
  readonly name?: string;
  /** Of an option `--holder <value>`, or nothing for a switch. */
  readonly options?: Readonly<Record<string, string | true>>;
}

/** An option alone: of a command, or of a call. */
export interface OptionMention {
  readonly option: 'confirm-plan' | 'env-file' | 'exclusive' | 'patience' | 'target' | 'work-dir';
  readonly value?: string;
}

export type Said = CommandCall | OptionMention;

export class Advice {
  readonly parts: readonly (string | Said)[];

  constructor(parts: readonly (string | Said)[]) {
    this.parts = parts;
  }

  /** As a text. `word`: how a command or an option is written. */
  say(word: (said: Said) => string): string {
    return this.parts.map((part) => (typeof part === 'string' ? part : word(part))).join('');
  }

  /** For a program: commands are methods of `Restore`. */
  toString(): string {
    return this.say(asCall);
  }
}

/** What to do next; a plain text holds no command. */
export type Remedy = string | Advice;

/** ``advice`Run ${{ command: 'apply', target: 'staging' }} again.` `` */
export function advice(texts: TemplateStringsArray, ...values: readonly (number | Remedy | Said)[]): Advice {
  return new Advice(
    texts.flatMap((text, i) => {
      const value = values[i];
      if (value === undefined) return [text];
      if (value instanceof Advice) return [text, ...value.parts];
      return [text, typeof value === 'number' ? String(value) : value];
    }),
  );
}

/** Several, each once. */
export function together(all: readonly Remedy[], separator = ' '): Advice {
  const each = new Map(all.map((one) => [String(one), one]));
  const parts = [...each.values()].flatMap((one, i) => [
    ...(i === 0 ? [] : [separator]),
    ...(typeof one === 'string' ? [one] : one.parts),
  ]);
  return new Advice(parts);
}

/** Methods of `Restore`; what has none is a command for people. */
const METHODS: Partial<Record<CommandCall['command'], string>> = {
  accept: 'accept',
  apply: 'apply',
  approve: 'approve',
  backups: 'backups',
  'dry-run': 'compare',
  'follow-up done': 'tickOff',
  'follow-up list': 'followUpStatuses',
  'follow-up run': 'followUps',
  revert: 'revert',
  status: 'status',
  unlock: 'unlock',
  verify: 'verify',
};

const GIVEN: Readonly<Record<OptionMention['option'], string>> = {
  'confirm-plan': 'confirmPlan',
  'env-file': 'env',
  exclusive: 'exclusive: true',
  patience: 'patience',
  target: 'target',
  'work-dir': 'workDirectory',
};

function asCall(said: Said): string {
  if ('option' in said) return `${GIVEN[said.option]}${said.value === undefined ? '' : `: ${said.value}`}`;
  const method = METHODS[said.command];
  if (method === undefined) return `\`plan ${said.command}\``;
  const options = Object.values(said.options ?? {}).filter((value) => value !== true);
  const values = [said.target, said.name, ...options].filter((value) => value !== undefined);
  return `\`${method}(${values.map((value) => `'${value}'`).join(', ')})\``;
}
