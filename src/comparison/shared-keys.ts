/**
 * Selected documents that would take a unique key of the target from each other, that of `_id` under a collation among them: only one of
 * them can be written.
 *
 * A first pass over the selection finds the keys that come more than once, usually none; only those are kept. Then, as the
 * documents are compared in backup order, the first one to be written claims such a key and every later one is told.
 *
 * Keys are made here as far as equal bytes are equal keys. Under a collation the server makes them, and of `_id`s only those that hold
 * text: others of one selection are never the same.
 */
import { canonicalKey } from '../bson/canonical-bytes.ts';
import { buildDocument } from '../bson/document-builder.ts';
import { Documents } from '../bson/documents.ts';
import { innerDocument } from '../bson/elements.ts';
import { ByteSet } from '../bson/flat-sets.ts';
import { holdsSymbol, holdsText, idRefusal } from '../bson/storable.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { Matcher } from '../query/compile-query.ts';
import { readInTurn } from '../selection/file-batches.ts';
import type { Selection } from '../selection/selection.ts';
import { readIndex } from '../target/describe-collection.ts';
import type { TargetCollection, TargetIndex, TargetReader } from '../target/target.ts';
import {
  askInGroups,
  cannotAnswer,
  indexKeysOnServer,
  localMatcher,
  putDocument,
  putValue,
} from './ask-server.ts';
import type { Objection } from './comparison.ts';
import {
  coveredBy,
  type IndexOfTarget,
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
  readonly reader: TargetReader;
  /** As the target has it, or as apply would create it. */
  readonly collection: TargetCollection;
  /** How an `_id` is shown. */
  readonly showId: (id: RawValue) => string;
  /** Is told what could not be looked at. */
  readonly warn: (message: string) => void;
  readonly signal: AbortSignal;
}

/** A document, and its place in the selection of its collection. */
interface Claimant {
  readonly document: RawValue;
  readonly id: RawValue;
  readonly ordinal: number;
}

/** The keys that several selected documents have under one index. */
interface Contested {
  readonly index: TargetIndex;
  /** Who claimed each; undefined = no document yet. */
  readonly holders: Map<string, string | undefined>;
  /** Each key once: an array may hold one value twice, and a document does not stand in its own way. */
  keysOf(claimant: Pick<Claimant, 'document' | 'ordinal'>): ReadonlySet<string>;
  /** Why a document cannot be written whose key is that of `holder`. */
  reason(holder: string): string;
}

const NONE: ReadonlySet<string> = new Set();

export class SharedKeys {
  readonly #contested: readonly Contested[];
  /** All of the collection, in the order in which the server fills them. */
  readonly #indexes: readonly TargetIndex[];
  readonly #showId: (id: RawValue) => string;

  private constructor(contested: readonly Contested[], { collection, showId }: SharedKeysQuestion) {
    this.#indexes = collection.indexes;
    // That of `_id` is asked about as none of them, and comes first.
    this.#contested = [...contested].sort((a, b) => this.#order(a.index) - this.#order(b.index));
    this.#showId = showId;
  }

  /**
   * Reads the selected documents of the collection once, if keys of theirs could be the same; where keys that the server made are, once
   * more. Throws the signal's reason between batches, and CommandFailure when the server cannot be reached.
   */
  static async find(question: SharedKeysQuestion): Promise<SharedKeys> {
    const local = localIndexes(question);
    const onServer = indexesOnServer(question);
    if (local.length + onServer.length > 0) {
      const searched = [...local, ...onServer].map((index) => ({ index, seen: new ByteSet() }));
      await eachBatch(question, async (documents) => {
        for (const index of onServer) await index.makeKeys(documents);
        for (let position = 0; position < documents.length; position++) {
          const claimant = { document: documents.value(position), ordinal: documents.first + position };
          for (const { index, seen } of searched) {
            for (const text of index.keysOf(claimant)) {
              const key = Buffer.from(text, 'latin1');
              if (!seen.add(key, key.length)) index.holders.set(text, undefined);
            }
          }
        }
      });
      const keeping = onServer
        .filter(({ holders }) => holders.size > 0)
        .map((index) => index.keepContested());
      if (keeping.length > 0)
        await eachBatch(question, async (documents) => {
          for (const keep of keeping) await keep(documents);
        });
    }
    const contested = [...onServer, ...local].filter(({ holders }) => holders.size > 0);
    return new SharedKeys(contested, question);
  }

