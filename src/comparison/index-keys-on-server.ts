/** Lets the target server make the keys that documents would have in an index, without storing them. */
import { elements, findElement, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import type { CommandFailure } from '../target/command-failure.ts';
import { numberIn } from '../target/describe-collection.ts';
import type { TargetIndex, TargetReader } from '../target/target.ts';
import { documentsStage } from './ask-server.ts';
import type { Candidate } from './candidate.ts';
import { documentOf, embed, putDocument, putValue, wrapped } from './query-documents.ts';

/**
 * Throws CommandFailure with the code that an insert would end with where the server can make no keys of one of the documents, or
 * takes no such index. A partial filter is not looked at. Needs MongoDB 6.3 (`$_internalIndexKey`).
 */
export async function keysOnServer(
  reader: TargetReader,
  index: TargetIndex,
  candidates: readonly Candidate[],
): Promise<void> {
  // Counted, so that no key has to be sent back.
  const count = documentOf((builder) => {
    builder.element(BSON.NULL, '_id');
    builder.element(BSON.OBJECT, 'keys');
    embed(builder, () => {
      builder.element(BSON.OBJECT, '$sum');
      embed(builder, () => {
        builder.element(BSON.OBJECT, '$size');
        embed(builder, () => {
          builder.element(BSON.OBJECT, '$_internalIndexKey');
          embed(builder, () => {
            builder.element(BSON.STRING, 'doc');
            builder.string('$$ROOT');
            putDocument(builder, 'spec', askable(index));
          });
        });
      });
    });
  });
  await reader.aggregate(1, [documentsStage(candidates), wrapped('$group', count)]);
}

/** The server made the keys of a compound wildcard index, which it takes, and failed at showing them. */
const NOT_SHOWN = 13111;

/** Whether a failure says nothing against the document: its keys were made. */
export function wereKeysMade({ serverCode }: CommandFailure): boolean {
  return serverCode === NOT_SHOWN;
}

/**
 * The specification as this question takes it. Keys are made in ascending order alone; which document has a key does not depend on
 * it. What `createIndexes` adds must be there: a 2dsphere index without its version would be taken for one of version 1, which
 * objects to null.
 */
function askable({ raw, key }: TargetIndex): Buffer {
  return documentOf((builder) => {
    if (key.some(([, kind]) => kind === '2dsphere') && findElement(raw, 0, SPHERE_VERSION) === undefined) {
      builder.element(BSON.INT32, SPHERE_VERSION.toString());
      builder.int32(NEWEST_SPHERE);
    }
    for (const field of elements(raw)) {
      if (keyOf(field) !== 'key' || field.type !== BSON.OBJECT) {
        putValue(builder, keyOf(field), field);
        continue;
      }
      builder.element(BSON.OBJECT, 'key');
      embed(builder, () => {
        for (const part of elements(field.bytes, field.start)) {
          if (!isDescending(part)) putValue(builder, keyOf(part), part);
          else {
            builder.element(BSON.INT32, keyOf(part));
            builder.int32(1);
          }
        }
      });
    }
  });
}

const SPHERE_VERSION = Buffer.from('2dsphereIndexVersion');
/** What servers from 3.2 to 8.2 make. */
const NEWEST_SPHERE = 3;

function isDescending(part: RawElement): boolean {
  return (numberIn(part) ?? 0) < 0;
}
