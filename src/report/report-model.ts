/**
 * A dry-run as written reports tell it: what was chosen, from which backup, and what each target would meet. Pure data,
 * all of its text neutralised and bounded, masked values gone; the formats beside this file only arrange it.
 */
import type {
  ComparedCollection,
  ComparedDocument,
  DocumentClass,
  TargetComparison,
} from '../comparison/comparison.ts';
import type { TargetName } from '../events.ts';
import {
  type ProposedEntry,
  proposedEntries,
  type Suggestion,
  suggestionText,
} from '../follow-ups/suggestions/suggestion.ts';
import { kindOf } from '../plan/follow-ups/kinds.ts';
import type { DocumentsTold, FollowUpPlan, Plan, RestoredCollection, WhenMatched } from '../plan/plan.ts';
import type { SelectionManifest } from '../selection/selection.ts';
import { line, lines, name } from '../text/escape.ts';
import { type ClassCounts, foretold, type OutcomeCounts, sumOfCounts } from './document-classes.ts';
import { type OplogTold, oplogTold } from './oplog-told.ts';
import {
  type ReportDangling,
  type ReportDocument,
  reportDangling,
  reportDocuments,
} from './report-documents.ts';

/** What a dry-run found: pages and reports are made of it. */
export interface DryRun {
  readonly plan: Plan;
  readonly manifest: SelectionManifest;
  /** One for each target that was compared, in the order they are restored. */
  readonly comparisons: readonly TargetComparison[];
  readonly notCompared: readonly NotCompared[];
  /** What was warned of on the way: of the backup that was found, of the targets. */
  readonly warnings?: readonly string[];
  /** What the plan may have forgotten. */
  readonly suggestions?: readonly Suggestion[];
}

interface NotCompared {
  readonly target: TargetName;
  readonly reason: string;
  readonly hint: string | undefined;
}

export interface ReportInput {
  readonly plan: Plan;
  readonly manifest: SelectionManifest;
  /** One for each target that could be reached, in the order they are restored. */
  readonly comparisons: readonly TargetComparison[];
  /** Targets of the plan that were not compared, and why. */
  readonly notCompared: readonly { readonly target: TargetName; readonly reason: string }[];
  /** What was warned of on the way. */
  readonly warnings?: readonly string[];
  /** What the plan may have forgotten. */
  readonly suggestions?: readonly Suggestion[];
  readonly toolVersion: string;
  /** UTC milliseconds. */
  readonly writtenAt: number;
  /** How much the report tells of documents; what the plan says when left out. */
  readonly told?: DocumentsTold;
  /** All documents of a class, where they were kept elsewhere; without it, those that the comparisons kept. */
  readonly allDocuments?: (place: ListedClass) => AsyncIterable<ComparedDocument>;
}

export interface ListedClass {
  readonly target: TargetName;
  /** Name in the backup. */
  readonly collection: string;
  readonly documentClass: DocumentClass;
}

export interface Report {
  readonly toolVersion: string;
  /** ISO 8601, UTC. */
  readonly writtenAt: string;
  /** How much of documents is told. */
  readonly documents: DocumentsTold;
  readonly plan: {
    readonly name: string;
    /** Lines. */
    readonly reason: readonly string[];
    readonly digest: string;
    readonly mask: readonly string[];
  };
  readonly backup: ReportBackup;
  readonly selection: {
    readonly digest: string;
    readonly database: string;
    readonly readToEnd: boolean;
    readonly documents: number;
    readonly bytes: number;
    readonly collections: readonly ReportSelected[];
  };
  readonly graph: DependentsGraph;
  readonly targets: readonly ReportTarget[];
  readonly notCompared: readonly { readonly target: TargetName; readonly reason: string }[];
  readonly followUps: readonly ReportFollowUp[];
  readonly warnings: readonly string[];
  /** What to put into the plan in the place of `dependents: auto`. */
  readonly proposed: readonly ProposedEntry[];
}

export interface ReportBackup {
  readonly location: string;
  readonly kind: string;
  /** ISO 8601, UTC: the backup's time by its name. */
  readonly time: string | undefined;
  /** The same time as the name spells it, with its zone. */
  readonly localTime: string | undefined;
  /** ISO 8601, UTC: when the object or file was finished. */
  readonly modified: string | undefined;
  /** Bytes as stored. */
  readonly size: number | undefined;
  readonly identity: string;
  /** The plan's `at`, as written. */
  readonly at: string | undefined;
  /** Milliseconds from the backup's time to `at`. */
  readonly beforeAtMs: number | undefined;
  /** What rolled its documents forward. */
  readonly oplog?: OplogTold;
}