  /** No key comes more than once. */
  get isEmpty(): boolean {
    return this.#contested.length === 0;
  }

  /** To be called for every document that would be written, in backup order. Without an objection its keys are its own. */
  claim(claimant: Claimant): Objection | undefined {
    const claims = this.#claimsOf(claimant);
    const conflict = conflictAmong(claims);
    if (conflict !== undefined) return conflict;
    for (const { contested, text } of claims) contested.holders.set(text, this.#showId(claimant.id));
    return undefined;
  }

  /** For a document that `index` cannot hold: what the server says first, where an index before that one is in its way. */
  conflictBefore(index: TargetIndex, claimant: Claimant): Objection | undefined {
    return this.#contested.length === 0
      ? undefined
      : conflictAmong(
          this.#claimsOf(claimant).filter(
            ({ contested }) => this.#order(contested.index) < this.#order(index),
          ),
        );
  }

  #claimsOf(claimant: Claimant): Claim[] {
    return this.#contested.flatMap((contested) =>
      [...contested.keysOf(claimant)]
        .filter((text) => contested.holders.has(text))
        .map((text) => ({ contested, text })),
    );
  }

  #order(index: TargetIndex): number {
    return this.#indexes.indexOf(index);
  }
}

interface Claim {
  readonly contested: Contested;
  readonly text: string;
}

function conflictAmong(claims: readonly Claim[]): Objection | undefined {
  for (const { contested, text } of claims) {
    const holder = contested.holders.get(text);
    if (holder !== undefined) return { class: 'conflict', reason: contested.reason(holder) };
  }
  return undefined;
}

async function eachBatch(
  { selection, name, signal }: SharedKeysQuestion,
  take: (documents: Documents) => Promise<void>,
): Promise<void> {
  for await (const documents of readInTurn(selection, name)) {
    signal.throwIfAborted();
    await take(documents);
  }
}

function keyReason(index: TargetIndex, holder: string): string {
  return `${indexText(index)}: its key is also that of _id ${holder}, which is selected too`;
}

function notLookedAt(index: TargetIndex, why: string): string {
  return `whether selected documents share a key of the ${indexText(index)} was not looked at, because of its ${why}`;
}

/** The unique indexes whose keys can be told equal here; `warn` names those of which nobody can. */
function localIndexes({ collection, warn }: SharedKeysQuestion): Contested[] {
  return uniqueIndexesOf(collection).flatMap((index) => {
    const filter = partialFilterOf(index);
    const covers = filter && localMatcher(filter);
    const isUnknown = filter !== undefined && covers === undefined;
    const why = isOrdered(index) ? (isUnknown ? 'partial filter' : undefined) : 'kind';
    if (isOrdered(index) && indexCollation(index) !== undefined) return [];
    if (why !== undefined) {
      warn(notLookedAt(index, why));
      return [];
    }
    return [new LocalIndex(index, covers)];
  });
}

class LocalIndex implements Contested {
  readonly holders = new Map<string, string | undefined>();
  readonly index: TargetIndex;
  /** Undefined: the index covers every document. */
  readonly #covers: Matcher | undefined;

  constructor(index: TargetIndex, covers: Matcher | undefined) {
    this.index = index;
    this.#covers = covers;
  }

  keysOf({ document }: Pick<Claimant, 'document'>): ReadonlySet<string> {
    if (this.#covers?.(document.bytes, document.start) === false) return NONE;
    return new Set(keysUnder(this.index, document).map(keyText));
  }

  reason(holder: string): string {
    return keyReason(this.index, holder);
  }
}

/** That of `_id` and the unique ones, where they have a collation. */
function indexesOnServer({ reader, collection, warn }: SharedKeysQuestion): IndexOnServer[] {
  const collated = uniqueIndexesOf(collection)
    .filter((index) => isOrdered(index) && indexCollation(index) !== undefined)
    .map((index) => new IndexOnServer({ reader, collection, index }, warn));
  const collation = collection.collated ? innerDocument(collection.options, 'collation') : undefined;
  return collation === undefined
    ? collated
    : [new IdsOnServer({ reader, collection, index: idsAsField(collation) }, warn), ...collated];
}

/** An index whose keys the server makes, of a batch at once. */
class IndexOnServer implements Contested {
  readonly holders = new Map<string, string | undefined>();
  readonly index: TargetIndex;
  protected readonly place: IndexOfTarget;
  readonly #warn: (message: string) => void;
  /** By ordinal: of the batch in hand, in the end of all documents that have a contested one. */
  #keys = new Map<number, ReadonlySet<string>>();
  #isUnanswered = false;

