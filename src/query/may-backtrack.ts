/**
 * Whether a regular expression of a query could take for ever: JavaScript tries one way after the other, and where several
 * repetitions can share out the same text, or it is long, the ways can be more than anybody can wait for.
 *
 * mongod gives up after some 100,000 steps, and takes that for no match without a word; only $regexMatch says so (error 51156,
 * "match limit exceeded"). Measured with MongoDB 8.2.
 */
import { splitRegex } from '../bson/compare-values.ts';
import { elements, keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';

/** True rather than false in doubt: a pattern that is quoted, or a text that is no pattern, may be counted. */
export function mayBacktrack(query: Buffer): boolean {
  return holdsSuch({ bytes: query, type: BSON.OBJECT, start: 0, end: query.length });
}

function holdsSuch(value: RawValue): boolean {
  if (value.type !== BSON.OBJECT && value.type !== BSON.ARRAY) return false;
  return [...elements(value.bytes, value.start)].some(
    (element) => repeatsOrChooses(patternOf(element)) || holdsSuch(element),
  );
}

/** `$regex` and, in a schema, `pattern` hold one; a schema's `patternProperties` has them as names, like any other name. */
function patternOf(element: RawElement): string {
  if (element.type === BSON.REGEX) return splitRegex(element).pattern;
  const key = keyOf(element);
  if (element.type !== BSON.STRING || (key !== '$regex' && key !== 'pattern')) return key;
  return element.bytes.toString('utf8', element.start + 4, element.end - 1);
}

/** A single repetition takes at most the square of the length; in a text of 16 MB that is days. */
function repeatsOrChooses(pattern: string): boolean {
  return /[*+?{|]/.test(pattern);
}
