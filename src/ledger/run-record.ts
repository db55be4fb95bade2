/** One document of `restore_plan.runs`: what was done with one selection of one plan in this database. Checked on reading. */
import { deserialize } from 'bson';
import type { TargetName } from '../events.ts';
import { APPROVALS_BY, type ApprovalsBy } from '../plan/plan.ts';
import {
  damaged,
  isDate,
  isFencing,
  journalKeyOf,
  type LedgerFormat,
  RUNS,
  type RunKey,
  requireKnownFormat,
} from './layout.ts';

/**
 * planned: nothing was applied yet, but documents were accepted · applying: documents may be in, the run is going on or was cut off · applied: all are in, not yet read back · verified: read
 * back, bytes equal · incomplete: stopped, or some documents could not be inserted · reverting, reverted: taken out again.
 */
const RUN_STATUSES = [
  'planned',
  'applying',
  'applied',
  'verified',
  'incomplete',
  'reverting',
  'reverted',
] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** A person at a machine. */
export interface Actor {
  /** As the operating system says. */
  readonly user: string;
  readonly host: string;
  /** `user@database`, as the server authenticated them; undefined where it asks for no log-in, and in older records. */
  readonly serverUser?: string | undefined;
}

export interface Deed extends Actor {
  readonly at: Date;
}

/** What an approval is of, beside the selection. */
export interface ApprovalScope {
  /** The database that is opened. */
  readonly database: string;
  /** Where it lay; undefined where nobody looked, and in older records. */
  readonly server?: RecordedServer | undefined;
  /** Digest of what the plan says of documents and indexes that are left out, as it writes it. */
  readonly exceptions: string;
  /** Digest of the documents accepted by name so far; undefined where there were none. */
  readonly accepted?: string | undefined;
  /** Digest of the commands that follow-ups run. */
  readonly commands: string;
}

export interface Approval extends Deed {
  /** Undefined in older records. */
  readonly of?: ApprovalScope;
}

/** Documents of the selection by what has become of them in this target, over all runs so far. */
export interface RunCounts {
  readonly inserted: number;
  readonly identical: number;
  readonly replaced: number;
  readonly kept: number;
  readonly conflict: number;
  readonly refused: number;
  /** Not written, because a document that it depends on could not be. */
  readonly heldBack: number;
  /** Left out, because somebody accepted that. */
  readonly excepted: number;
  /** There with the backup's bytes, and nobody can tell any more whether this tool wrote it or somebody else. */
  readonly doubtful: number;
}

export interface RunCollection extends RunCounts {
  readonly collection: string;
  readonly into: string;
  readonly selected: number;
  /** Of the kept: documents that were not there, and left out for it. Absent = none. */
  readonly discarded?: number;
}

/** `into` is the name in the target. Not done: the collection may be missing, or may lack indexes. */
export interface Creation {
  readonly into: string;
  readonly done: boolean;
  /** Of the collection that was made, hex: another one of its name is somebody else's. Undefined before it is there, and where servers have none. */
  readonly uuid?: string;
}

/** The database that a record was written in, as far as it can be recognised later. */
export interface RecordedServer {
  readonly kind: string;
  /**
   * `name/replicaSetId` of a replica set, its name alone where the user may not ask for the id; the cluster id of a sharded
   * cluster. Undefined where the server states nothing that outlives its process: a standalone, a cluster that hides its id.
   */
  readonly id: string | undefined;
  readonly database: string;
}

/** started: begun, and its end is not known. */
const FOLLOW_UP_STATES = ['started', 'done', 'failed'] as const;

/** What is known of a loose end; one that was never begun has none. */
export interface FollowUpRecord {
  readonly name: string;
  readonly state: (typeof FOLLOW_UP_STATES)[number];
  /** Tells one attempt from another. */
  readonly attempt: string;
  readonly by: Actor;
  readonly startedAt: Date;
  /** Until then the process that began it is taken to be at it; moved on while it lives. Says nothing once it has ended. */
  readonly aliveUntil: Date | undefined;
  readonly endedAt: Date | undefined;
  /** How it ended, in one line: an exit code, an HTTP status. */
  readonly detail: string | undefined;
  /** The end of what a command printed, secrets struck out. */
  readonly output: string | undefined;
  /** What the person who ticked it off wrote. */
  readonly note: string | undefined;
}

/** Where the plan takes its documents from. */
export interface RecordedSource {
  /** Location of the backups as the plan has it, `{time:…}` and all, without credentials. */
  readonly template: string;
  /** Database inside the backup. */
  readonly database: string;
}

/** The rules of production's gate as the plan had them when the run was applied. */
export interface RecordedGate {
  readonly soakMs: number;
  readonly approvals: number;
  /** Undefined in older records. */
  readonly approvalsBy?: ApprovalsBy;
  /** Undefined in older records. */
  readonly acceptKept?: boolean;
  /** Number of the lock under which that apply began: the later one holds. Undefined in older records. */
  readonly fencing?: number;
}