  constructor(place: IndexOfTarget, warn: (message: string) => void) {
    this.place = place;
    this.index = place.index;
    this.#warn = warn;
  }

  keysOf({ ordinal }: Pick<Claimant, 'ordinal'>): ReadonlySet<string> {
    return this.#keys.get(ordinal) ?? NONE;
  }

  reason(holder: string): string {
    return keyReason(this.index, holder);
  }

  /** Those of the batch before it are forgotten. A document that the server makes no keys of has none. */
  async makeKeys(documents: Documents): Promise<void> {
    this.#keys = new Map();
    if (this.#isUnanswered) return;
    const { documents: asked, positions } = await this.toAsk(documents);
    const ask = async (group: readonly number[]): Promise<void> => {
      const keys = await indexKeysOnServer(this.place, asked, group);
      for (const [i, position] of group.entries())
        this.#keys.set(asked.first + position, new Set(keys[i]?.map(canonicalKey)));
    };
    await askInGroups(asked, positions, {
      ask,
      failed: (_, failure) => {
        if (cannotAnswer(failure)) this.giveUp();
      },
    });
  }

  /** Begins anew: what is returned is to be given every batch once more, and keeps the keys that are contested. */
  keepContested(): (documents: Documents) => Promise<void> {
    const kept = new Map<number, ReadonlySet<string>>();
    return async (documents) => {
      await this.makeKeys(documents);
      for (const [ordinal, keys] of this.#keys) {
        if ([...keys].some((key) => this.holders.has(key))) kept.set(ordinal, keys);
      }
      this.#keys = kept;
    };
  }

  /** The documents that keys are made of, at the positions of their batch. */
  protected async toAsk(
    documents: Documents,
  ): Promise<{ readonly documents: Documents; readonly positions: readonly number[] }> {
    return { documents, positions: await coveredBy(this.place, documents, [...documents.offsets.keys()]) };
  }

  protected notLookedAt(): string {
    return notLookedAt(this.index, 'collation');
  }

  /** Nothing is contested that could not be asked about of all documents. */
  protected giveUp(): void {
    this.#isUnanswered = true;
    this.holders.clear();
    this.#warn(this.notLookedAt());
  }
}

const ID_FIELD = 'id';

/** The server answers no question about the index on `_id`: it is asked about one on a field that holds the same. */
function idsAsField(collation: Buffer): TargetIndex {
  return readIndex(
    buildDocument((builder) => {
      builder.element(BSON.INT32, 'v');
      builder.int32(2);
      builder.element(BSON.OBJECT, 'key');
      builder.embed(() => {
        builder.element(BSON.INT32, ID_FIELD);
        builder.int32(1);
      });
      builder.element(BSON.STRING, 'name');
      builder.string(ID_FIELD);
      putDocument(builder, 'collation', collation);
    }),
  );
}

/** The index on `_id` of a collection with a collation. */
class IdsOnServer extends IndexOnServer {
  override reason(holder: string): string {
    return `the collation of the collection takes its _id for that of ${holder}, which is selected too`;
  }

  protected override async toAsk(
    documents: Documents,
  ): Promise<{ readonly documents: Documents; readonly positions: readonly number[] }> {
    const positions = [...documents.offsets.keys()].filter((position) => {
      const id = documents.id(position);
      return idRefusal(id) === undefined && holdsText(id) && !holdsSymbol(id);
    });
    // Every shard has an index of its own, and where documents go is not known here.
    if (this.place.collection.shardKey !== undefined && positions.length > 0) {
      this.giveUp();
      return { documents, positions: [] };
    }
    const wanted = new Set(positions);
    const ids = Array.from(documents.offsets, (_, position) =>
      buildDocument((builder) => {
        if (wanted.has(position)) putValue(builder, ID_FIELD, documents.id(position));
      }),
    );
    return { documents: Documents.of(ids, documents.first), positions };
  }

  protected override notLookedAt(): string {
    return 'whether the collation takes _ids of selected documents for the same was not looked at: the server cannot be asked, or keeps them on several shards';
  }
}
