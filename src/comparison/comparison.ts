/**
 * What a restore would meet in a target, document by document. Pure data; made by `compareWithTarget` from a selection and a TargetReader.
 */
import type { TargetName } from '../events.ts';
import type { DocumentClass } from '../outcomes.ts';
import type { WhenMatched } from '../plan/plan.ts';

export type { DocumentClass };

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
  /** It would be left out, whatever its class says. */
  readonly leftOut?: LeftOutKind | undefined;
}

export interface DocumentSides {
  readonly backup: DocumentObject;
  readonly target: DocumentObject | undefined;
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
export interface LeftOutCounts {
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
