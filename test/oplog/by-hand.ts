/** Oplog entries written by hand, for forms that a server of today does not write or that would take a cluster. */
import { Binary, type Document, Long, serialize, Timestamp } from 'bson';
import { findId } from '../../src/bson/documents.ts';
import type { RawValue } from '../../src/bson/types.ts';
import { Replay, type ReplayResult, type ReplayScope } from '../../src/oplog/replay.ts';

export const UUID = '0123456789abcdef0123456789abcdef';
export const OTHER_UUID = 'ffffffffffffffffffffffffffffffff';
export const WALL = Date.UTC(2026, 10, 22, 8, 0, 0);
export const SECONDS = WALL / 1000;

export const uuid = (hex: string): Binary => new Binary(Buffer.from(hex, 'hex'), Binary.SUBTYPE_UUID);

/** An entry `ordinal` places and seconds after `SECONDS`. */
export function entry(ordinal: number, fields: Document): Buffer {
  return Buffer.from(
    serialize({
      ts: new Timestamp({ t: SECONDS + ordinal, i: 1 }),
      t: Long.fromNumber(1),
      v: Long.fromNumber(2),
      wall: new Date(WALL + ordinal * 1000),
      ...fields,
    }),
  );
}

/** An operation on the collection `shop.a`. */
export const on = (op: string, o: Document, more: Document = {}): Document => ({
  op,
  ns: 'shop.a',
  ui: uuid(UUID),
  o,
  ...more,
});

export function replayOf(entries: readonly Buffer[], scope: Partial<ReplayScope> = {}): ReplayResult {
  const replay = new Replay({
    collections: [{ collection: 'a', namespace: 'shop.a', uuid: UUID }],
    begin: undefined,
    cut: 'end',
    spillPath: '/nowhere/',
    ...scope,
  });
  for (const each of entries) if (!replay.entry(each, 0)) break;
  return replay.finish();
}

/** What the entries make of the documents of a backup: all documents, those that were inserted last. */
export function rolled(result: ReplayResult, base: readonly Document[] | readonly Buffer[]): Buffer[] {
  const documents: Buffer[] = [];
  const [touched] = result.touched;
  const take = (bytes: Buffer, start: number, end: number): void => {
    documents.push(Buffer.from(bytes.subarray(start, end)));
  };
  for (const each of base) {
    const document = Buffer.isBuffer(each) ? each : Buffer.from(serialize(each, { ignoreUndefined: false }));
    const number = touched?.find(findId(document) as RawValue) ?? -1;
    if (number < 0) take(document, 0, document.length);
    else touched?.roll(number, document, 0, take);
  }
  for (const number of touched?.notInBackup() ?? []) touched?.roll(number, undefined, 0, take);
  return documents;
}
