/** Why an index cannot hold a document, by the server's code: its own words quote the document. As seen on mongod 8.2. */

import { findElement } from '../bson/elements.ts';
import { BSON } from '../bson/types.ts';
import type { TargetIndex } from '../target/target.ts';
import { indexCollation, indexText } from './unique-keys.ts';

interface Cause {
  readonly text: string;
  /** The kinds of index that the code comes from. */
  readonly concerns: (index: TargetIndex) => boolean;
}

const hasKind = (kind: string) => (index: TargetIndex) => index.key.some(([, each]) => each === kind);
const isCompound = (index: TargetIndex): boolean => index.key.length > 1;

const NOT_A_PLACE = 'what it has there is not a GeoJSON object or pair of coordinates that the index takes';
const NOT_A_PAIR = 'what it has there is not a pair of coordinates within the bounds of the index';

const CAUSES: Readonly<Record<number, Cause>> = {
  171: { text: 'two of its fields are arrays that do not lie in one', concerns: isCompound },
  201: {
    text: 'the server can make no key of it',
    concerns: (index) => hasKind('text')(index) || isCollated(index),
  },
  12: { text: 'it is of version 1, which takes no Decimal128', concerns: isOfVersion1 },
  13026: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13027: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13067: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  13068: { text: NOT_A_PAIR, concerns: hasKind('2d') },
  16746: {
    text: 'a number in the path is both a position in an array and a name in it',
    concerns: hasNumber,
  },
  16755: { text: NOT_A_PLACE, concerns: hasKind('2dsphere') },
  16766: { text: 'what it has there is, or lies in, an array', concerns: hasKind('hashed') },
  17261: { text: 'the field that names its language is not text', concerns: hasKind('text') },
  17262: { text: 'its language is none that the server knows', concerns: hasKind('text') },
  7246301: { text: 'a field beside the wildcard is, or lies in, an array', concerns: hasWildcard },
};

/** `what it has there … (server code 16755)` */
export function indexRefusal(code: number, index: TargetIndex): string {
  const cause = CAUSES[code];
  const text = cause?.concerns(index) === true ? cause.text : 'the server can make no key of it';
  return `${text} (server code ${code})`;
}

/** The same after a write was refused, where the server does not say by which of its indexes. Undefined: by none, as far as is known. */
export function refusalByIndexes(code: number, indexes: readonly TargetIndex[]): string | undefined {
  const cause = CAUSES[code];
  const concerned = cause === undefined ? [] : indexes.filter(cause.concerns);
  if (cause === undefined || concerned.length === 0) return undefined;
  return `${concerned.map(indexText).join(' or ')} cannot hold it: ${cause.text} (server code ${code})`;
}

function isCollated(index: TargetIndex): boolean {
  return indexCollation(index) !== undefined;
}

function hasWildcard({ key }: TargetIndex): boolean {
  return key.some(([path]) => path.endsWith('$**'));
}

function hasNumber({ key }: TargetIndex): boolean {
  return key.some(([path]) => /(^|\.)\d+(\.|$)/.test(path));
}

function isOfVersion1({ raw }: TargetIndex): boolean {
  const version = findElement(raw, 0, Buffer.from('v'));
  return version?.type === BSON.INT32 && version.bytes.readInt32LE(version.start) < 2;
}
