/**
 * What the report writers are fed: a plan, the manifest of its selection, comparisons with two targets, as plain data.
 * `bigReview` makes as many documents as wanted.
 */
import { writeExtendedJson } from '../../src/bson/write-extended-json.ts';
import type { ComparedCollection, ComparedDocument } from '../../src/comparison/comparison.ts';
import { ATTENTION_ORDER } from '../../src/outcomes.ts';
import type { DependentPlan, Plan } from '../../src/plan/plan.ts';
import type { ClassCounts } from '../../src/report/document-classes.ts';
import type { ReportInput } from '../../src/report/report-model.ts';
import type { SelectionManifest } from '../../src/selection/selection.ts';
import { type Random, seededRandom } from '../lab/random.ts';

const HEX = '5b0c1d2e3f405162738495a6b7c8d9ea';
export const SELECTION_DIGEST = `${HEX}${HEX}`;

const shared = (collection: string): Omit<DependentPlan, 'foreignKey' | 'localKey' | 'query'> => ({
  collection,
  into: collection,
  whenMatched: 'keepExisting',
  updatedAt: undefined,
  softDelete: undefined,
  references: [],
  skipIndexes: [],
  exceptions: [],
  orphans: 'holdBack',
  dependents: [],
  where: 'plans/partner.yaml:12:5',
});

export const PLAN: Plan = {
  name: 'partner-57d17993',
  reason: 'Partner 57d17993 was destroyed by a support script on 2016-09-13; incident 4711.',
  file: '/plans/partner.yaml',
  files: [],
  source: {
    at: { epochMs: Date.parse('2016-09-13T13:00:00Z'), text: '2016-09-13T09:00:00-04:00' },
    database: 'gravity',
    maxAgeMs: undefined,
    integrity: 'whole',
    maxDecompressionRatio: undefined,
    location: { kind: 'path', path: '/backups/db.tar', timezone: undefined },
  },
  collections: [
    {
      ...shared('partners'),
      query: writeExtendedJson(new Map()),
      dependents: [
        {
          ...shared('artworks'),
          ...{ foreignKey: 'partner_id', localKey: '_id', query: undefined },
          dependents: [
            {
              ...shared('sale_artworks'),
              ...{ foreignKey: 'artwork_id', localKey: '_id', query: undefined },
              references: [{ field: 'sale_id', collection: 'sales' }],
            },
          ],
        },
      ],
    },
  ],
  targets: {
    staging: { uri: undefined, database: 'gravity-staging', gate: { soakMs: 0, approvals: 0 } },
    production: { uri: undefined, database: 'gravity', gate: { soakMs: 0, approvals: 0 } },
  },
  followUps: [
    {
      ...{ name: 'Tell the partner', on: 'production', when: 'inserted', needs: [] },
      action: { kind: 'manual', text: 'Mail the partner manager; template "data-restored".' },
    },
  ],
  mask: [],
  report: { documents: 'whole' },
  digest: SELECTION_DIGEST,
  selectsDigest: SELECTION_DIGEST,
  unsetVariables: [],
};

export function manifestOf(counts: Readonly<Record<string, number>>): SelectionManifest {
  return {
    ...{ format: 1, toolVersion: '0.1.0', planName: PLAN.name, planDigest: PLAN.digest },
    backup: {
      location: 's3://gravity-backups/db/backup/2016.09.13.08.00.00/db.tar',
      kind: 'tar',
      time: Date.parse('2016-09-13T12:00:00Z'),
      localTime: '2016-09-13 08:00:00 America/New_York',
      modified: Date.parse('2016-09-13T12:21:07Z'),
      size: 1_112_000_000,
      fingerprint: 'etag 9b2cf535f27731c974343645a3985328, 1112000000 bytes',
    },
    database: 'gravity',
    digest: SELECTION_DIGEST,
    collections: Object.entries(counts).map(([collection, count]) => ({
      ...{ collection, into: collection, whenMatched: 'keepExisting', scanned: count * 50, count },
      ...{
        bytes: count * 700,
        sha256: SELECTION_DIGEST,
        file: `${collection}.bson`,
        metadataFile: undefined,
      },
    })),
    members: [],
    readToEnd: false,
    warnings: [],
  };
}

export function countsOf(documents: readonly ComparedDocument[]): ClassCounts {
  const count = (each: string): number => documents.filter((document) => document.class === each).length;
  return Object.fromEntries(ATTENTION_ORDER.map((each) => [each, count(each)])) as unknown as ClassCounts;
}

export function collectionOf(
  collection: string,
  documents: readonly ComparedDocument[],
  more: Partial<ComparedCollection> = {},
): ComparedCollection {
  return {
    ...{ collection, into: collection, whenMatched: 'keepExisting', selected: documents.length },
    counts: countsOf(documents),
    ...{ danglingReferences: 0, wouldCreate: undefined, dangling: [], warnings: [] },
    documents: ATTENTION_ORDER.flatMap((each) => documents.filter((document) => document.class === each)),
    ...more,
  };
}

export function compared(more: Partial<ComparedDocument> = {}): ComparedDocument {
  const document = comparedText(more);
  const side = (text: string) => ({ text, exact: true, leftOut: 0 });
  const { backup, target } = document;
  return {
    ...document,
    canonical: { backup: side(backup), target: target === undefined ? undefined : side(target) },
    ...more,
  };
}

function comparedText(more: Partial<ComparedDocument>): ComparedDocument {
  return {
    ...{ class: 'insert', id: '{"$oid":"57d17993a09a6759d8000d9e"}', reason: '', differences: [] },
    ...{ backup: '{"_id":{"$oid":"57d17993a09a6759d8000d9e"},"name":"A"}', target: undefined, index: 0 },
    ...more,
  };
}