interface ReportSelected {
  readonly collection: string;
  readonly into: string;
  readonly whenMatched: WhenMatched;
  readonly scanned: number;
  readonly selected: number;
  readonly bytes: number;
  readonly sha256: string;
}

export interface ReportTarget {
  readonly target: TargetName;
  readonly database: string;
  readonly server: string;
  readonly counts: ClassCounts;
  /** What apply would make of them. */
  readonly outcomes: OutcomeCounts;
  readonly danglingReferences: number;
  readonly collections: readonly ReportCollection[];
}

export interface ReportCollection {
  readonly collection: string;
  readonly into: string;
  readonly whenMatched: WhenMatched;
  readonly selected: number;
  readonly counts: ClassCounts;
  /** See ComparedCollection. */
  readonly leftOut?: ComparedCollection['leftOut'];
  readonly danglingReferences: number;
  readonly wouldCreate: { readonly indexes: number } | undefined;
  readonly warnings: readonly string[];
  /** Those listed of one class, made one by one: there may be hundreds of thousands. */
  readonly documents: (documentClass: DocumentClass) => AsyncIterable<ReportDocument>;
  readonly dangling: readonly ReportDangling[];
}

export interface ReportFollowUp {
  readonly name: string;
  readonly on: TargetName | 'both';
  /** What is to be done, in a line; of a webhook only that it is one. */
  readonly action: string;
}

/** All warnings, those of single collections with their place: what a reader has to see first. */
export function allWarnings({ warnings, targets }: Report): string[] {
  const ofCollections = targets.flatMap(({ target, collections }) =>
    collections.flatMap(({ into, warnings: own }) => own.map((warning) => `${target}, ${into}: ${warning}`)),
  );
  return [...warnings, ...ofCollections];
}

export function buildReport(input: ReportInput): Report {
  const { plan, manifest } = input;
  return {
    toolVersion: input.toolVersion,
    writtenAt: isoTime(input.writtenAt),
    documents: toldBy(input),
    plan: {
      name: name(plan.name),
      reason: lines(plan.reason ?? ''),
      digest: plan.digest,
      mask: plan.mask.map((path) => name(path)),
    },
    backup: reportBackup(plan, manifest),
    selection: reportSelection(manifest),
    graph: dependentsGraph(plan, manifest),
    targets: input.comparisons.map((comparison) => reportTarget(comparison, input)),
    notCompared: input.notCompared.map(({ target, reason }) => ({ target, reason: line(reason) })),
    followUps: plan.followUps.map(reportFollowUp),
    warnings: [
      ...(input.warnings ?? []),
      ...manifest.warnings,
      ...(input.suggestions ?? []).map(suggestionText),
    ].map((warning) => line(warning)),
    proposed: proposedEntries(input.suggestions ?? []).map((each) => ({
      entry: name(each.entry),
      lines: each.lines.map((text) => line(text)),
    })),
  };
}

function toldBy({ plan, told }: ReportInput): DocumentsTold {
  return told ?? plan.report.documents;
}

function reportBackup({ source }: Plan, manifest: SelectionManifest): ReportBackup {
  const { backup } = manifest;
  const oplog = oplogTold(manifest);
  return {
    location: line(backup.location),
    kind: line(backup.kind),
    time: backup.time === undefined ? undefined : isoTime(backup.time),
    localTime: backup.localTime === undefined ? undefined : line(backup.localTime),
    modified: backup.modified === undefined ? undefined : isoTime(backup.modified),
    size: backup.size,
    identity: line(backup.fingerprint),
    at: source.at?.text,
    beforeAtMs:
      source.at === undefined || backup.time === undefined ? undefined : source.at.epochMs - backup.time,
    ...(oplog !== undefined && { oplog: oplogInLines(oplog) }),
  };
}

function oplogInLines(oplog: OplogTold): OplogTold {
  const { shards, deletedBefore } = oplog;
  return {
    ...oplog,
    source: line(oplog.source),
    ...(deletedBefore && {
      deletedBefore: deletedBefore.map((each) => ({ ...each, collection: name(each.collection) })),
    }),
    ...(shards && {
      shards: shards.map((each) => ({ ...each, folder: line(each.folder), source: line(each.source) })),
    }),
  };
}

function isoTime(epochMs: number): string {
  return new Date(epochMs).toISOString().replace('.000Z', 'Z');
}

