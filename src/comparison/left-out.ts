/**
 * Which documents of a selection are left out of a target, although they are selected:
 *
 * - excepted: the plan's exceptions name them or their class, or `plan accept` wrote them down in that target; and with them the
 *   dependents that no other parent keeps;
 * - held back: dependents of documents that cannot be written, unless one of their parents is in the target or will be.
 *
 * A dry-run and an apply ask the same question in the same order: collection by collection, parents first. `holdBack` decides about a
 * collection as far as it depends on others; `note` is told what becomes of its own documents. Nothing is read and nothing is kept
 * until a document is named or cannot be written; then it is a byte for each document of the collections concerned.
 */

import { findId } from '../bson/documents.ts';
import { type ExceptedClass, entriesOf, type PlanException } from '../plan/plan.ts';
import type { SelectedCollection } from '../selection/selection.ts';
import type { DocumentClass, Encounter, LeftOutKind } from './comparison.ts';
import { eachDocument, type Link, linksTo, orphansOf, type WhyLost } from './orphans.ts';

/** Why a document is left out by decision. accepted: `plan accept` wrote it down. dependent: its parents are left out. */
export type ExceptedAs = ExceptedClass | 'named' | 'accepted' | 'dependent';

/** What the ledger of a target says was accepted there. */
export interface Accepted {
  /** How many. */
  readonly accepted: number;
  isAccepted(collection: string, ordinal: number): boolean;
}

/** What is left out beside what the plan says. */
interface ExceptedBeside {
  readonly accepted: Accepted;
  /** Classes that are excepted in a collection. */
  readonly alsoExcepted?: ((selected: SelectedCollection) => readonly ExceptedClass[]) | undefined;
}

/** What is known of a document; every code but FREE keeps it from being written. */
const CODES = [
  'free',
  'conflict',
  'refused',
  'heldBack for conflict',
  'heldBack for refused',
  'named',
  'accepted',
  'excepted conflict',
  'excepted refused',
  'excepted different',
  'dependent',
] as const;
type Code = (typeof CODES)[number];
const FREE = 0;
const CODE = Object.fromEntries(CODES.map((code, number) => [code, number])) as Record<Code, number>;
const FIRST_EXCEPTED = CODE.named;

/** The class by which an exception names a document of the dry-run's class; undefined for one that is absent, or there alike. */
export function exceptedClassOf(documentClass: DocumentClass): ExceptedClass | undefined {
  switch (documentClass) {
    case 'conflict':
    case 'refused':
      return documentClass;
    case 'insert':
    case 'absent':
    case 'identical':
      return undefined;
    default:
      return 'different';
  }
}

interface CollectionExceptions {
  readonly ids: readonly Extract<PlanException, { readonly ids: object }>[];
  readonly classes: ReadonlySet<ExceptedClass>;
}

export class LeftOut {
  readonly #signal: AbortSignal;
  readonly #encounter: Encounter;
  readonly #beside: ExceptedBeside;
  /** By name in the backup; only those in which a document is not free. */
  readonly #codes = new Map<string, Uint8Array>();
  readonly #exceptions = new Map<string, CollectionExceptions>();
  readonly #links: ReadonlyMap<string, readonly Link[]>;

  constructor(signal: AbortSignal, encounter: Encounter, beside: ExceptedBeside) {
    this.#signal = signal;
    this.#encounter = encounter;
    this.#beside = beside;
    this.#links = linksTo(encounter.plan);
  }

  /** Documents of it may depend on others of it. */
  isOwnDependent(collection: string): boolean {
    return this.#links.get(collection)?.some(({ parent }) => parent === collection) ?? false;
  }

  /** Before anything is decided: marks what is named, and what is accepted in the ledger. */
  async mark(selected: SelectedCollection): Promise<void> {
    const { collection, count } = selected;
    const { accepted, alsoExcepted } = this.#beside;
    this.#exceptions.set(collection, this.#exceptionsOf(collection, alsoExcepted?.(selected)));
    if (accepted.accepted > 0) {
      for (let ordinal = 0; ordinal < count; ordinal++)
        if (accepted.isAccepted(collection, ordinal)) this.#set(selected, ordinal, CODE.accepted);
    }
    await this.#markNamed(selected);
  }