/** A small review in which every class occurs. */
export function smallReview(more: Partial<ReportInput> = {}): ReportInput {
  const random = seededRandom(7);
  const artworks = Array.from({ length: 40 }, (_, index) => artworkOf(random, index));
  const lots = Array.from({ length: 12 }, (_, index) => lotOf(random, index));
  const lotsOfProduction = collectionOf('sale_artworks', lots, {
    danglingReferences: 1,
    dangling: [
      {
        ...{ id: lots[0]?.id ?? '', field: 'sale_id', collection: 'sales' },
        missing: '{"$oid":"57c0ffee0000000000000001"}',
      },
    ],
  });
  const partner = compared();
  return {
    plan: PLAN,
    manifest: manifestOf({ partners: 1, artworks: artworks.length, sale_artworks: lots.length }),
    comparisons: [
      {
        ...{
          target: 'staging',
          database: 'gravity-staging',
          server: 'replica set rs-staging, MongoDB 8.2.0',
        },
        collections: [
          collectionOf('partners', [partner]),
          collectionOf('artworks', artworks.map(asInsert)),
          collectionOf('sale_artworks', lots.map(asInsert), { wouldCreate: { indexes: 3 } }),
        ],
      },
      {
        ...{ target: 'production', database: 'gravity', server: 'replica set rs-production, MongoDB 8.2.0' },
        collections: [
          collectionOf('partners', [partner]),
          collectionOf('artworks', artworks),
          lotsOfProduction,
        ],
      },
    ],
    notCompared: [],
    toolVersion: '0.1.0',
    writtenAt: Date.parse('2016-09-13T16:42:00Z'),
    ...more,
  };
}

/** `documents` artworks in production, in the mixture of an accident that was partly repaired by hand. */
export function bigReview(documents: number): ReportInput {
  const random = seededRandom(11);
  const artworks = Array.from({ length: documents }, (_, index) => artworkOf(random, index));
  return {
    ...smallReview(),
    manifest: manifestOf({ artworks: documents }),
    comparisons: [
      {
        ...{ target: 'production', database: 'gravity', server: 'replica set rs-production, MongoDB 8.2.0' },
        collections: [collectionOf('artworks', artworks)],
      },
    ],
  };
}

function asInsert(document: ComparedDocument): ComparedDocument {
  return { ...document, class: 'insert', reason: '', differences: [], target: undefined };
}

const WORDS = 'light shadow river harbour winter garden figure study blue yellow silence Łódź 東京'.split(
  ' ',
);

function artworkOf(random: Random, index: number): ComparedDocument {
  const id = `57d17993${index.toString(16).padStart(16, '0')}`;
  const title = Array.from({ length: 3 }, () => random.pick(WORDS)).join(' ');
  const text = (price: number, medium: string): string =>
    JSON.stringify({
      _id: { $oid: id },
      partner_id: { $oid: '57d17993a09a6759d8000d9e' },
      title,
      slug: `${title.replaceAll(' ', '-')}-${index}`,
      medium,
      dimensions: { height: 40 + (index % 90), width: 60 + (index % 70), unit: 'cm' },
      price: { amount: price, currency: 'EUR' },
      images: [
        { file: `${id}-1.jpg`, width: 2400, height: 1600 },
        { file: `${id}-2.jpg`, width: 1200, height: 800 },
      ],
      published: index % 3 === 0,
      updated_at: { $date: '2016-09-12T10:15:00Z' },
    });
  const backup = text(1200 + index, 'Oil on canvas');
  const base = { id: `{"$oid":"${id}"}`, backup, index };
  switch (index % 16) {
    case 1:
    case 2:
      return compared({ ...base, class: 'identical', target: backup });
    case 3:
      return compared({
        ...{ ...base, class: 'different', target: text(900, 'Oil on linen') },
        differences: [
          difference('medium', '"Oil on canvas"', '"Oil on linen"'),
          {
            ...difference('price.amount', String(1200 + index), '900.0'),
            backupType: 'int',
            targetType: 'double',
          },
        ],
      });
    case 5:
      return compared({
        ...{ ...base, class: 'conflict' },
        reason: 'unique index slug_1 { slug: 1 }: its key is held by _id {"$oid":"57d2aa00a09a6759d8000001"}',
      });
    case 7:
      return compared({
        ...{ ...base, class: 'stale', target: text(1500, 'Oil on canvas') },
        reason:
          'updated_at is newer in the target: 2016-09-13T11:00:00Z there, 2016-09-12T10:15:00Z in the backup',
        differences: [difference('price.amount', String(1200 + index), '1500')],
      });
    case 9:
      return compared({
        ...{ ...base, class: 'softDeleted', target: `${backup.slice(0, -1)},"deleted":true}` },
        reason: 'the target has it, marked as deleted',
        differences: [difference('deleted', undefined, 'true')],
      });
    case 11:
      return compared({
        ...{ ...base, class: 'refused' },
        reason:
          'the validator of gravity.artworks does not accept it: "medium" is not one of the allowed values',
      });
    default:
      return compared(base);
  }
}

function lotOf(random: Random, index: number): ComparedDocument {
  const id = `57d1aaaa${index.toString(16).padStart(16, '0')}`;
  const lot = { _id: { $oid: id }, lot_number: index + 1, estimate: random.integer(100, 9000) };
  return compared({ id: `{"$oid":"${id}"}`, backup: JSON.stringify(lot), index });
}

function difference(
  path: string,
  backup: string | undefined,
  target: string | undefined,
): ComparedDocument['differences'][number] {
  return { path, backup, target, backupType: undefined, targetType: undefined };
}
