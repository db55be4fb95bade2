/** What a command shows: a page for people, or objects for programs. Which one is asked for, `show` alone knows. */
import { Advice, type CommandCall, type Remedy, type Said } from '../advice.ts';
import { shellWord } from '../text/escape.ts';
import type { PageStyle, TextWriter } from '../text/terminal.ts';
import { paintWith } from '../text/terminal.ts';
import type { CommandContext } from './context.ts';
import { type GivenWords, wordsOf } from './given-words.ts';

/** Below this width a page is no longer readable whatever is done. */
const NARROWEST = 20;

/** A write costs a system call; a page of 600,000 lines should not cost as many. */
const WRITE_CHARACTERS = 64 * 1024;

export function pageStyle(context: CommandContext, stream: 'stdout' | 'stderr' = 'stdout'): PageStyle {
  return {
    paint: paintWith(context.color[stream]),
    columns: Math.max(NARROWEST, context[stream].columns),
  };
}

/** Waits for a slow reader, so that a page of any length needs no memory. */
export async function writeLines(
  stream: TextWriter,
  lines: Iterable<string> | AsyncIterable<string>,
): Promise<void> {
  let waiting = '';
  for await (const line of lines) {
    waiting += `${line}\n`;
    if (waiting.length < WRITE_CHARACTERS) continue;
    stream.write(waiting);
    waiting = '';
    await stream.drained();
  }
  if (waiting !== '') stream.write(waiting);
}

/** Whom the result on stdout is for. file: a file or another program's input, as a page whose lines are not cut. */
export type Reader = 'terminal' | 'file' | 'program';

/** `--json` is asked about here and nowhere else. */
export function readerOf({ options, stdout }: Pick<CommandContext, 'options' | 'stdout'>): Reader {
  if (options.json) return 'program';
  return stdout.isTTY ? 'terminal' : 'file';
}

type Several<T> = Iterable<T> | AsyncIterable<T>;

export interface View {
  /** Lines without newlines, or a whole text. */
  readonly page: (style: PageStyle) => string | Several<string>;
  /** For the `--json` stream. */
  readonly objects: () => Several<{ readonly type: string }>;
}

/** Writes the result of a command to stdout, after its progress has ended. */
export async function show(context: CommandContext, { page, objects }: View): Promise<void> {
  await context.endProgress();
  if (readerOf(context) === 'program') {
    for await (const each of objects()) {
      context.json(each);
      await context.stdout.drained();
    }
    return;
  }
  const said = page(pageStyle(context));
  if (typeof said === 'string') context.stdout.write(said);
  else await writeLines(context.stdout, said);
}

// Commands within advice, as lines to type.

/** With the plan named as the operator named it; without it, as the command is called. */
export function lineOf({ command, target, name, options = {} }: CommandCall, given: GivenWords = {}): string {
  if (command === 'init') return 'plan init <file>';
  const { named, last } = wordsOf(given, command);
  const chosen = Object.entries<string | true>({ ...(target && { target }), ...options }).flatMap(
    ([option, value]) => (value === true ? [`--${option}`] : [`--${option}`, shellWord(value)]),
  );
  const ofCommand = name === undefined ? [] : [shellWord(name)];
  return ['plan', command, ...named, ...ofCommand, ...chosen, ...last].join(' ');
}

/** The same within a sentence, and options alone. */
export function typed(given?: GivenWords): (said: Said) => string {
  return (said) =>
    'option' in said
      ? `--${said.option}${said.value === undefined ? '' : ` ${said.value}`}`
      : `\`${lineOf(said, given)}\``;
}

/** The same for a text that may hold commands. */
export function sayTyped(text: Remedy, given?: GivenWords): string {
  return typeof text === 'string' ? text : text.say(typed(given));
}

/** A value for JSON, with the advice in it as text. */
export function worded<T>(value: T): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, each) => (each instanceof Advice ? each.say(typed()) : each)),
  ) as unknown;
}
