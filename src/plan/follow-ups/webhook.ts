/** A follow-up that posts what was restored to an address. */
import { createHmac } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { Run } from '../../run.ts';
import { redact, type Secret } from '../../secret.ts';
import { faultAt, type PlanFault } from '../fault.ts';
import { durationAt } from '../instant.ts';
import { givenSecret, givenText, type MapNode, nodeAt, type PathPart, textAt } from '../nodes.ts';
import type { ActionEnd, Attempt, FollowedCollection, FollowUpKind } from './kind.ts';

export interface WebhookAction {
  readonly kind: 'webhook';
  readonly url: Secret | undefined;
  /** Key of the signature. */
  readonly secret: Secret | undefined;
  /** For one attempt. */
  readonly timeoutMs: number;
  readonly text: string | undefined;
}

/** How long an answer may take where the plan says nothing. */
const USUAL_TIME_MS = 30_000;

export const WEBHOOK: FollowUpKind<WebhookAction> = {
  isForPeople: false,
  options: ['timeout'],
  isMap: true,
  build: (entry) => ({
    kind: 'webhook',
    url: givenSecret(entry, 'webhook', 'url'),
    secret: givenSecret(entry, 'webhook', 'secret'),
    timeoutMs: durationAt(entry, 'timeout') ?? USUAL_TIME_MS,
    text: givenText(entry, 'webhook', 'text'),
  }),
  rules: webhookRules,
  secretsOf: ({ url, secret }) => [url, secret],
  explain: () => 'the restored ids are posted to a webhook.',
  inShort: () => 'call a webhook',
  faultsOf: async () => [],
  act: async (run, { url, ...action }, attempt) => {
    if (url === undefined) return { succeeded: false, detail: 'its address is not set', output: undefined };
    const body = await webhookBody(action, attempt);
    const { id: delivery, followUp } = attempt;
    return sendWebhook(run, { ...action, url, body, delivery, what: `follow-up "${followUp}"` });
  },
};

function webhookRules(root: MapNode, path: readonly PathPart[]): PlanFault[] {
  const faults: PlanFault[] = [];
  const url = textAt(root, ...path, 'webhook', 'url');
  if (url !== undefined && url !== '' && !/^https?:\/\/./.test(url)) {
    const place = nodeAt(root, ...path, 'webhook', 'url')!.place;
    const expected = 'https://… or http://…, from a variable where it carries a token';
    faults.push(faultAt(place, 'follow-ups', { message: 'this is no address of a webhook', expected }));
  }
  const secret = nodeAt(root, ...path, 'webhook', 'secret');
  const literal =
    secret?.kind === 'scalar' && typeof secret.written === 'string'
      ? secret.written.replace(/\$\{[^}]*\}/g, '')
      : '';
  if (secret !== undefined && literal !== '') {
    const message = 'a secret stands in the plan';
    const expected = `a variable, such as \${CACHE_WEBHOOK_SECRET}; whoever can read the file can use it`;
    faults.push(faultAt(secret.place, 'credential', { message, expected }));
  }
  return faults;
}

const ATTEMPTS = 5;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;
/** Statuses that pass: time-outs, too many requests, and whatever the receiver's side has trouble with. */
const PASSING = new Set([408, 425, 429, 500, 502, 503, 504]);
/** Read of an answer that is no success; bytes. */
const ANSWER_BYTES = 16 * 1024;
/** Shown of it. */
const ANSWER_CHARACTERS = 300;

/** One notice, sent until it arrives. */
export interface WebhookDelivery extends Pick<WebhookAction, 'secret' | 'timeoutMs'> {
  readonly url: Secret;
  /** JSON text. */
  readonly body: string;
  /** The same for every attempt, so that a receiver can tell a repetition. */
  readonly delivery: string;
  /** What the `retry` event calls it. */
  readonly what: string;
  /** Before the second attempt; doubled each time. */
  readonly firstDelayMs?: number;
}

interface DeliveryEnd extends ActionEnd {
  readonly mayPass: boolean;
  /** What the receiver asked for. */
  readonly retryAfterMs: number | undefined;
}

/**
 * Sends a signed JSON body, tried again while the receiver is out of reach or busy. Never rejects: whatever happens is its end. Its
 * detail never holds the address, which may carry a token; its output is the beginning of an answer that was no success, secrets struck
 * out, for receivers echo the address they were called at.
 */
