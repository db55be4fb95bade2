/**
 * Selected documents that would take a unique key of the target from each other: only one of them can be written.
 *
 * A first pass over the selection finds the keys that come more than once, usually none; only those are kept. Then, as the
 * documents are compared in backup order, the first one to be written claims such a key and every later one is told.
 */

import { documentValue } from '../bson/diff-documents.ts';
import { ByteSet } from '../bson/flat-sets.ts';
import type { RawValue } from '../bson/types.ts';
import type { Matcher } from '../query/compile-query.ts';
import { readInTurn } from '../selection/file-batches.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetCollection, TargetIndex } from '../target/target.ts';
import { localMatcher } from './ask-server.ts';
import type { Objection } from './check.ts';
import {
  indexCollation,
  indexText,
  isOrdered,
  keysUnder,
  keyText,
  partialFilterOf,
  uniqueIndexesOf,
} from './index-keys.ts';

interface SharedKeysQuestion {
  readonly selection: Selection;
  /** Name of the collection in the backup. */
  readonly name: string;
  /** As the target has it, or as apply would create it. */
  readonly collection: TargetCollection;
  /** How an `_id` is shown. */
  readonly showId: (id: RawValue) => string;
  /** Is told what could not be looked at. */
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
}

/** The keys of one unique index that several selected documents have. */
interface Contested {
  readonly index: TargetIndex;
  /** Undefined: the index covers every document. */
  readonly covers: Matcher | undefined;
  /** Who claimed each; undefined = no document yet. */
  readonly holders: Map<string, string | undefined>;
}

export class SharedKeys {
  readonly #contested: readonly Contested[];
  /** All of the collection, in the order in which the server fills them. */
  readonly #indexes: readonly TargetIndex[];
  readonly #showId: (id: RawValue) => string;

  private constructor(contested: readonly Contested[], { collection, showId }: SharedKeysQuestion) {
    this.#contested = contested;
    this.#indexes = collection.indexes;
    this.#showId = showId;
  }

  /** Reads the selected documents of the collection once, if it has a unique index. Throws the signal's reason between batches. */
  static async find(question: SharedKeysQuestion): Promise<SharedKeys> {
    const indexes = comparableIndexes(question).map((each) => ({ ...each, seen: new ByteSet() }));
    if (indexes.length > 0) {
      for await (const { bytes, offsets } of readInTurn(question.selection, question.name)) {
        question.signal.throwIfAborted();
        for (const offset of offsets) {
          const document = documentValue(bytes, offset);
          for (const { seen, ...contested } of indexes) {
            for (const text of keyTexts(contested, document)) {
              const key = Buffer.from(text, 'latin1');
              if (!seen.add(key, key.length)) contested.holders.set(text, undefined);
            }
          }
        }
      }
    }
    const contested = indexes.filter(({ holders }) => holders.size > 0);
    return new SharedKeys(contested, question);
  }

  /** No key comes more than once. */
  get isEmpty(): boolean {
    return this.#contested.length === 0;
  }

  /** To be called for every document that would be written, in backup order. Without an objection its keys are its own. */
  claim(document: RawValue, id: RawValue): Objection | undefined {
    const claims = this.#claimsOf(document);
    const conflict = conflictAmong(claims);
    if (conflict !== undefined) return conflict;
    for (const { holders, text } of claims) holders.set(text, this.#showId(id));
    return undefined;
  }

  /** For a document that `index` cannot hold: what the server says first, where an index before that one is in its way. */
  conflictBefore(index: TargetIndex, document: RawValue): Objection | undefined {
    return this.#contested.length === 0
      ? undefined
      : conflictAmong(
          this.#claimsOf(document).filter((claim) => this.#order(claim.index) < this.#order(index)),
        );
  }

  #claimsOf(document: RawValue): Claim[] {
    return this.#contested.flatMap((contested) =>
      [...keyTexts(contested, document)]
        .filter((text) => contested.holders.has(text))
        .map((text) => ({ ...contested, text })),
    );
  }

  #order(index: TargetIndex): number {
    return this.#indexes.indexOf(index);
  }
}

type Claim = Contested & { readonly text: string };

function conflictAmong(claims: readonly Claim[]): Objection | undefined {
  for (const { index, holders, text } of claims) {
    const holder = holders.get(text);
    if (holder === undefined) continue;
    const reason = `${indexText(index)}: its key is also that of _id ${holder}, which is selected too`;
    return { class: 'conflict', reason };
  }
  return undefined;
}

/** The unique indexes whose keys can be told equal here; `warn` names the others. */
function comparableIndexes({ collection, warn }: SharedKeysQuestion): Contested[] {
  return uniqueIndexesOf(collection).flatMap((index) => {
    const filter = partialFilterOf(index);
    const covers = filter && localMatcher(filter);
    const why = !isOrdered(index)
      ? 'kind'
      : indexCollation(index) !== undefined
        ? 'collation'
        : filter !== undefined && covers === undefined
          ? 'partial filter'
          : undefined;
    if (why !== undefined) {
      warn(
        `whether selected documents share a key of the ${indexText(index)} was not looked at, because of its ${why}`,
      );
      return [];
    }
    return [{ index, covers, holders: new Map() }];
  });
}

/** Each key once: an array may hold one value twice, and a document does not stand in its own way. */
function keyTexts({ index, covers }: Omit<Contested, 'holders'>, document: RawValue): Set<string> {
  if (covers?.(document.bytes, document.start) === false) return new Set();
  return new Set(keysUnder(index, document).map(keyText));
}
