/** Checked plans as `readPlan` would give them, in short. */
import { createHash } from 'node:crypto';
import { type Document, EJSON, serialize } from 'bson';
import type { CollectionPlan, DependentPlan, Plan, PlanException } from '../../src/plan/plan.ts';

export interface DependentSketch {
  readonly collection: string;
  readonly foreignKey: string;
  readonly localKey?: string;
  readonly query?: Document;
  readonly into?: string;
  readonly orphans?: DependentPlan['orphans'];
  readonly exceptions?: readonly PlanException[];
  readonly dependents?: readonly DependentSketch[];
}

export interface RootSketch {
  readonly collection: string;
  readonly query: Document;
  readonly into?: string;
  readonly exceptions?: readonly PlanException[];
  readonly dependents?: readonly DependentSketch[];
}

export function planOf(...roots: readonly RootSketch[]): Plan {
  const digest = createHash('sha256')
    .update(EJSON.stringify(roots, { relaxed: false }))
    .digest('hex');
  return {
    name: 'test',
    reason: undefined,
    file: '/plans/test.yaml',
    files: [],
    source: {
      at: undefined,
      database: 'gravity',
      maxAgeMs: undefined,
      integrity: 'whole',
      maxDecompressionRatio: undefined,
      location: { kind: 'path', path: '/backups/db.tar', timezone: undefined },
    },
    collections: roots.map((root, i) => rootPlan(root, `test.yaml:${i + 1}:1`)),
    targets: { staging: { uri: undefined, database: 'gravity', gate: { soakMs: 0, approvals: 0 } } },
    followUps: [],
    mask: [],
    report: { documents: 'whole' },
    digest,
    selectsDigest: digest,
    unsetVariables: [],
  };
}

function rootPlan(root: RootSketch, where: string): CollectionPlan {
  return { ...common(root, where), query: Buffer.from(serialize(root.query)) };
}

function dependentPlan(dependent: DependentSketch, where: string): DependentPlan {
  return {
    ...common(dependent, where),
    foreignKey: dependent.foreignKey,
    localKey: dependent.localKey ?? '_id',
    query: dependent.query === undefined ? undefined : Buffer.from(serialize(dependent.query)),
    orphans: dependent.orphans ?? 'holdBack',
  };
}

function common(
  { collection, into = collection, exceptions = [], dependents = [] }: Omit<DependentSketch, 'foreignKey'>,
  where: string,
) {
  return {
    collection,
    into,
    whenMatched: 'keepExisting' as const,
    updatedAt: undefined,
    softDelete: undefined,
    references: [],
    skipIndexes: [],
    exceptions,
    dependents: dependents.map((each, i) => dependentPlan(each, `${where}.${i + 1}`)),
    where,
  };
}
