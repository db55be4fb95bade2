/** The raw query `{_id: {$in: [...]}}`, built without decoding a value. */
import type { DocumentRun } from '../bson/document-run.ts';
import { BSON } from '../bson/types.ts';

const HEAD = Buffer.concat([
  Buffer.from([0, 0, 0, 0, BSON.OBJECT]),
  Buffer.from('_id\0'),
  Buffer.from([0, 0, 0, 0, BSON.ARRAY]),
  Buffer.from('$in\0'),
]);
const INNER_START = 9;
const ARRAY_START = HEAD.length;

/** Cost: one short copy per document; no object is made. */
export function idFilter(run: DocumentRun, positions: readonly number[]): Buffer {
  let size = ARRAY_START + 4 + 3;
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] as number;
    size += 2 + digits(i) + run.idEnd(position) - run.idStart(position);
  }
  const filter = Buffer.alloc(size);
  HEAD.copy(filter);
  let at = ARRAY_START + 4;
  for (let i = 0; i < positions.length; i++) {
    const position = positions[i] as number;
    filter[at++] = run.idType(position);
    at += filter.write(String(i), at, 'latin1') + 1;
    at += run.bytes.copy(filter, at, run.idStart(position), run.idEnd(position));
  }
  // Three terminators, of the array, the inner and the outer document, are already zero.
  filter.writeInt32LE(size, 0);
  filter.writeInt32LE(size - INNER_START - 1, INNER_START);
  filter.writeInt32LE(size - ARRAY_START - 2, ARRAY_START);
  return filter;
}

function digits(index: number): number {
  return index < 10 ? 1 : index < 100 ? 2 : index < 1_000 ? 3 : index < 10_000 ? 4 : String(index).length;
}
