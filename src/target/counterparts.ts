/** Pairs documents with those that a target holds under the same `_id`s. */
import { canonicalKey } from '../bson/canonical-key.ts';
import type { DocumentRun } from '../bson/document-run.ts';
import type { TargetCollection, TargetReader } from './target.ts';

/** absent: no document of that `_id`. same: one with the same bytes. other: one with other bytes. */
export type Presence = 'absent' | 'same' | 'other';

export class Counterparts {
  readonly #run: DocumentRun;
  readonly #same: Uint8Array;
  readonly #others = new Map<number, Buffer>();

  constructor(run: DocumentRun) {
    this.#run = run;
    this.#same = new Uint8Array(run.length);
  }

  /** Of the document at this position of the run; `absent` also for a position that was not asked for. */
  presence(position: number): Presence {
    if (this.#same[position] === 1) return 'same';
    return this.#others.has(position) ? 'other' : 'absent';
  }

  /** The target's document where it is another one. */
  other(position: number): Buffer | undefined {
    return this.#others.get(position);
  }

  /** Document `i` of `found` has the `_id` of the document at this position. */
  mark(position: number, found: DocumentRun, i: number): void {
    if (this.#run.equals(position, found, i)) this.markSame(position);
    else this.#others.set(position, found.document(i));
  }

  markSame(position: number): void {
    this.#same[position] = 1;
  }
}

export interface CounterpartQuestion {
  readonly reader: TargetReader;
  readonly collection: Pick<TargetCollection, 'name' | 'collated'>;
  /** In stored form: `_id` first. */
  readonly run: DocumentRun;
  readonly positions: readonly number[];
  /** What is known of other positions of the run; what is found is added to it. */
  readonly known?: Counterparts;
}

export async function findCounterparts(question: CounterpartQuestion): Promise<Counterparts> {
  const { reader, collection, run, positions, known: counterparts = new Counterparts(run) } = question;
  const pairing = new Pairing(run, positions, counterparts);
  const answers = await reader.lookUp(collection.name, run, positions);
  for (const found of answers) pairing.add(found);
  // Under a collation the server finds `abc` for `ABC`: what no key accounts for is asked one by one.
  if (pairing.unpaired > 0) await askOneByOne(question, counterparts);
  else pairRepeats(question, answers, counterparts);
  return counterparts;
}

/** A backup may repeat an `_id`; the server answers once for all of them. */
function pairRepeats(
  { run, positions }: CounterpartQuestion,
  answers: readonly DocumentRun[],
  counterparts: Counterparts,
): void {
  const answered = answers.reduce((sum, { length }) => sum + length, 0);
  if (answered === 0 || answered === positions.length) return;
  const byKey = new Map(
    answers.flatMap((found) =>
      Array.from(found.offsets, (_, i) => [canonicalKey(found.id(i)), { found, i }] as const),
    ),
  );
  for (const position of positions) {
    if (counterparts.presence(position) !== 'absent') continue;
    const answer = byKey.get(canonicalKey(run.id(position)));
    if (answer !== undefined) counterparts.mark(position, answer.found, answer.i);
  }
}

/**
 * The server answers in the order of `_id`s, and so do most dumps: the next answer is usually the next document asked for, and
 * then one comparison of memory is all it costs. Anything else is found by its key.
 */
class Pairing {
  /** Answers that belong to no position by their key. */
  unpaired = 0;
  readonly #run: DocumentRun;
  readonly #positions: readonly number[];
  readonly #counterparts: Counterparts;
  #next = 0;
  #byKey: Map<string, number> | undefined;

  constructor(run: DocumentRun, positions: readonly number[], counterparts: Counterparts) {
    this.#run = run;
    this.#positions = positions;
    this.#counterparts = counterparts;
  }

  add(found: DocumentRun): void {
    for (let i = 0; i < found.length; i++) {
      const expected = this.#positions[this.#next];
      if (expected !== undefined && this.#run.equals(expected, found, i)) {
        this.#counterparts.markSame(expected);
        this.#next++;
        continue;
      }
      this.#byKey ??= new Map(
        this.#positions.map((position, order) => [canonicalKey(this.#run.id(position)), order]),
      );
      const order = this.#byKey.get(canonicalKey(found.id(i)));
      if (order === undefined) {
        this.unpaired++;
        continue;
      }
      this.#next = order + 1;
      this.#counterparts.mark(this.#positions[order] as number, found, i);
    }
  }
}

async function askOneByOne(
  { reader, collection, run, positions }: CounterpartQuestion,
  counterparts: Counterparts,
): Promise<void> {
  for (const position of positions) {
    if (counterparts.presence(position) !== 'absent') continue;
    for (const found of await reader.lookUp(collection.name, run, [position])) {
      if (found.length > 0) counterparts.mark(position, found, 0);
    }
  }
}
