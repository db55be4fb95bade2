/** What the keywords of a schema have in common. */
import { elements, type RawElement } from '../../bson/elements.ts';
import { exactInteger } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';

/** One keyword of a schema with its operand. */
export interface KeywordUse {
  readonly keyword: string;
  readonly operand: RawElement;
  /** Dotted path inside the query, for faults. */
  readonly path: string;
  /** Keywords of the same schema, for those that go by one another. */
  readonly siblings: ReadonlyMap<string, RawElement>;
  /** Compiles a schema inside this one. */
  readonly compile: (schema: RawValue, path: string) => ValueTest;
}

/** Makes the test of one keyword; undefined when it restricts nothing. */
export type Keyword = (use: KeywordUse) => ValueTest | undefined;

/** A keyword says nothing about values of other types than its own. */
export function ifType(type: number, test: ValueTest): ValueTest {
  return (value) => value.type !== type || test(value);
}

/** An operand that is a count: an integer that is not negative, in any numeric type. */
export function countOf({ keyword, operand, path }: KeywordUse): number {
  const count = exactInteger(operand);
  if (count === undefined || count < 0n) throw new QueryFault(`"${keyword}" expects a count`, path);
  return Number(count);
}

/** The elements of an operand that is an array and not empty. */
export function listOf({ keyword, operand, path }: KeywordUse): RawElement[] {
  const items = operand.type === BSON.ARRAY ? [...elements(operand.bytes, operand.start)] : [];
  if (items.length === 0) throw new QueryFault(`"${keyword}" expects an array that is not empty`, path);
  return items;
}

/** The texts of a list, each once. */
export function namesOf(items: readonly RawElement[], { keyword, path }: KeywordUse): string[] {
  const names = items.map((item) => {
    if (item.type !== BSON.STRING) throw new QueryFault(`"${keyword}" expects an array of names`, path);
    return textOf(item);
  });
  if (new Set(names).size < names.length) throw new QueryFault(`"${keyword}" names something twice`, path);
  return names;
}

/**
 * The key of a property. The server reads such a name as a path, so that a dot in it would go into documents and arrays; and
 * an empty name would mean the document itself.
 */
export function propertyKey(name: string, path: string): Buffer {
  if (name === '' || name.includes('.')) {
    throw new QueryFault(`a property named "${name}" has no certain meaning in a schema`, path);
  }
  return Buffer.from(name);
}

/** An operand that is a schema. */
export function schemaOf(value: RawValue, { keyword, path, compile }: KeywordUse): ValueTest {
  if (value.type !== BSON.OBJECT)
    throw new QueryFault(`"${keyword}" expects a schema, which is an object`, path);
  return compile(value, path);
}

export function textOf(value: RawValue): string {
  return value.bytes.toString('utf8', value.start + 4, value.end - 1);
}
