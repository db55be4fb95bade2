/** Regular expressions as operands: on strings and symbols they match, and a stored regular expression equals itself. */
import { isUtf8 } from 'node:buffer';
import { splitRegex } from '../../bson/compare-values.ts';
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { translatePattern } from './translate-pattern.ts';

interface Regex {
  readonly pattern: string;
  readonly options: string;
}

/** A regular expression value, as in `{field: /pattern/i}`. */
export function regexValueTest(value: RawValue, path: string): ValueTest {
  return regexTest(splitRegex(value), path);
}

/** `$regex` with the `$options` beside it. */
export function readRegexOperators(siblings: readonly RawElement[], path: string): Regex {
  const [regex, secondRegex] = siblings.filter((sibling) => keyOf(sibling) === '$regex');
  const [options, secondOptions] = siblings.filter((sibling) => keyOf(sibling) === '$options');
  if (regex === undefined || secondRegex !== undefined || secondOptions !== undefined) {
    throw new QueryFault('$regex and $options can stand once each', path);
  }
  if (options !== undefined && options.type !== BSON.STRING)
    throw new QueryFault('$options expects text', path);
  if (regex.type === BSON.STRING) {
    return { pattern: text(regex), options: options === undefined ? '' : text(options) };
  }
  if (regex.type !== BSON.REGEX) throw new QueryFault('$regex expects text or a regular expression', path);
  const split = splitRegex(regex);
  if (options !== undefined && split.options !== '') {
    throw new QueryFault('options stand in $regex and in $options; write them once', path);
  }
  return { pattern: split.pattern, options: options === undefined ? split.options : text(options) };
}

export function regexTest({ pattern, options }: Regex, path: string): ValueTest {
  const compiled = translatePattern(pattern, { options, path });
  return (value) => {
    if (value.type === BSON.STRING || value.type === BSON.SYMBOL) {
      return matchesText(compiled, { bytes: value.bytes, start: value.start + 4, end: value.end - 1 });
    }
    if (value.type !== BSON.REGEX) return false;
    const stored = splitRegex(value);
    return stored.pattern === pattern && stored.options === options;
  };
}

/** Whether UTF-8 bytes match. What is no UTF-8 matches no pattern on the server. */
function matchesText(
  pattern: RegExp,
  { bytes, start, end }: { readonly bytes: Buffer; readonly start: number; readonly end: number },
): boolean {
  const subject = bytes.toString('utf8', start, end);
  if (subject.includes('\ufffd') && !isUtf8(bytes.subarray(start, end))) return false;
  return pattern.test(subject);
}

function text(value: RawValue): string {
  return value.bytes.toString('utf8', value.start + 4, value.end - 1);
}

// Whether a regular expression of a query could take for ever: JavaScript tries one way after the other, and where several
// repetitions can share out the same text, or it is long, the ways can be more than anybody can wait for.
//
// mongod gives up after some 100,000 steps, and takes that for no match without a word; only $regexMatch says so (error 51156,
// "match limit exceeded"). Measured with MongoDB 8.2.

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
