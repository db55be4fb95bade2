/**
 * What a restore would meet in a target, document by document. Pure data, and the words of those who find it out; made by `compareWithTarget` from a selection and a TargetReader.
 */

import type { Documents } from '../bson/documents.ts';
import type { TargetName } from '../events.ts';
import type { DocumentPast } from '../oplog/later.ts';
import { ATTENTION_ORDER, type DocumentClass } from '../outcomes.ts';
import type { Plan, WhenMatched } from '../plan/plan.ts';
import type { Selection } from '../selection/selection.ts';
import type { TargetIndex, TargetReader } from '../target/target.ts';

export type { DocumentClass };

/** A plan's selection, and the target that it meets. */
export interface Encounter {
  readonly plan: Plan;
  readonly selection: Selection;
  readonly reader: TargetReader;
}

/** See left-out.ts. */
export type LeftOutKind = 'excepted' | 'heldBack';

export interface FieldDifference {
  /** Dotted path. */
  readonly path: string;
  /** Canonical Extended JSON text of each side; undefined = the field is absent there. */
  readonly backup: string | undefined;
  readonly target: string | undefined;
  /** BSON type names, shown when they differ. */
  readonly backupType: string | undefined;
  readonly targetType: string | undefined;
}

/**
 * A field that differs between any two of three states of a document: before it was changed, right after the last change that is undone, and
 * now in the target. Texts and names of types as in FieldDifference; undefined = absent, of `now` also where the target has no such document.
 */
export interface FieldChange {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
  readonly now: string | undefined;
  readonly beforeType: string | undefined;
  readonly afterType: string | undefined;
  readonly nowType: string | undefined;
}

export interface ComparedDocument {
  readonly class: DocumentClass;
  /** `_id` as canonical Extended JSON. */
  readonly id: string;
  /** Why, for conflict, refused, stale, soft-deleted; empty otherwise. Of the documents' values it tells only `_id`s. */
  readonly reason: string;
  /** Further values that the reason rests on, such as the two dates of a stale document; absent where there are none. */
  readonly reasonValues?: string | undefined;
  /** The first of the fields that differ; in backup order, then those that only the target has. */
  readonly differences: readonly FieldDifference[];
  /** Fields that differ beyond those. */
  readonly differencesLeftOut?: number | undefined;
  /** The document in the backup and, where there is one, in the target: relaxed Extended JSON, cut to a bounded length. */
  readonly backup: string;
  readonly target: string | undefined;
  /** The same as objects, where they were asked for. */
  readonly canonical?: DocumentSides | undefined;
  /** The same with every value but the `_id` hidden, where they were asked for. */
  readonly masked?: DocumentSides | undefined;
  /** Index of the document in the selection's file, from 0. */
  readonly index: number;
  /** What the oplog by which documents were rolled forward knows of it; absent where it knows nothing. */
  readonly past?: DocumentPast | undefined;
  /** Of a document that is given back as it was before a change: the first fields that were changed or differ; absent where the change is not known. */
  readonly changes?: readonly FieldChange[] | undefined;
  /** Such fields beyond those. */
  readonly changesLeftOut?: number | undefined;
  /** It would be left out, whatever its class says. */
  readonly leftOut?: LeftOutKind | undefined;
}

export interface DocumentSides {
  readonly backup: DocumentObject;
  readonly target: DocumentObject | undefined;
  /** Of a document that was changed: right after that. */
  readonly after?: DocumentObject | undefined;
}

/** A document as canonical Extended JSON. */
export interface DocumentObject {
  /** One line, always a whole object. */
  readonly text: string;
  /** False where a JSON parser would lose or reorder fields, or read a field as a type: names that repeat, look like integers or like `$oid`. */
  readonly exact: boolean;
  /** Fields and array elements that had no room. */
  readonly leftOut: number;
}

/** Documents of one class that would be left out: by decision, or with a parent that is in conflict or refused. */
interface LeftOutCounts {
  readonly excepted: number;
  readonly heldBack: { readonly conflict: number; readonly refused: number };
}

