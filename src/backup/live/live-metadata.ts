/** Describes the collections of a live database as mongodump would: the same text in the same form. */
import type { Db } from 'mongodb';
import { findElement } from '../../bson/elements.ts';
import { showDocument, showText, showValue } from '../../bson/show.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { asBuffer } from '../../mongo/raw-messages.ts';
import type { CollectionMetadata } from '../backup.ts';

export interface LiveCollection {
  readonly name: string;
  readonly type: CollectionMetadata['type'];
  /** The server's own description, raw. */
  readonly raw: Buffer;
}

/** Everything that is not internal to the server. */
export async function listCollections(db: Db): Promise<LiveCollection[]> {
  const listed = await db.listCollections({}, { raw: true } as object).toArray();
  const collections = (listed as unknown[]).map((document): LiveCollection => {
    const raw = asBuffer(document);
    const type = textOf(field(raw, 'type'));
    return {
      name: textOf(field(raw, 'name')),
      type: type === 'view' || type === 'timeseries' ? type : 'collection',
      raw,
    };
  });
  return collections.filter(({ name }) => !name.startsWith('system.'));
}

export async function describe(db: Db, { name, type, raw }: LiveCollection): Promise<CollectionMetadata> {
  const indexes =
    type === 'view'
      ? []
      : await db
          .collection(name)
          .listIndexes({ raw: true } as object)
          .toArray();
  const options = field(raw, 'options');
  const info = field(raw, 'info');
  const uuid = info && findElement(info.bytes, info.start, Buffer.from('uuid'));
  const parts = [
    ...(options === undefined || options.end - options.start <= 5 ? [] : [`"options":${showValue(options)}`]),
    `"indexes":[${(indexes as unknown[]).map((index) => showDocument(asBuffer(index))).join(',')}]`,
    ...(uuid?.type === BSON.BINARY
      ? [`"uuid":"${uuid.bytes.toString('hex', uuid.start + 5, uuid.end)}"`]
      : []),
    `"collectionName":${showText(name)}`,
    `"type":"${type}"`,
  ];
  return { collection: name, text: `{${parts.join(',')}}`, type };
}

function field(document: Buffer, key: string): RawValue | undefined {
  return findElement(document, 0, Buffer.from(key));
}

function textOf(value: RawValue | undefined): string {
  return value?.type === BSON.STRING ? value.bytes.toString('utf8', value.start + 4, value.end - 1) : '';
}
