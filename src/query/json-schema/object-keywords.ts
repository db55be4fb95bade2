/** Keywords about objects. */
import { ElementCursor } from '../../bson/element-cursor.ts';
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { BSON } from '../../bson/types.ts';
import { DocumentScope, type ValueTest } from '../field-path.ts';
import { QueryFault } from '../query-fault.ts';
import { translatePattern } from '../regex/translate-pattern.ts';
import { fieldCount } from './array-keywords.ts';
import {
  countOf,
  ifType,
  type Keyword,
  type KeywordUse,
  listOf,
  namesOf,
  propertyKey,
  schemaOf,
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