export interface ComparedCollection {
  readonly collection: string;
  readonly into: string;
  readonly whenMatched: WhenMatched;
  readonly selected: number;
  readonly counts: Readonly<Record<DocumentClass, number>>;
  /** How many of them are left out; absent where none is. */
  readonly leftOut?: Readonly<Partial<Record<DocumentClass, LeftOutCounts>>>;
  readonly danglingReferences: number;
  /** The target lacks the collection; apply would create it with this many indexes, the one on `_id` included. */
  readonly wouldCreate: { readonly indexes: number } | undefined;
  /** Documents kept for showing, at most the limit asked for; every class other than insert and identical comes first. */
  readonly documents: readonly ComparedDocument[];
  readonly dangling: readonly DanglingReference[];
  readonly warnings: readonly string[];
}

export interface DanglingReference {
  /** `_id` of the restored document that refers, canonical Extended JSON. */
  readonly id: string;
  readonly field: string;
  /** Where the parent was looked for. */
  readonly collection: string;
  /** The missing parent's `_id`, canonical Extended JSON. */
  readonly missing: string;
}

export interface TargetComparison {
  readonly target: TargetName;
  readonly database: string;
  readonly server: string;
  readonly collections: readonly ComparedCollection[];
}

/** How much is kept for showing. */
export interface Shown {
  /** Of each class. */
  readonly documents: number;
  /** References. */
  readonly dangling: number;
}

/** By decision; or held back, for what its parent is. */
export type LeftOutWhy = 'excepted' | 'conflict' | 'refused';

const NONE_LEFT_OUT: LeftOutCounts = { excepted: 0, heldBack: { conflict: 0, refused: 0 } };

export type DocumentCounts = Record<DocumentClass, number>;

/** Counts the documents of one collection by class, and keeps the first few of each for showing. */
export class Tally {
  readonly counts: DocumentCounts = {
    insert: 0,
    absent: 0,
    identical: 0,
    different: 0,
    softDeleted: 0,
    stale: 0,
    conflict: 0,
    refused: 0,
  };
  danglingReferences = 0;
  readonly #leftOut = new Map<DocumentClass, LeftOutCounts>();
  readonly dangling: DanglingReference[] = [];
  readonly #show: Shown;
  readonly #kept = new Map<DocumentClass, ComparedDocument[]>();

  constructor(show: Shown) {
    this.#show = show;
  }

  /** Counts a document and returns whether it is to be kept, which is when `keep` should be given its details. */
  count(documentClass: DocumentClass): boolean {
    return ++this.counts[documentClass] <= this.#show.documents;
  }

  /** Of a document that was counted: why it is left out. */
  countLeftOut(documentClass: DocumentClass, why: LeftOutWhy): void {
    const { excepted, heldBack } = this.#leftOut.get(documentClass) ?? NONE_LEFT_OUT;
    this.#leftOut.set(
      documentClass,
      why === 'excepted'
        ? { excepted: excepted + 1, heldBack }
        : { excepted, heldBack: { ...heldBack, [why]: heldBack[why] + 1 } },
    );
  }

  /** Undefined where none is. */
  get leftOut(): Partial<Record<DocumentClass, LeftOutCounts>> | undefined {
    return this.#leftOut.size === 0 ? undefined : Object.fromEntries(this.#leftOut);
  }

  keep(document: ComparedDocument): void {
    const kept = this.#kept.get(document.class);
    if (kept === undefined) this.#kept.set(document.class, [document]);
    else kept.push(document);
  }

  addDangling(references: readonly DanglingReference[]): void {
    this.danglingReferences += references.length;
    this.dangling.push(...references.slice(0, Math.max(0, this.#show.dangling - this.dangling.length)));
  }

  get documents(): ComparedDocument[] {
    return ATTENTION_ORDER.flatMap((documentClass) => this.#kept.get(documentClass) ?? []);
  }
}

// What checks say of selected documents on their way to a class.

/** Why a document cannot be inserted. */
export interface Objection {
  readonly class: 'conflict' | 'refused';
  readonly reason: string;
  /** See ComparedDocument. */
  readonly reasonValues?: string;
  /** The index that the document does not fit into. */
  readonly by?: TargetIndex;
}

/** What was found of a document. */
export interface Verdict extends Omit<Objection, 'class'> {
  readonly class: DocumentClass;
}

/** By position; nothing of those that there is no objection to. */
type Objections = ReadonlyMap<number, Objection>;

/** Looks at the documents at `positions`, which would be inserted or replaced. */
export type DocumentCheck = (documents: Documents, positions: readonly number[]) => Promise<Objections>;
