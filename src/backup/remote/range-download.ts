/**
 * Receives one byte range of one object, and proves that it is the range that was asked for.
 *
 * One call is one request; what broke off is resumed by calling again for the bytes that are still missing. A server
 * that answers something else than the range is not asked again: its bytes would be put at the wrong place.
 */
import { RestorePlanError } from '../../errors.ts';
import type { Delivery } from './flight-control.ts';
import type { ObjectClient, RangeAnswer, StoredObject } from './object-server.ts';

/** Takes the bytes of a range in order; survives a failed attempt. */
export interface RangeSink {
  /** Bytes of the whole range. */
  readonly length: number;
  /** Bytes taken so far. */
  readonly received: number;
  /** The sender was told to wait: that nothing comes is no fault. */
  readonly isPaused?: boolean;
  /** What its next bytes come from, which may be told to wait; another one after each fault. */
  comesFrom?(sender: Sender): void;
  /** Copies the next bytes. */
  take(chunk: Buffer): void;
}

/** The body of an answer. */
export interface Sender {
  pause(): void;
  resume(): void;
}

/** Collects a range in one buffer. */
export class RangeBuffer implements RangeSink {
  readonly bytes: Buffer;
  received = 0;

  constructor(length: number) {
    this.bytes = Buffer.allocUnsafe(length);
  }

  get length(): number {
    return this.bytes.length;
  }

  take(chunk: Buffer): void {
    chunk.copy(this.bytes, this.received);
    this.received += chunk.length;
  }
}

/** A chunk of the network has 64 KiB at most: put together, they cost less by the piece. */
const BLOCK_BYTES = 512 * 1024;
/** Handed out before a block is full: nobody is to wait for a slow connection. */
const HANDED_OUT_FROM_BYTES = 256 * 1024;
/** As many as may be in flight, and some that are not full. */
const MOST_SPARE_BLOCKS = 176;
/**
 * Of a range that is received alone, so much may have arrived and wait. Bytes that wait longer have left the processor's cache by then: of
 * a selection of 700 MB from a near server that took a quarter of the processor time.
 */
const MOST_AHEAD_BYTES = 1024 * 1024;
/** No connection is told to wait for longer, since servers drop those that stand still; then all of its range is received. Milliseconds. */
const LONGEST_PAUSE_MS = 1_000;
/** What counts of a pause: who does not ask for longer has stopped for a moment, which says nothing of how fast it is. Milliseconds. */
const COUNTED_PAUSE_MS = 20;

/**
 * Memory in which bytes wait. What arrives is copied, once and at once: thousands of small chunks that wait would be old by the time they
 * are used, and V8 would go through the whole heap again and again to free them. Blocks are used again.
 */
export class WaitingRoom {
  readonly #spare: Buffer[] = [];

  /** `most`: no more bytes will come. */
  block(most: number): Buffer {
    if (most < BLOCK_BYTES) return Buffer.allocUnsafeSlow(most);
    return this.#spare.pop() ?? Buffer.allocUnsafeSlow(BLOCK_BYTES);
  }

  giveBack(block: Buffer): void {
    if (block.length === BLOCK_BYTES && this.#spare.length < MOST_SPARE_BLOCKS) this.#spare.push(block);
  }
}

/** A range under way: keeps what has arrived, in order, until it is asked for. */
export class RangeFlight implements RangeSink, Delivery {
  readonly length: number;
  received = 0;
  readonly #room: WaitingRoom;
  readonly #begunAt = performance.now();
  #firstAt: number | undefined;
  #lastAt = 0;
  readonly #full: Buffer[] = [];
  #filling: Buffer | undefined;
  #filled = 0;
  /** Of the next block to be handed out, how much was. */
  #handed = 0;
  /** Of the whole range. */
  #handedOut = 0;
  /** Lent, and not needed any longer when the next bytes are asked for. */
  #used: Buffer | undefined;
  #wake: (() => void) | undefined;
  /** How receiving ended. */
  #end: { readonly error?: unknown } | undefined;
  #sender: Sender | undefined;
  readonly #isAlone: boolean;
  #mayPause: boolean;
  /** When its first bytes were asked for. */
  #askedAt: number | undefined;
  #pause: { readonly since: number; readonly longest: NodeJS.Timeout } | undefined;
  /** How long the sender was told to wait since the first bytes were asked for. */
  pausedMs = 0;