export interface RunRecord {
  readonly key: RunKey;
  readonly format: LedgerFormat;
  /** What the `_id`s of its journal begin with. */
  readonly journalKey: string;
  /** It was written in format 1, and this is its copy in format 2. */
  readonly isMigrated: boolean;
  readonly target: TargetName;
  readonly toolVersion: string;
  readonly plan: { readonly name: string; readonly digest: string };
  readonly backup: { readonly location: string; readonly kind: string; readonly fingerprint: string };
  /** This and the next two: undefined in records of format 1, and in their copies until the plan is applied again. */
  readonly server: RecordedServer | undefined;
  readonly source: RecordedSource | undefined;
  readonly gate: RecordedGate | undefined;
  readonly status: RunStatus;
  /** Fencing number of the lock under which the record was last written. */
  readonly fencing: number;
  /** Everybody who ran apply on it, first to last. */
  readonly appliedBy: readonly Deed[];
  /** Who gave the word that nobody else writes meanwhile (`--exclusive`), for an apply or a revert, first to last. */
  readonly exclusive?: readonly Deed[] | undefined;
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly verifiedAt: Date | undefined;
  readonly collections: readonly RunCollection[];
  /** Of a reverted run: documents that were left alone: changed by somebody, of nobody knows whom, or lost by the journal. */
  readonly left: number;
  /** Collections that this tool created here for this selection. */
  readonly creations: readonly Creation[];
  readonly approvals: readonly Approval[];
  /** Documents that `plan accept` wrote down for it, and the digest of which ones; 0 and undefined where there are none. */
  readonly accepted: number;
  readonly acceptedDigest: string | undefined;
  /** Who wrote them down, first to last. */
  readonly acceptedBy: readonly Deed[];
  /** Loose ends. */
  readonly followUps: readonly FollowUpRecord[];
}

/** Documents that were inserted or replaced. */
export function writtenOf(collections: readonly Pick<RunCounts, 'inserted' | 'replaced'>[]): number {
  return collections.reduce((sum, { inserted, replaced }) => sum + inserted + replaced, 0);
}

/** Documents of a collection that are in, were kept, or were left out by name. */
export function accountedFor(counts: RunCounts): number {
  const { inserted, identical, replaced, kept, doubtful, excepted } = counts;
  return inserted + identical + replaced + kept + doubtful + excepted;
}

/** Whether not one document is there with the backup's content, as all were kept or left out by name. */
export function hasVerifiedNothing(collections: readonly RunCollection[]): boolean {
  const selected = sumOf(collections, (counts) => counts.selected);
  return selected > 0 && sumOf(collections, ({ kept, excepted }) => kept + excepted) === selected;
}

/** Documents that were kept because they have other content; those that were not there, and left out for it, do not differ. */
export function differingIn(collections: readonly RunCollection[]): number {
  return sumOf(collections, ({ kept, discarded = 0 }) => kept - discarded);
}

/** Over all collections of a run. */
export function sumOf(
  collections: readonly RunCollection[],
  count: (collection: RunCollection) => number,
): number {
  return collections.reduce((sum, collection) => sum + count(collection), 0);
}

/** Whether its counts are those of all that it wrote: an apply records them at its end, which one that is cut off does not reach. */
export function isCounted({ status }: Pick<RunRecord, 'status'>): boolean {
  return status !== 'applying';
}