function reportSelection(manifest: SelectionManifest): Report['selection'] {
  const { digest, database, readToEnd, collections } = manifest;
  return {
    digest,
    database: name(database),
    readToEnd,
    documents: collections.reduce((total, { count }) => total + count, 0),
    bytes: collections.reduce((total, { bytes }) => total + bytes, 0),
    collections: collections.map(({ collection, into, whenMatched, scanned, count, bytes, sha256 }) => ({
      collection: name(collection),
      into: name(into),
      whenMatched,
      scanned,
      selected: count,
      bytes,
      sha256,
    })),
  };
}

function reportTarget(comparison: TargetComparison, input: ReportInput): ReportTarget {
  const { target, database, server, collections } = comparison;
  const total = (count: (collection: ComparedCollection) => number): number =>
    collections.reduce((sum, collection) => sum + count(collection), 0);
  return {
    target,
    database: name(database),
    server: line(server),
    counts: sumOfCounts(collections),
    outcomes: foretold(collections),
    danglingReferences: total(({ danglingReferences }) => danglingReferences),
    collections: collections.map((collection) => reportCollection(collection, target, input)),
  };
}

function reportCollection(
  compared: ComparedCollection,
  target: TargetName,
  input: ReportInput,
): ReportCollection {
  const told = toldBy(input);
  const { collection, whenMatched, selected, counts, danglingReferences, wouldCreate } = compared;
  const documents = (
    documentClass: DocumentClass,
  ): Iterable<ComparedDocument> | AsyncIterable<ComparedDocument> =>
    input.allDocuments?.({ target, collection, documentClass }) ??
    compared.documents.filter((document) => document.class === documentClass);
  return {
    collection: name(collection),
    into: name(compared.into),
    whenMatched,
    selected,
    counts,
    ...(compared.leftOut && { leftOut: compared.leftOut }),
    danglingReferences,
    wouldCreate,
    warnings: compared.warnings.map((warning) => line(warning)),
    documents: (documentClass) => reportDocuments(() => documents(documentClass), told),
    dangling: told === 'none' ? [] : compared.dangling.map(reportDangling),
  };
}

function reportFollowUp(followUp: FollowUpPlan): ReportFollowUp {
  const { action } = followUp;
  return { name: name(followUp.name), on: followUp.on, action: line(kindOf(action).inShort(action)) };
}

// The plan's collections and how they hang together: parents and dependents, and references to parents that must exist.

export interface GraphNode {
  readonly collection: string;
  /** Documents selected; undefined for a collection that is only referred to. */
  readonly selected: number | undefined;
  /** Parents' steps above it: 0 for a collection with a query of its own, the longest route otherwise. */
  readonly level: number;
}

export interface GraphEdge {
  /** dependent: `from` is the parent, `to` the dependent. reference: `from` refers to a document of `to`. */
  readonly kind: 'dependent' | 'reference';
  readonly from: string;
  readonly to: string;
  /** The field that holds the key, in the dependent or in the referring document. */
  readonly field: string;
  /** Field of the parent that it equals. */
  readonly localKey: string;
}

export interface DependentsGraph {
  /** In the order of the plan, parents first; collections that are only referred to last. */
  readonly nodes: readonly GraphNode[];
  readonly edges: readonly GraphEdge[];
}

export function dependentsGraph(plan: Plan, manifest: SelectionManifest): DependentsGraph {
  const levels = new Map<string, number>();
  const edges = new Map<string, GraphEdge>();
  const addEdge = (edge: GraphEdge): void => {
    edges.set([edge.kind, edge.from, edge.to, edge.field, edge.localKey].join('\0'), edge);
  };
  const visit = (entry: RestoredCollection, level: number): void => {
    const from = name(entry.collection);
    levels.set(from, Math.max(level, levels.get(from) ?? 0));
    for (const { field, collection } of entry.references) {
      addEdge({ kind: 'reference', from, to: name(collection), field: name(field), localKey: '_id' });
    }
    for (const dependent of entry.dependents) {
      const to = name(dependent.collection);
      const { foreignKey, localKey } = dependent;
      addEdge({ kind: 'dependent', from, to, field: name(foreignKey), localKey: name(localKey) });
      visit(dependent, to === from ? level : level + 1);
    }
  };
  for (const entry of plan.collections) visit(entry, 0);
  const planned = new Set(levels.keys());
  const deepest = Math.max(0, ...levels.values());
  for (const { to } of edges.values()) if (!levels.has(to)) levels.set(to, deepest + 1);

  const selected = new Map(manifest.collections.map(({ collection, count }) => [name(collection), count]));
  return {
    nodes: [...levels].map(([collection, level]) => ({
      collection,
      selected: planned.has(collection) ? (selected.get(collection) ?? 0) : undefined,
      level,
    })),
    edges: [...edges.values()],
  };
}
