/** Sets the stage for comparisons: a selection made of given documents, and the reader of a real target. */

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serialize } from 'bson';
import type { Document } from 'mongodb';
import { compareWithTarget } from '../../src/comparison/compare-with-target.ts';
import type { ComparedCollection, ComparedDocument } from '../../src/comparison/comparison.ts';
import type { RunEvent } from '../../src/events.ts';
import type { CollectionPlan, Plan } from '../../src/plan/plan.ts';
import { Secret } from '../../src/secret.ts';
import type { SelectedCollection, Selection } from '../../src/selection/selection.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { temporaryFolder } from '../lab/guard.ts';
import { QUIET } from '../quiet-run.ts';

export const EVERYTHING = Buffer.from(serialize({}));

/** One collection of the selection: its documents (raw ones as Buffers) and what the plan says about it. */
export interface Selected {
  readonly documents: readonly (Document | Buffer)[];
  readonly settings?: Partial<CollectionPlan>;
  /** Text of its metadata file. */
  readonly metadata?: string;
}

export interface Stage {
  readonly uri: string;
  readonly database: string;
  readonly collections: Readonly<Record<string, Selected>>;
  readonly show?: number;
  readonly mask?: readonly string[];
  readonly each?: (document: ComparedDocument) => void;
}

export interface Compared {
  readonly collections: readonly ComparedCollection[];
  readonly events: readonly RunEvent[];
  /** The only collection. */
  readonly first: ComparedCollection;
}

/** Compares the given documents with a database of a real server. */
export async function compare(stage: Stage): Promise<Compared> {
  const folder = temporaryFolder('comparison');
  const plan = planOf(stage);
  const target = await connectTarget(QUIET, 'staging', plan.targets.staging, { patienceMs: 5_000 });
  const events: RunEvent[] = [];
  try {
    const { collections } = await compareWithTarget(
      { ...QUIET, emit: (event) => events.push(event) },
      {
        plan,
        selection: writeSelection(folder.path, stage),
        reader: target.reader,
        show: stage.show ?? 10,
        ...(stage.each && { each: (_collection, document) => stage.each?.(document) }),
      },
    );
    return { collections, events, first: collections[0] as ComparedCollection };
  } finally {
    await target.close();
    folder.remove();
  }
}

export function toBytes(document: Document | Buffer): Buffer {
  return Buffer.isBuffer(document) ? document : Buffer.from(serialize(document, { ignoreUndefined: false }));
}

function planOf({ uri, database, collections, mask }: Stage): Plan {
  return {
    name: 'test',
    reason: undefined,
    file: '/plan.yaml',
    files: [],
    source: {
      at: undefined,
      database: 'backup',
      maxAgeMs: undefined,
      integrity: 'whole',
      maxDecompressionRatio: undefined,
      location: { kind: 'path', path: '/dump', timezone: undefined },
    },
    collections: Object.entries(collections).map(([collection, { settings }]) => ({
      collection,
      into: collection,
      whenMatched: 'keepExisting',
      updatedAt: undefined,
      softDelete: undefined,
      references: [],
      skipIndexes: [],
      exceptions: [],
      dependents: [],
      where: 'plan.yaml:1:1',
      query: EVERYTHING,
      ...settings,
    })),
    targets: { staging: { uri: new Secret(uri), database, gate: { soakMs: 0, approvals: 0 } } },
    followUps: [],
    mask: mask ?? [],
    report: { documents: 'whole' },
    digest: 'plan',
    selectsDigest: 'plan',
    unsetVariables: [],
  };
}

function writeSelection(directory: string, { collections }: Stage): Selection {
  mkdirSync(join(directory, 'backup'));
  const selected = Object.entries(collections).map(
    ([collection, { documents, settings, metadata }]): SelectedCollection => {
      const bytes = Buffer.concat(documents.map(toBytes));
      writeFileSync(join(directory, 'backup', `${collection}.bson`), bytes);
      if (metadata !== undefined)
        writeFileSync(join(directory, 'backup', `${collection}.metadata.json`), metadata);
      return {
        collection,
        into: settings?.into ?? collection,
        whenMatched: settings?.whenMatched ?? 'keepExisting',
        scanned: documents.length,
        count: documents.length,
        bytes: bytes.length,
        sha256: '',
        file: `${collection}.bson`,
        metadataFile: metadata === undefined ? undefined : `${collection}.metadata.json`,
      };
    },
  );
  return {
    directory,
    manifest: {
      format: 1,
      toolVersion: '0',
      planName: 'test',
      planDigest: 'plan',
      backup: {
        location: '/dump',
        kind: 'dump directory',
        time: undefined,
        localTime: undefined,
        modified: undefined,
        size: undefined,
        fingerprint: 'f',
      },
      database: 'backup',
      digest: 'd',
      collections: selected,
      members: [],
      readToEnd: true,
      warnings: [],
    },
  };
}
