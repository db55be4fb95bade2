/**
 * What a plan, and whoever words it, must know of a kind of source. Each kind is one object in a file of its own; sources.ts lists
 * them. How a kind is opened is said in backup/backup-store.ts, whose list the compiler keeps complete.
 */
import type { Secret } from '../../secret.ts';
import type { Place, PlanFault } from '../fault.ts';
import type { Instant } from '../instant.ts';
import type { LocationTemplate } from '../location-template.ts';
import type { MapNode, PathPart, PlanNode, ScalarNode } from '../nodes.ts';

export interface SourceKind<L> {
  /** From the node that the kind's key stands in. `zone`: what `source.timezone` says. */
  build(parent: PlanNode, zone: string | undefined): L;
  /** What the digest of the plan holds of it: what tells one backup from another, the same on every machine. */
  digest(location: L): unknown;
  /** As the record of a run keeps it, the same on every machine. */
  recorded(location: L): string;
  /** What comes out of it, in a sentence; absent: a dump, of which one database is read. */
  explain?(database: string, at: Instant | undefined, location: L): string;
  /** Where a connection string stands, below `source`. */
  readonly uri?: readonly string[];
  /** What came from a variable and is never shown. */
  secrets?(location: L): readonly (Secret | undefined)[];
}

/** A source that is a place where files lie. What lies there may be a dump, or Extended JSON. */
export interface StoreKind<L, Draft> extends SourceKind<L> {
  /** Where its template stands, below the parent of its key. */
  readonly template: readonly string[];
  /** Where a time zone of its own may stand, below the same. */
  readonly timezone?: readonly string[];
  /** The text of the template. */
  pattern(location: L): string;
  /** How people name the place. */
  describe(location: L): string;
  /** Further faults of a template. */
  rules?(templated: Templated): PlanFault[];

  // For `plan init`: the place of a backup is typed as one text.

  /** What is wrong with the text; undefined: nothing. */
  typedFault?(text: string): string | undefined;
  /** The template within a text that is a place in this store; undefined where it is none. */
  typedTemplate(text: string): string | undefined;
  /** Asks what the text does not say; each question is an option of the command, too. */
  ask(text: string, timezone: string | undefined, ask: Ask): Promise<Draft>;
  /** As lines of a plan, below `source`. */
  draft(draft: Draft, words: DraftWords): string;
  /** As if a plan in `folder` had said it. */
  locate(draft: Draft, folder: string): L;
}

/** A template in a plan. */
export interface Templated {
  readonly root: MapNode;
  /** Of the template: `['source', 's3', 'key']`. */
  readonly path: readonly PathPart[];
  readonly node: ScalarNode;
  readonly template: LocationTemplate;
  /** The place of a part of the text. */
  partOf(start: number, end: number): Place;
}

export type Ask = (
  option: string,
  question: { readonly ask: string; readonly fault?: (answer: string) => string | undefined },
) => Promise<string | undefined>;

interface DraftWords {
  /** A text as YAML. */
  scalar(text: string): string;
  /** The line of the time zone, after a line end; empty where there is none. */
  zone(timezone: string | undefined, indent: string): string;
}
