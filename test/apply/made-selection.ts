/** Selections made by code, in the layout of `src/selection/`, and the plans and targets that go with them. */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MergeRules, Plan, TargetPlan, WhenMatched } from '../../src/plan/plan.ts';
import { Secret } from '../../src/secret.ts';
import { type SelectedCollection, type Selection, selectionDigest } from '../../src/selection/selection.ts';
import { VERSION } from '../../src/version.ts';

export interface MadeCollection {
  readonly collection: string;
  readonly documents: readonly Buffer[];
  readonly into?: string;
  readonly whenMatched?: WhenMatched;
  /** With `whenMatched: merge`. */
  readonly merge?: MergeRules;
  /** Text of the `.metadata.json`. */
  readonly metadata?: string;
}

const PLAN_DIGEST = 'a'.repeat(64);

export function madeSelection(directory: string, collections: readonly MadeCollection[]): Selection {
  const database = 'gravity';
  mkdirSync(join(directory, database), { recursive: true });
  const selected = collections.map(({ collection, documents, ...more }): SelectedCollection => {
    const bytes = Buffer.concat(documents);
    writeFileSync(join(directory, database, `${collection}.bson`), bytes);
    const metadataFile = `${collection}.metadata.json`;
    if (more.metadata !== undefined) writeFileSync(join(directory, database, metadataFile), more.metadata);
    return {
      collection,
      into: more.into ?? collection,
      whenMatched: more.whenMatched ?? 'keepExisting',
      ...(more.merge && { merge: more.merge }),
      scanned: documents.length,
      count: documents.length,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      file: `${collection}.bson`,
      metadataFile: more.metadata === undefined ? undefined : metadataFile,
    };
  });
  const selection: Selection = {
    directory,
    manifest: {
      format: 1,
      toolVersion: VERSION,
      planName: 'made-by-test',
      planDigest: PLAN_DIGEST,
      backup: {
        location: directory,
        kind: 'dump directory',
        time: undefined,
        localTime: undefined,
        modified: undefined,
        size: undefined,
        fingerprint: 'made by a test',
      },
      database,
      digest: selectionDigest(selected),
      collections: selected,
      members: [],
      readToEnd: true,
      warnings: [],
    },
  };
  writeFileSync(join(directory, 'manifest.json'), JSON.stringify(selection.manifest));
  return selection;
}

export interface MadePlanOptions {
  readonly stagingUri: string;
  readonly productionUri: string;
  readonly database: string;
  readonly productionDatabase?: string;
  readonly gate?: Partial<TargetPlan['gate']>;
}

/** The plan of every made selection; what it selects is not looked at by apply. */
export function madePlan(options: MadePlanOptions): Plan {
  const gate = { soakMs: 0, approvals: 0 };
  return {
    name: 'made-by-test',
    reason: undefined,
    file: '/plans/made-by-test.yaml',
    files: [],
    source: {
      at: undefined,
      database: 'gravity',
      maxAgeMs: undefined,
      integrity: 'whole',
      maxDecompressionRatio: undefined,
      location: { kind: 'path', path: '/backups', timezone: undefined },
    },
    collections: [],
    targets: {
      staging: { uri: new Secret(options.stagingUri), database: options.database, gate },
      production: {
        uri: new Secret(options.productionUri),
        database: options.productionDatabase ?? options.database,
        gate: { ...gate, ...options.gate },
      },
    },
    followUps: [],
    mask: [],
    report: { documents: 'whole' },
    digest: PLAN_DIGEST,
    selectsDigest: PLAN_DIGEST,
    unsetVariables: [],
  };
}