export async function sendWebhook(
  { emit, signal }: Pick<Run, 'emit' | 'signal'>,
  request: WebhookDelivery,
): Promise<ActionEnd> {
  if (!URL.canParse(request.url.reveal())) {
    return { succeeded: false, detail: 'the address is not valid', output: undefined };
  }
  const firstDelayMs = request.firstDelayMs ?? FIRST_DELAY_MS;
  for (let attempt = 1; ; attempt++) {
    const { mayPass, retryAfterMs, ...end } = await sendOnce(request, signal);
    if (end.succeeded || !mayPass || attempt === ATTEMPTS || signal.aborted) return end;
    const backOff = firstDelayMs * 2 ** (attempt - 1) * (0.75 + Math.random() / 2);
    const delayMs = Math.min(LONGEST_DELAY_MS, Math.max(backOff, retryAfterMs ?? 0));
    emit({ type: 'retry', what: request.what, attempt, delayMs, reason: end.detail });
    try {
      await delay(delayMs, undefined, { signal });
    } catch {
      return { ...end, detail: `stopped with this run, after ${end.detail}` };
    }
  }
}

async function sendOnce(
  { url, secret, body, delivery, timeoutMs }: WebhookDelivery,
  signal: AbortSignal,
): Promise<DeliveryEnd> {
  try {
    const answer = await fetch(url.reveal(), {
      method: 'POST',
      headers: {
        'content-type': 'application/json',
        'user-agent': 'restore-plan',
        'x-restore-plan-delivery': delivery,
        ...(secret && { 'x-restore-plan-signature': signatureOf(body, secret) }),
      },
      body,
      // A redirected POST would arrive somewhere nobody named, and mostly as a GET.
      redirect: 'manual',
      signal: AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
    });
    const text = answer.ok ? undefined : await beginningOf(answer);
    if (answer.ok) await answer.body?.cancel();
    return {
      succeeded: answer.ok,
      detail: `HTTP ${answer.status}`,
      output: text,
      mayPass: PASSING.has(answer.status),
      retryAfterMs: Number(answer.headers.get('retry-after') ?? Number.NaN) * 1000 || undefined,
    };
  } catch (error) {
    const detail = signal.aborted ? 'stopped with this run' : reasonOf(error, timeoutMs);
    return { succeeded: false, detail, output: undefined, mayPass: !signal.aborted, retryAfterMs: undefined };
  }
}

/**
 * Secrets are struck out before the text is cut, so that no half of one is left over. The status is the answer: where the text does not
 * come to its end in time, what came of it will do.
 */
async function beginningOf({ body }: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of body ?? []) {
      chunks.push(chunk);
      bytes += chunk.length;
      if (bytes >= ANSWER_BYTES) break;
    }
  } catch {
    // Cut off, or too slow.
  }
  return redact(Buffer.concat(chunks).toString('utf8', 0, ANSWER_BYTES)).slice(0, ANSWER_CHARACTERS);
}

/** `sha256=` and the HMAC of the body in hexadecimal, as GitHub signs its webhooks. */
function signatureOf(body: string, secret: Secret): string {
  return `sha256=${createHmac('sha256', secret.reveal()).update(body).digest('hex')}`;
}

function reasonOf(error: unknown, timeoutMs: number): string {
  const { name, cause } = error as { name?: string; cause?: { code?: unknown } };
  if (name === 'TimeoutError') return `no answer within ${timeoutMs / 1000} s`;
  if (cause?.code === 'ENOTFOUND') return 'the name of the server is not known';
  if (cause?.code === 'UND_ERR_SOCKET') return 'the connection was closed before an answer came';
  return typeof cause?.code === 'string' ? cause.code : 'the address cannot be reached';
}

/** Ids that are sent along; a receiver that needs more reads the target. */
const MOST_IDS = 10_000;

/**
 * The JSON text that a webhook receives. `text` alone is what Slack's incoming webhooks show; they leave the rest aside.
 * Ids are put in as they are written, because parsing them could lose the order or the types inside an `_id`.
 */
async function webhookBody({ text }: Pick<WebhookAction, 'text'>, attempt: Attempt): Promise<string> {
  const { plan, followUp, target, database, selection, collections, id, idLines } = attempt;
  const ids: string[] = [];
  let more = 0;
  for await (const line of idLines()) {
    if (ids.length < MOST_IDS) ids.push(line);
    else more++;
  }
  const head = {
    text: text ?? summary(attempt),
    type: 'restore-plan.follow-up',
    version: 1,
    delivery: id,
    followUp,
    plan,
    target,
    database,
    selection: { digest: selection },
    collections,
    idsOmitted: more,
  };
  return `${JSON.stringify(head).slice(0, -1)},"ids":[${ids.join(',')}]}`;
}

function summary({ plan, database, target, collections }: Attempt): string {
  const restored = collections.filter((each) => written(each) > 0);
  const total = restored.reduce((sum, each) => sum + written(each), 0);
  const parts = restored.map((each) => `${each.into} ${written(each)}`);
  const list = parts.length === 0 ? '' : ` (${parts.join(', ')})`;
  return `restore-plan ${plan.name}: ${total} documents restored to ${target}, database ${database}${list}`;
}

function written({ inserted, replaced }: FollowedCollection): number {
  return inserted + replaced;
}
