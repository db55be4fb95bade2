/** One document of `restore_plan.runs`: what was done with one selection in this database. Checked on reading. */
import { deserialize } from 'bson';
import type { TargetName } from '../events.ts';
import { RUNS } from './layout.ts';
import { damaged, requireKnownFormat } from './ledger-fault.ts';

/**
 * applying: documents may be in, the run is going on or was cut off · applied: all are in, not yet read back · verified: read
 * back, bytes equal · incomplete: stopped, or some documents could not be inserted · reverting, reverted: taken out again.
 */
const RUN_STATUSES = ['applying', 'applied', 'verified', 'incomplete', 'reverting', 'reverted'] as const;
export type RunStatus = (typeof RUN_STATUSES)[number];

/** A person at a machine. */
export interface Actor {
  readonly user: string;
  readonly host: string;
}

export interface Deed extends Actor {
  readonly at: Date;
}

/** Documents of the selection by what has become of them in this target, over all runs so far. */
export interface RunCounts {
  readonly inserted: number;
  readonly identical: number;
  readonly replaced: number;
  readonly kept: number;
  readonly conflict: number;
  readonly refused: number;
}

export interface RunCollection extends RunCounts {
  readonly collection: string;
  readonly into: string;
  readonly selected: number;
}

/** `into` is the name in the target. Not done: the collection may be missing, or may lack indexes. */
export interface Creation {
  readonly into: string;
  readonly done: boolean;
}

export interface RunRecord {
  /** Selection digest. */
  readonly digest: string;
  readonly target: TargetName;
  readonly toolVersion: string;
  readonly plan: { readonly name: string; readonly digest: string };
  readonly backup: { readonly location: string; readonly kind: string; readonly fingerprint: string };
  readonly status: RunStatus;
  /** Fencing number of the lock under which the record was last written. */
  readonly fencing: number;
  /** Everybody who ran apply on it, first to last. */
  readonly appliedBy: readonly Deed[];
  readonly startedAt: Date;
  readonly updatedAt: Date;
  readonly verifiedAt: Date | undefined;
  readonly collections: readonly RunCollection[];
  /** Collections that this tool created here for this selection. */
  readonly creations: readonly Creation[];
  readonly approvals: readonly Deed[];
  /** Loose ends; their shape belongs to follow-ups. */
  readonly followUps: readonly unknown[];
}

/** Throws RestorePlanError TARGET for a record that is newer than this version or damaged. */
export function readRunRecord(raw: Buffer): RunRecord {
  const document = deserialize(raw) as Record<string, unknown>;
  requireKnownFormat(RUNS, document);
  const check = (field: string, holds: (value: unknown) => boolean): unknown => {
    if (!holds(document[field])) throw damaged(RUNS, document, field);
    return document[field];
  };
  return {
    digest: check('_id', isDigest) as string,
    target: check('target', (value) => value === 'staging' || value === 'production') as TargetName,
    toolVersion: check('toolVersion', isText) as string,
    plan: check('plan', (value) => hasTexts(value, ['name', 'digest'])) as RunRecord['plan'],
    backup: check('backup', (value) =>
      hasTexts(value, ['location', 'kind', 'fingerprint']),
    ) as RunRecord['backup'],
    status: check('status', (value) => RUN_STATUSES.some((status) => status === value)) as RunStatus,
    fencing: check('fencing', isCount) as number,
    appliedBy: check('appliedBy', (value) => isListOf(value, isDeed)) as Deed[],
    startedAt: check('startedAt', isDate) as Date,
    updatedAt: check('updatedAt', isDate) as Date,
    verifiedAt: check('verifiedAt', (value) => value === undefined || isDate(value)) as Date | undefined,
    collections: check('collections', (value) => isListOf(value, isRunCollection)) as RunCollection[],
    creations: check('creations', (value) => isListOf(value, isCreation)) as Creation[],
    approvals: check('approvals', (value) => isListOf(value, isDeed)) as Deed[],
    followUps: check('followUps', Array.isArray) as unknown[],
  };
}

const isText = (value: unknown): boolean => typeof value === 'string';
const isDigest = (value: unknown): boolean => typeof value === 'string' && /^[0-9a-f]{64}$/.test(value);
const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) >= 0;
const isDate = (value: unknown): boolean => value instanceof Date && !Number.isNaN(value.getTime());

function hasTexts(value: unknown, fields: readonly string[]): boolean {
  return isRecord(value) && fields.every((field) => isText(value[field]));
}

function isListOf(value: unknown, holds: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(holds);
}

function isDeed(value: unknown): boolean {
  return hasTexts(value, ['user', 'host']) && isDate((value as Record<string, unknown>)['at']);
}

function isCreation(value: unknown): boolean {
  return hasTexts(value, ['into']) && typeof (value as Record<string, unknown>)['done'] === 'boolean';
}

const COUNTS = ['selected', 'inserted', 'identical', 'replaced', 'kept', 'conflict', 'refused'] as const;

function isRunCollection(value: unknown): boolean {
  return (
    hasTexts(value, ['collection', 'into']) &&
    COUNTS.every((count) => isCount((value as Record<string, unknown>)[count]))
  );
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