/** Throws RestorePlanError TARGET for a record that is newer than this version or damaged. */
export function readRunRecord(raw: Buffer): RunRecord {
  const document = deserialize(raw) as Record<string, unknown>;
  const format = requireKnownFormat(RUNS, document);
  const check = (field: string, holds: (value: unknown) => boolean): unknown => {
    if (!holds(document[field])) throw damaged(RUNS, document, field);
    return document[field];
  };
  const optional = (field: string, holds: (value: unknown) => boolean): unknown =>
    check(field, (value) => value === undefined || holds(value));
  const plan = check('plan', (value) => hasTexts(value, ['name', 'digest'])) as RunRecord['plan'];
  const id = check('_id', format === 1 ? isDigest : (value) => isRunKey(value) && value.plan === plan.name);
  const key = format === 1 ? { plan: plan.name, selection: id as string } : (id as RunKey);
  // Undefined in a record that is nobody's copy.
  const journalCopied = optional('journalCopied', (value) => typeof value === 'boolean');
  const collections = check('collections', (value) => isListOf(value, isRunCollection)) as RunCollection[];
  return {
    key: { plan: key.plan, selection: key.selection },
    format,
    journalKey: format === 1 || journalCopied === false ? key.selection : journalKeyOf(key),
    isMigrated: journalCopied !== undefined,
    target: check('target', (value) => value === 'staging' || value === 'production') as TargetName,
    toolVersion: check('toolVersion', isText) as string,
    plan,
    backup: check('backup', (value) =>
      hasTexts(value, ['location', 'kind', 'fingerprint']),
    ) as RunRecord['backup'],
    server: optional('server', isServer) as RecordedServer | undefined,
    source: optional('source', (value) => hasTexts(value, ['template', 'database'])) as
      | RecordedSource
      | undefined,
    gate: optional('gate', isGate) as RecordedGate | undefined,
    status: check('status', (value) => RUN_STATUSES.some((status) => status === value)) as RunStatus,
    fencing: check('fencing', isFencing) as number,
    appliedBy: check('appliedBy', (value) => isListOf(value, isDeed)) as Deed[],
    exclusive: optional('exclusive', (value) => isListOf(value, isDeed)) as Deed[] | undefined,
    startedAt: check('startedAt', isDate) as Date,
    updatedAt: check('updatedAt', isDate) as Date,
    verifiedAt: optional('verifiedAt', isDate) as Date | undefined,
    collections: collections.map((counts) => ({ ...LATER_COUNTS, ...counts })),
    left: (optional('left', isCount) ?? 0) as number,
    creations: check('creations', (value) => isListOf(value, isCreation)) as Creation[],
    accepted: (optional('accepted', isCount) ?? 0) as number,
    acceptedDigest: optional('acceptedDigest', isDigest) as string | undefined,
    acceptedBy: (optional('acceptedBy', (value) => isListOf(value, isDeed)) ?? []) as Deed[],
    approvals: check('approvals', (value) => isListOf(value, isApproval)) as Approval[],
    followUps: check('followUps', (value) => isListOf(value, isFollowUpRecord)) as FollowUpRecord[],
  };
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;

function hasTexts(value: unknown, fields: readonly string[]): boolean {
  return isRecord(value) && fields.every((field) => isText(value[field]));
}

function isListOf(value: unknown, holds: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(holds);
}

function isRunKey(value: unknown): value is RunKey {
  return isRecord(value) && isText(value['plan']) && isDigest(value['selection']);
}

function isServer(value: unknown): boolean {
  return hasTexts(value, ['kind', 'database']) && isTextOrNone((value as Record<string, unknown>)['id']);
}

const isTextOrNone = (value: unknown): boolean => value === undefined || isText(value);

function isGate(value: unknown): boolean {
  return (
    isRecord(value) &&
    isCount(value['soakMs']) &&
    isCount(value['approvals']) &&
    isOneOf(value['approvalsBy'], [undefined, ...APPROVALS_BY]) &&
    isOneOf(value['acceptKept'], [undefined, true, false]) &&
    isFencing(value['fencing'] ?? 0)
  );
}

function isOneOf(value: unknown, allowed: readonly unknown[]): boolean {
  return allowed.includes(value);
}

export function isDeed(value: unknown): value is Deed {
  if (!hasTexts(value, ['user', 'host'])) return false;
  const { at, serverUser } = value as Partial<Record<keyof Deed, unknown>>;
  return isDate(at) && isTextOrNone(serverUser);
}

function isApproval(value: unknown): boolean {
  if (!isDeed(value)) return false;
  const { of } = value as Deed & { readonly of?: unknown };
  if (of === undefined) return true;
  if (!isRecord(of)) return false;
  const { accepted, server } = of as Partial<Record<keyof ApprovalScope, unknown>>;
  return (
    hasTexts(of, ['database', 'exceptions', 'commands']) &&
    isTextOrNone(accepted) &&
    (server === undefined || isServer(server))
  );
}

function isCreation(value: unknown): boolean {
  return hasTexts(value, ['into']) && typeof (value as Record<string, unknown>)['done'] === 'boolean';
}

function isFollowUpRecord(value: unknown): boolean {
  if (!hasTexts(value, ['name', 'attempt'])) return false;
  const { state, by, startedAt, aliveUntil, endedAt, detail, output, note } = value as Record<
    string,
    unknown
  >;
  return (
    isOneOf(state, FOLLOW_UP_STATES) &&
    hasTexts(by, ['user', 'host']) &&
    isDate(startedAt) &&
    [aliveUntil, endedAt].every((time) => time === undefined || isDate(time)) &&
    [detail, output, note].every(isTextOrNone)
  );
}

const COUNTS = ['selected', 'inserted', 'identical', 'replaced', 'kept', 'conflict', 'refused'] as const;
/** Counts that a record may lack. */
const LATER_COUNTS = { heldBack: 0, excepted: 0, doubtful: 0 } as const;

function isRunCollection(value: unknown): boolean {
  return (
    hasTexts(value, ['collection', 'into']) &&
    COUNTS.every((count) => isCount((value as Record<string, unknown>)[count])) &&
    [...Object.keys(LATER_COUNTS), 'discarded'].every((count) =>
      isCount((value as Record<string, unknown>)[count] ?? 0),
    )
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
