/**
 * Slices that other machines scan: what they hand in by the exchange stands in the place of this machine's own reading. Whatever joins slices joins these
 * like any others, so that the selection is the same.
 */
import { advice } from '../advice.ts';
import { BsonFault } from '../bson/elements.ts';
import { checkDocument } from '../bson/storable.ts';
import { RestorePlanError } from '../errors.ts';
import type { Run } from '../run.ts';
import type { CollectionRoutes } from '../selection/routes.ts';
import { decodePart, documentsOf, type Part, type UnfitPart } from '../selection/slices/part.ts';
import type { Slice } from '../selection/slices/slice.ts';
import type { SlicedLevel, SliceRunner } from '../selection/slices/slice-runner.ts';
import type { JobState } from './engines/engine.ts';
import type { Exchange } from './exchange.ts';
import { reportedFailure } from './failure.ts';
import { encodeKeys } from './parent-keys.ts';
import { type MarkedFile, refused, sliceId, type Undertaking } from './undertaking.ts';

export interface ExchangedSlices {
  readonly exchange: Exchange;
  readonly undertaking: Undertaking;
  /** Of the plan, parents first. */
  readonly routes: readonly CollectionRoutes[];
  /**
   * Has workers scan what is missing of a level: returns when none of them runs any more. Undefined: what is missing is refused.
   */
  readonly work?: (level: LevelWork) => Promise<void>;
  /** The level that is joined last; further ones are not needed yet. */
  readonly until?: number;
}

export interface LevelWork {
  readonly level: number;
  readonly slices: number;
  /** Numbers of the slices that nobody has handed in. */
  readonly missing: readonly number[];
  /** Tells how far they are. */
  told(state: JobState): void;
}

/** The join has come to a level that is not asked for: what this one needs was put into the exchange. */
export class LevelReady extends Error {}

/** A first time, and then at most so often again: engines do not run a task again that was killed. */
const TRIES_AGAIN = 3;
/** Parts that are fetched while one is joined: most are small, and cost the time of a request each. */
const MOST_AHEAD = 32;
const MOST_BYTES_AHEAD = 64 * 1024 * 1024;
/** Milliseconds between two looks at what was handed in. */
const LOOK_MS = 5_000;
/** Slices that are named in a message. */
const NAMED = 3;

export class ExchangeRunner implements SliceRunner {
  readonly sliceBytes: number;
  readonly #run: Run;
  readonly #given: ExchangedSlices;
  readonly #levels: number;
  /** Of the level that is joined, by `sliceId`. */
  #parts: ReadonlyMap<string, MarkedFile> = new Map();

  constructor(run: Run, given: ExchangedSlices) {
    this.#run = run;
    this.#given = given;
    this.sliceBytes = given.undertaking.sliceBytes;
    this.#levels = 1 + Math.max(...given.routes.map(({ level }) => level));
  }

  suits(): boolean {
    return true;
  }

  async *run(
    { slices, scopes }: SlicedLevel,
    signal: AbortSignal,
    stored: (bytes: number) => void,
  ): AsyncGenerator<Part> {
    const { until } = this.#given;
    const [first] = scopes.keys();
    const level = this.#given.routes.find(({ collection }) => collection === first)?.level ?? 0;
    const isReady = until !== undefined && level > until;
    if (level > 0) await this.#putKeys(level, encodeKeys(scopes.values()), isReady);
    if (isReady) throw new LevelReady();
    const parts = await this.#handedIn(level, slices);
    this.#parts = parts;
    const waiting = slices.map((slice) => ({ slice, file: parts.get(sliceId(slice)) as MarkedFile }));
    const fetched: { readonly part: Promise<Part>; readonly bytes: number }[] = [];
    let [next, ahead] = [0, 0];
    try {
      while (fetched.length > 0 || next < waiting.length) {
        for (; next < waiting.length && fetched.length < MOST_AHEAD && ahead < MOST_BYTES_AHEAD; next++) {
          const { slice, file } = waiting[next] as (typeof waiting)[number];
          const isOpen = scopes.get(slice.member.collection)?.isOpen ?? false;
          const part = this.#part(file, { slice, isOpen });
          part.catch(() => undefined); // thrown where it is awaited
          const bytes = file.file.stored.size;
          ahead += bytes;
          fetched.push({ part, bytes });
        }
        signal.throwIfAborted();
        const { part, bytes } = fetched.shift() as (typeof fetched)[number];
        const { slice } = await part;
        stored(slice.to - slice.from);
        yield await part;
        ahead -= bytes;
      }
    } finally {
      await Promise.allSettled(fetched.map(({ part }) => part));
    }
  }

  refusal({ slice, message }: UnfitPart): Error {
    const { file } = this.#parts.get(sliceId(slice)) as MarkedFile;
    return refused(this.#given.exchange, file, message);
  }

  /**
   * What the workers of a level need to begin. Where they can begin only with that, or are told to, what stopped them is over: whoever came too early would
   * else be blamed for ever.
   */
  async #putKeys(level: number, content: Uint8Array, isReady: boolean): Promise<void> {
    const { exchange, undertaking } = this.#given;
    const files = await undertaking.list(exchange, level);
    await undertaking.put(exchange, { kind: 'keys', level, id: '' }, [content]);
    if (!isReady && files.some(({ kind }) => kind === 'keys')) return;
    for (const { kind, file } of files) if (kind === 'failure') await exchange.remove(file.name);
  }

