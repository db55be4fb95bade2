/**
 * One run of one command: its context, its progress display, and the way it ends.
 */
import { resolve } from 'node:path';
import { type Patience, patienceOf, USUAL_PATIENCE } from '../backup/remote/patience.ts';
import { EXIT_CODES, RestorePlanError } from '../errors.ts';
import { parseDuration } from '../plan/instant.ts';
import type { Environment } from '../plan/interpolate.ts';
import { failureText } from '../report/failure.ts';
import { NdjsonView } from '../report/ndjson.ts';
import { wholeCommands } from '../report/whole-commands.ts';
import { ask, canAsk } from './ask.ts';
import type { ExitName, OptionValue, OptionValues } from './command.ts';
import type { CommandContext, ProcessEdge } from './context.ts';
import {
  colorAllowed,
  liveDisplayAllowed,
  operator,
  readEnvFile,
  registerSecretVariables,
} from './environment.ts';
import { asKnownFailure, exitOf } from './failure.ts';
import { ProgressSwitch } from './progress-switch.ts';

export interface Session {
  readonly context: CommandContext;
  /** Ends the progress display and the NDJSON stream; returns the exit code. */
  finish(exit: ExitName): Promise<number>;
  /** The same for something thrown, which is written to stderr. Rethrows what is no known kind of failure. */
  fail(thrown: unknown): Promise<number>;
}

/** `planFile`: the plan as the operator named it. Throws USAGE when the `--env-file` cannot be read. */
export async function openSession(
  edge: ProcessEdge,
  options: OptionValues,
  planFile?: string,
): Promise<Session> {
  const env = await environmentOf(edge, options['envFile']);
  const wantsColor = options['color'] !== false;
  const color = {
    stdout: wantsColor && colorAllowed(env, edge.stdout),
    stderr: wantsColor && colorAllowed(env, edge.stderr),
  };
  const quiet = options['quiet'] === true;
  const ndjson = options['json'] === true ? new NdjsonView(edge.stdout, edge.now) : undefined;
  const progress = new ProgressSwitch(edge.stderr, {
    kind: quiet ? 'none' : liveDisplayAllowed(env, edge.stderr) ? 'tasks' : 'lines',
    now: edge.now,
  });
  const warnings: string[] = [];
  const context: CommandContext = {
    ...edge,
    env,
    options: { json: ndjson !== undefined, quiet },
    color,
    workDirectory: resolve(
      edge.cwd,
      typeof options['workDir'] === 'string' ? options['workDir'] : '.restore-plan',
    ),
    patience: patienceIn(options['patience']),
    get interactive() {
      return canAsk(edge);
    },
    operator: operator(),
    warnings,
    emit(event) {
      if (event.type === 'warning' && !warnings.includes(event.message)) warnings.push(event.message);
      ndjson?.emit(event);
      progress.emit(event);
    },
    follow: (stages) => progress.follow(stages),
    json: (value) => ndjson?.write(value),
    async ask(question) {
      await progress.end('done');
      return ask(edge, question);
    },
    endProgress: () => progress.end('done'),
  };
  return {
    context,
    async finish(exit) {
      await progress.end('done');
      ndjson?.exit(exit);
      return EXIT_CODES[exit];
    },
    async fail(thrown) {
      await progress.end('failed');
      const error = asKnownFailure(thrown, edge.signal);
      if (error === undefined) {
        ndjson?.exit('INTERNAL');
        throw thrown;
      }
      const shown = planFile === undefined ? error : withWholeCommands(error, planFile);
      edge.stderr.write(failureText(shown, color.stderr));
      ndjson?.error(shown);
      const exit = exitOf(error, edge.signal);
      ndjson?.exit(exit);
      return EXIT_CODES[exit];
    },
  };
}

function patienceIn(given: OptionValue): Patience {
  if (typeof given !== 'string') return USUAL_PATIENCE;
  const milliseconds = parseDuration(given);
  if (milliseconds !== undefined && milliseconds >= 1_000) return patienceOf(milliseconds);
  throw new RestorePlanError('USAGE', `--patience ${given} is no time to wait`, {
    hint: 'Give a duration of a second or more, such as 90s or 10m.',
  });
}

/** The same failure with the plan named in the commands of its hint. */
function withWholeCommands(error: RestorePlanError, planFile: string): RestorePlanError {
  const { code, message, hint, cause, facts } = error;
  if (hint === undefined) return error;
  return new RestorePlanError(code, message, { hint: wholeCommands(hint, planFile), cause, facts });
}

/** The process's environment with the env file beneath it: what is already set wins. */
async function environmentOf(edge: ProcessEdge, envFile: OptionValue): Promise<Environment> {
  const beneath = typeof envFile === 'string' ? await readEnvFile(edge.cwd, envFile) : {};
  const env = { ...beneath, ...edge.env };
  edge.adoptVariables(Object.fromEntries(Object.keys(beneath).map((name) => [name, env[name]])));
  registerSecretVariables(env);
  return env;
}
