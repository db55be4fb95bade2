/** Regular expressions as operands: on strings and symbols they match, and a stored regular expression equals itself. */
import { isUtf8 } from 'node:buffer';
import { splitRegex } from '../bson/compare-values.ts';
import { keyOf, type RawElement } from '../bson/elements.ts';
import { BSON, type RawValue } from '../bson/types.ts';
import type { ValueTest } from './field-path.ts';
import { QueryFault } from './query-fault.ts';
import { translatePattern } from './regex/translate-pattern.ts';

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
