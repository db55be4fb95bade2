/** Keywords about objects. */

import { CanonicalBytes } from '../../bson/canonical-bytes.ts';
import { ElementCursor, elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { ByteSet } from '../../bson/flat-sets.ts';
import { isNumber, readNumber } from '../../bson/numbers.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import { isMultipleOf, toDecimal } from '../decimal-arithmetic.ts';
import { DocumentScope, type ValueTest } from '../field-path.ts';
import { type Comparison, comparisonTest } from '../operators/comparison.ts';
import { QueryFault } from '../query-fault.ts';
import { regexTest } from '../regex/regex-test.ts';
import { translatePattern } from '../regex/translate-pattern.ts';
import {
  countOf,
  ifType,
  type Keyword,
  type KeywordUse,
  listOf,
  namesOf,
  propertyKey,
  schemaOf,
  textOf,
} from './keyword.ts';

export const OBJECT_KEYWORDS: Readonly<Record<string, Keyword>> = {
  minProperties: (use) => {
    const count = countOf(use);
    return ifType(BSON.OBJECT, (value) => fieldCount(value) >= count);
  },
  maxProperties: (use) => {
    const count = countOf(use);
    return ifType(BSON.OBJECT, (value) => fieldCount(value) <= count);
  },
  required: (use) => ifType(BSON.OBJECT, hasAll(namesOf(listOf(use), use), use.path)),
  properties: (use) => {
    const scope = new DocumentScope();
    const properties = entriesOf(use).map((entry) => ({
      slot: scope.slotOf(propertyKey(keyOf(entry), use.path)),
      test: schemaOf(entry, { ...use, path: `${use.path}.${keyOf(entry)}` }),
    }));
    return ifType(BSON.OBJECT, (value) => {
      scope.read(value.bytes, value.start);
      return properties.every(({ slot, test }) => slot.isMissing() || test(slot));
    });
  },
  patternProperties: (use) => allowedProperties(use),
  // With patternProperties beside it, that keyword tests both.
  additionalProperties: (use) => (use.siblings.has('patternProperties') ? undefined : allowedProperties(use)),
  dependencies: (use) => {
    const tests = entriesOf(use).flatMap((entry) => dependency(entry, use) ?? []);
    return (value) => tests.every((test) => test(value));
  },
};

function entriesOf({ keyword, operand, path }: KeywordUse): RawElement[] {
  if (operand.type !== BSON.OBJECT) throw new QueryFault(`"${keyword}" expects an object`, path);
  return [...elements(operand.bytes, operand.start)];
}

function hasAll(names: readonly string[], path: string): ValueTest {
  const scope = new DocumentScope();
  const slots = names.map((name) => scope.slotOf(propertyKey(name, path)));
  return (value) => {
    scope.read(value.bytes, value.start);
    return slots.every((slot) => !slot.isMissing());
  };
}

/** Every key must satisfy the schemas of all patterns that match it, or be named in "properties", or satisfy the rest's schema. */
function allowedProperties(use: KeywordUse): ValueTest {
  const named = new Set(namedProperties(use));
  const patterns = patternSchemas(use);
  const otherwise = additionalSchema(use);
  return ifType(BSON.OBJECT, (value) => {
    const property = new ElementCursor().open(value.bytes, value.start, value.end);
    while (property.next()) {
      const key = keyOf(property);
      const keyBytes = property.bytes.toString('latin1', property.keyStart, property.start - 1);
      const matching = patterns.filter(({ pattern }) => pattern.test(keyBytes));
      if (!matching.every(({ test }) => test(property))) return false;
      if (matching.length === 0 && !named.has(key) && !otherwise(property)) return false;
    }
    return true;
  });
}

function namedProperties({ siblings }: KeywordUse): string[] {
  const properties = siblings.get('properties');
  if (properties === undefined || properties.type !== BSON.OBJECT) return [];
  return [...elements(properties.bytes, properties.start)].map(keyOf);
}

/** The server matches these patterns with the bytes of a name, not with its characters: to `.` é is two. */
function patternSchemas(use: KeywordUse): { pattern: RegExp; test: ValueTest }[] {
  const operand = use.siblings.get('patternProperties');
  if (operand === undefined) return [];
  const patternUse = { ...use, keyword: 'patternProperties', operand };
  return entriesOf(patternUse).map((entry) => {
    const path = `${use.path}.${keyOf(entry)}`;
    return {
      pattern: translatePattern(keyOf(entry), { options: '', path, unit: 'bytes' }),
      test: schemaOf(entry, { ...patternUse, path }),
    };
  });
}

function additionalSchema(use: KeywordUse): ValueTest {
  const operand = use.siblings.get('additionalProperties');
  if (operand === undefined) return () => true;
  if (operand.type === BSON.BOOL) {
    const allowed = operand.bytes[operand.start] === 1;
    return () => allowed;
  }
  if (operand.type !== BSON.OBJECT) {
    throw new QueryFault('"additionalProperties" expects a schema, true or false', use.path);
  }
  return schemaOf(operand, { ...use, keyword: 'additionalProperties', operand });
}

/** When the property is there: the schema holds for the whole value, or the other properties are there too. */
function dependency(entry: RawElement, use: KeywordUse): ValueTest | undefined {
  const name = keyOf(entry);
  const path = `${use.path}.${name}`;
  if (entry.type === BSON.STRING && (name === 'title' || name === 'description')) return undefined;
  const isThere = hasAll([name], path);
  const then =
    entry.type === BSON.ARRAY
      ? hasAll(namesOf(listOf({ ...use, operand: entry, path }), use), path)
      : schemaOf(entry, { ...use, path });
  return ifType(BSON.OBJECT, (value) => !isThere(value) || then(value));
}

// Keywords about arrays.

export const ARRAY_KEYWORDS: Readonly<Record<string, Keyword>> = {
  minItems: (use) => {
    const count = countOf(use);
    return ifType(BSON.ARRAY, (value) => fieldCount(value) >= count);
  },
  maxItems: (use) => {
    const count = countOf(use);
    return ifType(BSON.ARRAY, (value) => fieldCount(value) <= count);
  },
  uniqueItems: ({ operand, path }) => {
    if (operand.type !== BSON.BOOL) throw new QueryFault('"uniqueItems" expects true or false', path);
    return operand.bytes[operand.start] === 1 ? ifType(BSON.ARRAY, hasUniqueItems) : undefined;
  },
  items: (use) => {
    if (use.operand.type !== BSON.ARRAY) return ifType(BSON.ARRAY, eachItem(schemaOf(use.operand, use), 0));
    return ifType(BSON.ARRAY, itemByItem(itemSchemas(use)));
  },
  additionalItems: (use) => {
    const { operand, path, siblings } = use;
    const isBoolean = operand.type === BSON.BOOL;
    if (!isBoolean && operand.type !== BSON.OBJECT) {
      throw new QueryFault('"additionalItems" expects a schema, true or false', path);
    }
    const test = isBoolean ? () => operand.bytes[operand.start] === 1 : schemaOf(operand, use);
    const items = siblings.get('items');
    // Only a list of schemas leaves items over.
    if (items?.type !== BSON.ARRAY) return undefined;
    return ifType(BSON.ARRAY, eachItem(test, [...elements(items.bytes, items.start)].length));
  },
};

/** Number of elements of a document or array. */
export function fieldCount(value: ElementCursor): number {
  const item = new ElementCursor().open(value.bytes, value.start, value.end);
  let count = 0;
  while (item.next()) count++;
  return count;
}

function hasUniqueItems(value: ElementCursor): boolean {
  const seen = new ByteSet();
  const key = new CanonicalBytes('sorted');
  const item = new ElementCursor().open(value.bytes, value.start, value.end);
  while (item.next()) {
    const { bytes, length } = key.set(item);
    if (!seen.add(bytes, length)) return false;
  }
  return true;
}

function itemSchemas(use: KeywordUse): ValueTest[] {
  return [...elements(use.operand.bytes, use.operand.start)].map((schema, index) =>
    schemaOf(schema, { ...use, path: `${use.path}.${index}` }),
  );
}

/** The test of each schema on the item at its place; items beyond the last schema pass. */
function itemByItem(tests: readonly ValueTest[]): ValueTest {
  return (value) => {
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    for (const test of tests) if (item.next() && !test(item)) return false;
    return true;
  };
}

function eachItem(test: ValueTest, from: number): ValueTest {
  return (value) => {
    const item = new ElementCursor().open(value.bytes, value.start, value.end);
    for (let index = 0; item.next(); index++) if (index >= from && !test(item)) return false;
    return true;
  };
}

// Keywords about numbers and strings.

export const SCALAR_KEYWORDS: Readonly<Record<string, Keyword>> = {
  maximum: (use) => limit(use, { keyword: 'exclusiveMaximum', inclusive: '$lte', exclusive: '$lt' }),
  minimum: (use) => limit(use, { keyword: 'exclusiveMinimum', inclusive: '$gte', exclusive: '$gt' }),
  exclusiveMaximum: (use) => requireBeside(use, 'maximum'),
  exclusiveMinimum: (use) => requireBeside(use, 'minimum'),
  multipleOf,
  maxLength: (use) => {
    const count = countOf(use);
    return ifType(BSON.STRING, (value) => characters(value) <= count);
  },
  minLength: (use) => {
    const count = countOf(use);
    return ifType(BSON.STRING, (value) => characters(value) >= count);
  },
  pattern: ({ operand, path }) => {
    if (operand.type !== BSON.STRING) throw new QueryFault('"pattern" expects text', path);
    return ifType(BSON.STRING, regexTest({ pattern: textOf(operand), options: '' }, path));
  },
};

interface Exclusion {
  readonly keyword: string;
  readonly inclusive: Comparison;
  readonly exclusive: Comparison;
}

/** Draft 4: `exclusiveMaximum` is a switch beside `maximum`. */
function limit({ keyword, operand, path, siblings }: KeywordUse, exclusion: Exclusion): ValueTest {
  if (!isNumber(operand.type)) throw new QueryFault(`"${keyword}" expects a number`, path);
  const excluded = siblings.get(exclusion.keyword);
  const isExclusive = excluded?.type === BSON.BOOL && excluded.bytes[excluded.start] === 1;
  return ifNumber(comparisonTest(isExclusive ? exclusion.exclusive : exclusion.inclusive, operand));
}

function requireBeside({ keyword, operand, path, siblings }: KeywordUse, other: string): undefined {
  if (operand.type !== BSON.BOOL) throw new QueryFault(`"${keyword}" expects true or false`, path);
  if (!siblings.has(other)) throw new QueryFault(`"${keyword}" needs "${other}" beside it`, path);
}

function multipleOf({ operand, path }: KeywordUse): ValueTest {
  const divisor = isNumber(operand.type) ? toDecimal(readNumber(operand)) : undefined;
  if (divisor?.kind !== 'finite' || divisor.negative || divisor.coefficient === 0n) {
    throw new QueryFault('"multipleOf" expects a positive number', path);
  }
  return ifNumber((value) => {
    const number = toDecimal(readNumber(value));
    return number.kind === 'finite' && isMultipleOf(number, divisor);
  });
}

function ifNumber(test: ValueTest): ValueTest {
  return (value) => !isNumber(value.type) || test(value);
}

/** Characters of a string as the server counts them: bytes that do not continue a UTF-8 sequence. */
function characters({ bytes, start, end }: RawValue): number {
  let count = 0;
  for (let at = start + 4; at < end - 1; at++) if (((bytes[at] as number) & 0xc0) !== 0x80) count++;
  return count;
}