  /**
   * Decides about the dependents in a collection, when the documents of all its parents were noted; of one that is its own dependent,
   * once more when its own were.
   */
  async holdBack(selected: SelectedCollection): Promise<void> {
    const links = this.#links.get(selected.collection) ?? [];
    if (!links.some(({ parent }) => this.#codes.has(parent))) return;
    const { selection, reader } = this.#encounter;
    const signal = this.#signal;
    await orphansOf({
      selection,
      reader,
      selected,
      links,
      signal,
      whyLost: (collection, ordinal) => this.#whyLost(collection, ordinal),
      decide: (ordinal, why) => this.#set(selected, ordinal, CODE_OF_ORPHAN[why]),
    });
  }

  /**
   * What became of a document, or would: it cannot be written, or the target has another one of its `_id`. Returns whether that is
   * excepted.
   */
  note(selected: SelectedCollection, ordinal: number, documentClass: ExceptedClass): boolean {
    if (this.of(selected.collection, ordinal) === 'excepted') return true;
    const isExcepted = this.#exceptionsOf(selected.collection).classes.has(documentClass);
    if (isExcepted) this.#set(selected, ordinal, CODE[`excepted ${documentClass}`]);
    else if (documentClass !== 'different') this.#set(selected, ordinal, CODE[documentClass]);
    return isExcepted;
  }

  /** Undefined for a document that is not left out; it may be in conflict or refused all the same. */
  of(collection: string, ordinal: number): LeftOutKind | undefined {
    const code = this.#codes.get(collection)?.[ordinal] ?? FREE;
    if (code >= FIRST_EXCEPTED) return 'excepted';
    return code > CODE.refused ? 'heldBack' : undefined;
  }

  /** Of a document that is held back: what its parent is. */
  heldBackFor(collection: string, ordinal: number): 'conflict' | 'refused' {
    return this.#codes.get(collection)?.[ordinal] === CODE['heldBack for refused'] ? 'refused' : 'conflict';
  }

  /** Of a document that is excepted. */
  exceptedAs(collection: string, ordinal: number): ExceptedAs {
    const code = CODES[this.#codes.get(collection)?.[ordinal] ?? FREE] as Code;
    return code.replace('excepted ', '') as ExceptedAs;
  }

  /** The reason that the plan gives for a document that it excepts by name or class; undefined where it does not. */
  reasonOf(collection: string, as: ExceptedAs): string | undefined {
    const fits = ({ ids, class: ofClass }: PlanException): boolean =>
      as === 'named' ? ids !== undefined : ofClass === as;
    return this.#exceptionsIn(collection).find(fits)?.reason;
  }

  #whyLost(collection: string, ordinal: number): WhyLost | undefined {
    const code = this.#codes.get(collection)?.[ordinal] ?? FREE;
    if (code === FREE) return undefined;
    if (code >= FIRST_EXCEPTED) return 'excepted';
    return code === CODE.conflict || code === CODE['heldBack for conflict'] ? 'conflict' : 'refused';
  }

  #set({ collection, count }: SelectedCollection, ordinal: number, code: number): void {
    const codes = this.#codes.get(collection) ?? new Uint8Array(count);
    this.#codes.set(collection, codes);
    codes[ordinal] = code;
  }

  async #markNamed(selected: SelectedCollection): Promise<void> {
    const lists = this.#exceptionsOf(selected.collection).ids.map(({ ids }) => ids);
    if (lists.length === 0) return;
    const { selection } = this.#encounter;
    const signal = this.#signal;
    const { collection } = selected;
    await eachDocument({ selection, collection, signal }, (bytes, start, ordinal) => {
      const id = findId(bytes, start);
      if (id !== undefined && lists.some(({ keys }) => keys.has(id)))
        this.#set(selected, ordinal, CODE.named);
      return undefined;
    });
  }

  #exceptionsOf(collection: string, further: readonly ExceptedClass[] = []): CollectionExceptions {
    const known = this.#exceptions.get(collection);
    if (known !== undefined) return known;
    const all = this.#exceptionsIn(collection);
    const classes = all.flatMap(({ class: ofClass }) => (ofClass === undefined ? [] : [ofClass]));
    const exceptions: CollectionExceptions = {
      ids: all.filter((each): each is CollectionExceptions['ids'][number] => each.ids !== undefined),
      classes: new Set([...classes, ...further]),
    };
    return exceptions;
  }

  /** Of all routes by which the plan comes to the collection, in this target. */
  #exceptionsIn(collection: string): PlanException[] {
    const { plan, reader } = this.#encounter;
    return entriesOf(plan, collection)
      .flatMap(({ exceptions }) => exceptions)
      .filter(({ on }) => on === undefined || on === reader.name);
  }
}

const CODE_OF_ORPHAN: Readonly<Record<WhyLost, number>> = {
  conflict: CODE['heldBack for conflict'],
  refused: CODE['heldBack for refused'],
  excepted: CODE.dependent,
};
