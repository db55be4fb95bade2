/**
 * What is read out of the environment: the env file, whether colours and a live display are wanted.
 *
 * Alone because: its rules are tested without a session.
 */
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { RestorePlanError } from '../errors.ts';
import type { Environment } from '../plan/interpolate.ts';
import { readFileOfAtMost, textOf, whyNoText } from '../plan/read-file.ts';
import { registerSecret } from '../secret.ts';
import type { TextWriter } from '../text/terminal.ts';

/** Variables whose values must not appear anywhere, whoever reads them. */
const SECRET_VARIABLES = ['AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_ACCESS_KEY_ID'] as const;

/** Has every output filtered for the credentials that libraries take from the environment by themselves. */
export function registerSecretVariables(env: Environment): void {
  for (const name of SECRET_VARIABLES) if (env[name] !== undefined) registerSecret(env[name]);
}

/** An environment is no larger on most systems either. */
const MAX_ENV_FILE_BYTES = 1024 * 1024;

/** The variables of an env file (`NAME=value` lines, UTF-8 text). Throws USAGE when it cannot be read or is none. */
export async function readEnvFile(cwd: string, file: string): Promise<Environment> {
  const reading = await readFileOfAtMost(resolve(cwd, file), MAX_ENV_FILE_BYTES, { pipes: true });
  const refused = 'bytes' in reading ? whyNoText(reading.bytes) : reading.refused;
  if (refused === undefined && 'bytes' in reading) return parseEnv(textOf(reading.bytes));
  const { expected = undefined, error: cause } = 'bytes' in reading ? { error: undefined } : reading;
  throw new RestorePlanError('USAGE', `the env file ${file} ${refused}`, {
    hint: `--env-file takes ${expected ?? 'a file of lines such as NAME=value, in UTF-8'}. Check the path.`,
    cause,
  });
}

/** `NO_COLOR` and `FORCE_COLOR` as their sites define them; a dumb terminal has no colours. */
export function colorAllowed(env: Environment, stream: TextWriter): boolean {
  if (env['NO_COLOR']) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0';
  return stream.isTTY && env['TERM'] !== 'dumb';
}

/** Whether a display that redraws itself makes sense on this stream. */
export function liveDisplayAllowed(env: Environment, stream: TextWriter): boolean {
  return stream.isTTY && !env['CI'] && env['TERM'] !== 'dumb';
}