  /** `isAlone`: no other range is in flight beside it, but for the end of one. */
  constructor(length: number, room: WaitingRoom, isAlone: boolean) {
    this.length = length;
    this.#room = room;
    this.#isAlone = isAlone;
    this.#mayPause = isAlone;
  }

  /** From the first bytes to the last so far. */
  get milliseconds(): number {
    return this.#lastAt - (this.#firstAt ?? this.#lastAt);
  }

  get firstMs(): number {
    return (this.#firstAt ?? this.#begunAt) - this.#begunAt;
  }

  get isPaused(): boolean {
    return this.#pause !== undefined;
  }

  comesFrom(sender: Sender): void {
    this.#resume();
    this.#sender = sender;
  }

  take(chunk: Buffer): void {
    this.#lastAt = performance.now();
    this.#firstAt ??= this.#lastAt;
    for (let at = 0; at < chunk.length; ) {
      this.#filling ??= this.#room.block(this.length - this.received);
      const taken = chunk.copy(this.#filling, this.#filled, at);
      at += taken;
      this.received += taken;
      this.#filled += taken;
      if (this.#filled < this.#filling.length) continue;
      this.#full.push(this.#filling);
      this.#filling = undefined;
      this.#filled = 0;
    }
    if (this.#isReady) this.#wake?.();
    if (this.#mayPause && this.#isAhead) this.#pauseSender();
  }

  /** Receives with `receive`; never rejects: a fault is thrown by `arrived`, after what came before it. */
  async fill(receive: (sink: RangeSink) => Promise<void>): Promise<void> {
    try {
      await receive(this);
      this.#end = {};
    } catch (error) {
      this.#end = { error };
    }
    this.#resume();
    this.#wake?.();
  }

  /** The next bytes, as soon as there are some, lent until it is called again; undefined once the range is complete. */
  async arrived(): Promise<Buffer | undefined> {
    if (this.#used !== undefined) this.#room.giveBack(this.#used);
    this.#used = undefined;
    this.#mayPause = this.#isAlone;
    this.#askedAt ??= performance.now();
    if (!this.#isAhead) this.#resume();
    while (!this.#isReady && this.#end === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    const bytes = this.#next();
    this.#handedOut += bytes?.length ?? 0;
    if (bytes === undefined && this.#end !== undefined && 'error' in this.#end) throw this.#end.error;
    return bytes;
  }

  #next(): Buffer | undefined {
    const from = this.#handed;
    const block = this.#full.shift();
    if (block !== undefined) {
      this.#used = block;
      this.#handed = 0;
      return block.subarray(from);
    }
    if (this.#filling === undefined || this.#filled === from) return undefined;
    this.#handed = this.#filled;
    return this.#filling.subarray(from, this.#filled);
  }

  get #isReady(): boolean {
    return this.#full.length > 0 || this.#filled - this.#handed >= HANDED_OUT_FROM_BYTES;
  }

  get #isAhead(): boolean {
    return this.received - this.#handedOut >= MOST_AHEAD_BYTES;
  }

  #pauseSender(): void {
    if (this.#pause !== undefined) return;
    this.#sender?.pause();
    const longest = setTimeout(() => {
      this.#mayPause = false;
      this.#resume();
    }, LONGEST_PAUSE_MS);
    this.#pause = { since: performance.now(), longest };
  }

  #resume(): void {
    if (this.#pause === undefined) return;
    clearTimeout(this.#pause.longest);
    const since = Math.max(this.#pause.since, this.#askedAt ?? Number.POSITIVE_INFINITY);
    this.pausedMs += Math.min(Math.max(0, performance.now() - since), COUNTED_PAUSE_MS);
    this.#pause = undefined;
    this.#sender?.resume();
  }
}

interface RangeAttempt {
  readonly client: ObjectClient;
  readonly object: StoredObject;
  /** Names the object in messages. */
  readonly location: string;
  /** What to do where the answer is something else. */
  readonly wrongRange: string;
  readonly signal: AbortSignal;
  /** The attempt fails after this long without a byte, milliseconds. */
  readonly stallMs: number;
  /** Told of every piece of the body, bytes. */
  readonly arrived: (bytes: number) => void;
}

/** Receives what `sink` has not got yet; its first byte is byte `start` of the object. */
export async function receiveRange(request: RangeAttempt, sink: RangeSink, start: number): Promise<void> {
  const { client, object, signal } = request;
  const span = { from: start + sink.received, to: start + sink.length };
  const answer = await client.range(object, { ...span, signal });
  try {
    await assertRange(answer, { ...span, size: object.size }, request);
    await receiveBody(request, answer, sink);
  } finally {
    answer.body.destroy();
  }
}

async function assertRange(
  answer: RangeAnswer,
  expected: { readonly from: number; readonly to: number; readonly size: number },
  request: RangeAttempt,
): Promise<void> {
  const { from, to, size } = expected;
  const { stallMs } = request;
  const range = `bytes ${from}-${to - 1}/${size}`;
  if (answer.status === 206 && answer.contentRange === range) {
    if (answer.contentLength === undefined || answer.contentLength === to - from) return;
    throw wrongAnswer(request, `${answer.contentLength} bytes where ${to - from} were asked for`);
  }
  if (answer.status === 206)
    throw wrongAnswer(request, `the range "${answer.contentRange}" instead of "${range}"`);
  throw wrongAnswer(request, await describeAnswer(answer, stallMs));
}

/** Says what came instead of a range: the whole object, or a page of some proxy. Throws when its beginning does not come. */
export async function describeAnswer(answer: RangeAnswer, stallMs: number): Promise<string> {
  const start = await firstBytes(answer, stallMs);
  const shown = start
    .toString('latin1')
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, 80);
  const isPage =
    /^text\/|html|xml/i.test(answer.contentType ?? '') ||
    start.toString('latin1').trimStart().startsWith('<');
  if (isPage) return `a page instead of data, beginning with "${shown}"`;
  return `with status ${answer.status ?? 'unknown'} and ignored the range it was asked for`;
}

async function firstBytes({ body }: RangeAnswer, stallMs: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let length = 0;
  const timer = setTimeout(() => body.destroy(stalled()), stallMs);
  try {
    for await (const chunk of body as AsyncIterable<Buffer>) {
      parts.push(chunk);
      length += chunk.length;
      if (length >= 200) break;
    }
  } finally {
    clearTimeout(timer);
  }
  return Buffer.concat(parts).subarray(0, 200);
}

/**
 * Hands over the body as it arrives. The watchdog counts ticks instead of looking at the clock, so that a
 * process that was stopped, or busy for long, does not take its own pause for a stall.
 */
function receiveBody(request: RangeAttempt, answer: RangeAnswer, sink: RangeSink): Promise<void> {
  const { stallMs } = request;
  const { body } = answer;
  return new Promise<void>((resolve, reject) => {
    const TICKS = 4;
    let idle = 0;
    const watchdog = setInterval(() => {
      idle = sink.isPaused ? 0 : idle + 1;
      if (idle > TICKS) body.destroy(stalled());
    }, stallMs / TICKS);
    const settle = (error?: unknown): void => {
      clearInterval(watchdog);
      if (error !== undefined) reject(error);
      else if (sink.received === sink.length) resolve();
      else reject(Object.assign(new Error('body ended early'), { code: 'ERR_STREAM_PREMATURE_CLOSE' }));
    };
    sink.comesFrom?.(body);
    body.on('data', (chunk: Buffer) => {
      idle = 0;
      if (chunk.length > sink.length - sink.received) {
        body.destroy(wrongAnswer(request, 'more bytes than were asked for'));
        return;
      }
      request.arrived(chunk.length);
      sink.take(chunk);
    });
    body.once('end', () => settle());
    body.once('error', settle);
    body.once('close', () => settle());
  });
}

const stalled = (): Error => Object.assign(new Error('no data'), { code: 'ETIMEDOUT' });

function wrongAnswer({ location, wrongRange: hint }: RangeAttempt, what: string): RestorePlanError {
  return new RestorePlanError('BACKUP', `${location} cannot be read: the server answered ${what}.`, { hint });
}