  async #part(
    file: MarkedFile,
    { slice, isOpen }: { readonly slice: Slice; readonly isOpen: boolean },
  ): Promise<Part> {
    const { exchange, undertaking } = this.#given;
    const part = decodePart(await undertaking.get(exchange, file));
    if (part === undefined) throw refused(exchange, file.file, 'is damaged');
    if (!isSame(part.slice, slice))
      throw refused(exchange, file.file, 'is of other bytes of the backup than its name says');
    // Those that may be chosen are checked when they are.
    if (!isOpen && !areSound(part))
      throw refused(exchange, file.file, 'holds a document that no server stores');
    return { ...part, slice };
  }

  /** A part of each slice. Throws INCOMPLETE, or what a worker reported. */
  async #handedIn(level: number, slices: readonly Slice[]): Promise<ReadonlyMap<string, MarkedFile>> {
    const { work } = this.#given;
    for (let again = 0; ; again++) {
      const { parts, failures } = await this.#look(level);
      const missing = slices.flatMap((slice, number) => (parts.has(sliceId(slice)) ? [] : [number]));
      if (missing.length === 0) return parts;
      const failure = failures[0] && (await reportedFailure(this.#given, failures[0]));
      const isLasting = failure !== undefined && ['PLAN_INVALID', 'USAGE'].includes(failure.code);
      if (work === undefined || again > TRIES_AGAIN || (again > 0 && isLasting))
        throw failure ?? this.#incomplete(level, { slices, missing, again });
      for (const { file } of failures) await this.#given.exchange.remove(file.name);
      const counts = { slices: slices.length, missing };
      await work({ level, ...counts, told: this.#teller(level, counts) });
    }
  }

  async #look(level: number): Promise<{ parts: Map<string, MarkedFile>; failures: readonly MarkedFile[] }> {
    const { exchange, undertaking } = this.#given;
    const files = await undertaking.list(exchange, level);
    // This machine's own are there: others would be refused.
    undertaking.keysIn(exchange, files);
    const parts = new Map<string, MarkedFile>();
    for (const placed of files.filter(({ kind }) => kind === 'part')) {
      const other = parts.get(placed.id);
      if (other !== undefined)
        throw refused(exchange, placed.file, `says otherwise of the same slice than ${other.file.name}`);
      parts.set(placed.id, placed);
    }
    return { parts, failures: files.filter(({ kind }) => kind === 'failure') };
  }

  /** Looks now and then how much was handed in; a listing of a bucket costs by the thousand. */
  #teller(level: number, { slices, missing }: Pick<LevelWork, 'slices' | 'missing'>): LevelWork['told'] {
    const { exchange, undertaking } = this.#given;
    let parts = slices - missing.length;
    let looked = performance.now();
    let isLooking = false;
    return ({ running, waiting }) => {
      const { emit } = this.#run;
      if (!isLooking && performance.now() - looked > LOOK_MS) {
        isLooking = true;
        void undertaking
          .list(exchange, level)
          .then((files) => {
            parts = files.filter(({ kind }) => kind === 'part').length;
          })
          .catch(() => undefined) // what is wrong shows when the parts are needed
          .finally(() => {
            looked = performance.now();
            isLooking = false;
          });
      }
      emit({ type: 'workers-progress', level, levels: this.#levels, parts, slices, running, waiting });
    };
  }

  #incomplete(
    level: number,
    {
      slices,
      missing,
      again,
    }: { readonly slices: readonly Slice[]; readonly missing: readonly number[]; readonly again: number },
  ): RestorePlanError {
    const { exchange, undertaking } = this.#given;
    const placed = missing.slice(0, NAMED).map((number) => {
      const { member, from } = slices[number] as Slice;
      return `${member.path} from byte ${from}`;
    });
    const named = placed.join(', ') + (missing.length > NAMED ? ' …' : '');
    const tried = again === 0 ? '' : ` after ${again} tries`;
    return new RestorePlanError(
      'INCOMPLETE',
      `level ${level}: ${missing.length} of ${slices.length} slices (${named}) are not in ${exchange.address}${tried}`,
      {
        hint:
          again === 0
            ? advice`Have the workers of level ${level} run to their end, with the same plan and the same backup; their parts lie below ${undertaking.folder}. What is there is kept.`
            : advice`The workers ended without a word: they were killed, or could not be started. Look at what the cluster says of the jobs ${undertaking.jobName(level)}, and run the same command again; what was handed in is kept.`,
        facts: { level, slices: slices.length, missing: missing.length },
      },
    );
  }
}

/** A machine may see the backup under another path. */
function isSame(a: Slice, b: Slice): boolean {
  const isOfMember = a.member.collection === b.member.collection && a.member.id === b.member.id;
  return isOfMember && (['from', 'to', 'isWhole', 'withCrc64'] as const).every((key) => a[key] === b[key]);
}

function areSound(part: Part): boolean {
  try {
    for (const { bytes, starts, count } of documentsOf(part))
      for (let i = 0; i < count; i++) checkDocument(bytes, starts[i] as number);
    return true;
  } catch (error) {
    if (!(error instanceof BsonFault)) throw error;
    return false;
  }
}
