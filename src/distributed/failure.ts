/**
 * Why a worker gave up, in words that whoever waits for it can act on. No screen of a worker need be found for that.
 */
import { hostname } from 'node:os';
import { Advice } from '../advice.ts';
import { type ErrorCode, EXIT_CODES, RestorePlanError } from '../errors.ts';
import { redact } from '../secret.ts';
import type { Exchange } from './exchange.ts';
import type { Mark, MarkedFile, Undertaking } from './undertaking.ts';

interface Together {
  readonly exchange: Exchange;
  readonly undertaking: Undertaking;
}

/** Puts what a worker was stopped by into the exchange, without secrets. A stop by a signal is no failure. */
export async function reportFailure(
  { exchange, undertaking }: Together,
  mark: Omit<Mark, 'kind'>,
  error: unknown,
): Promise<void> {
  const known = error instanceof RestorePlanError ? error : undefined;
  if (known !== undefined && ['SIGINT', 'SIGTERM'].includes(known.code)) return;
  const told = {
    code: known?.code ?? 'INTERNAL',
    message: known?.message ?? String(error),
    advice: known?.advice?.parts,
    facts: known?.facts ?? {},
    host: hostname(),
  };
  await undertaking.put(exchange, { ...mark, kind: 'failure' }, Buffer.from(redact(JSON.stringify(told))));
}

/** The same as an error of the coordinator's. */
export async function reportedFailure(
  { exchange, undertaking }: Together,
  failed: MarkedFile,
): Promise<RestorePlanError> {
  const content = await undertaking.get(exchange, failed);
  const { code, message, advice, facts, host } = JSON.parse(content.toString('utf8')) as {
    readonly code: string;
    readonly message: string;
    readonly advice?: Advice['parts'];
    readonly facts: Readonly<Record<string, unknown>>;
    readonly host: string;
  };
  const known = Object.hasOwn(EXIT_CODES, code) ? (code as ErrorCode) : 'UNEXPECTED';
  return new RestorePlanError(known, `worker ${failed.id} on ${host}: ${message}`, {
    hint: advice && new Advice(advice),
    facts: { ...facts, worker: Number(failed.id), host },
  });
}
