/** The options of a script of `npm run`: one way to name them, to ask for help, and to be told what is wrong. */
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { EXIT_CODES } from '../../src/errors.ts';

type Defaults = Readonly<Record<string, boolean | number | string>>;

type Values<Chosen extends Defaults> = {
  readonly [Name in keyof Chosen]: Chosen[Name] extends boolean
    ? boolean
    : Chosen[Name] extends number
      ? number
      : string;
};

export interface ScriptOptions<Chosen extends Defaults> {
  readonly values: Values<Chosen>;
  /** What was given beside the options. */
  readonly words: readonly string[];
}

export interface ScriptUsage<Chosen extends Defaults> {
  /** Printed for `--help`, and with what is wrong. */
  readonly usage: string;
  /** By its default an option is a flag, a whole number from 0 on, or a text. A flag that is on by default is turned off by `--no-<name>`. */
  readonly defaults: Chosen;
  /** Whether there may be words beside the options. */
  readonly takesWords?: boolean;
}

/** Ends the process where the options are not understood, or where help is asked for. */
export function scriptOptions<const Chosen extends Defaults>(
  script: ScriptUsage<Chosen>,
  args: readonly string[] = process.argv.slice(2),
): ScriptOptions<Chosen> {
  try {
    const { values, positionals } = parseArgs({ args: [...args], ...configOf(script) });
    if (values.help === true) {
      process.stdout.write(`${script.usage}\n`);
      process.exit();
    }
    const read = Object.entries(script.defaults).map(([name, fallback]) => [
      name,
      typeof fallback === 'number' ? countOf(name, values[name]) : values[name],
    ]);
    return { values: Object.fromEntries(read), words: positionals };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${script.usage}\n`);
    process.exit(EXIT_CODES.USAGE);
  }
}

function configOf({ defaults, takesWords = false }: ScriptUsage<Defaults>) {
  const options: NonNullable<ParseArgsConfig['options']> = {
    help: { type: 'boolean', short: 'h', default: false },
  };
  for (const [name, fallback] of Object.entries(defaults))
    options[name] =
      typeof fallback === 'boolean'
        ? { type: 'boolean', default: fallback }
        : { type: 'string', default: String(fallback) };
  return { options, allowNegative: true, allowPositionals: takesWords };
}

function countOf(name: string, text: unknown): number {
  if (typeof text === 'string' && /^\d+$/.test(text)) return Number(text);
  throw new Error(`Option '--${name}' takes a whole number, not '${text}'`);
}
