/**
 * `$jsonSchema`: JSON Schema draft 4 as MongoDB knows it, with `bsonType` and without references.
 *
 * A schema is compiled to one test per keyword; a value passes when it passes all. Keywords say nothing about values of other
 * types than their own.
 */

import { CanonicalBytes } from '../../bson/canonical-bytes.ts';
import { elements, keyOf, type RawElement } from '../../bson/elements.ts';
import { ByteSet } from '../../bson/flat-sets.ts';
import { BSON, type RawValue } from '../../bson/types.ts';
import type { ValueTest } from '../field-path.ts';
import { typesOfName } from '../operators/element.ts';
import { QueryFault } from '../query-fault.ts';
import { type Keyword, type KeywordUse, listOf, namesOf, schemaOf, textOf } from './keyword.ts';
import { ARRAY_KEYWORDS, OBJECT_KEYWORDS, SCALAR_KEYWORDS } from './keywords.ts';

/** Types of JSON by the names of MongoDB's types. JSON's "integer" is not known to the server. */
const JSON_TYPES: Readonly<Record<string, string>> = {
  array: 'array',
  boolean: 'bool',
  null: 'null',
  number: 'number',
  object: 'object',
  string: 'string',
};

/** About values of any type: their type, one of a list, and combinations of schemas. */
const GENERAL_KEYWORDS: Readonly<Record<string, Keyword>> = {
  type: (use) => {
    if (use.siblings.has('bsonType'))
      throw new QueryFault('"type" and "bsonType" exclude each other', use.path);
    return typeKeyword(use, (name) => (Object.hasOwn(JSON_TYPES, name) ? JSON_TYPES[name] : undefined));
  },
  bsonType: (use) => typeKeyword(use, (name) => name),
  enum: enumKeyword,
  allOf: (use) => {
    const tests = schemas(use);
    return (value) => tests.every((test) => test(value));
  },
  anyOf: (use) => {
    const tests = schemas(use);
    return (value) => tests.some((test) => test(value));
  },
  oneOf: (use) => {
    const tests = schemas(use);
    return (value) => tests.filter((test) => test(value)).length === 1;
  },
  not: (use) => {
    const test = schemaOf(use.operand, use);
    return (value) => !test(value);
  },
  title: describing,
  description: describing,
};

const KEYWORDS: Readonly<Record<string, Keyword>> = {
  ...GENERAL_KEYWORDS,
  ...SCALAR_KEYWORDS,
  ...OBJECT_KEYWORDS,
  ...ARRAY_KEYWORDS,
};

/** The test of a schema; throws QueryFault. */
export function compileSchema(schema: RawValue, path: string): ValueTest {
  if (schema.type !== BSON.OBJECT) throw new QueryFault('$jsonSchema expects an object', path);
  const siblings = keywordsOf(schema, path);
  const tests = [...siblings].flatMap(([keyword, operand]) => {
    const use = { keyword, operand, path: `${path}.${keyword}`, siblings, compile: compileSchema };
    return (KEYWORDS[keyword] as Keyword)(use) ?? [];
  });
  return (value) => tests.every((test) => test(value));
}

function keywordsOf(schema: RawValue, path: string): Map<string, RawElement> {
  const keywords = new Map<string, RawElement>();
  for (const element of elements(schema.bytes, schema.start)) {
    const keyword = keyOf(element);
    if (!Object.hasOwn(KEYWORDS, keyword)) {
      const known = Object.keys(KEYWORDS).join(', ');
      throw new QueryFault(`$jsonSchema: "${keyword}" is not supported; supported are ${known}`, path);
    }
    if (keywords.has(keyword)) throw new QueryFault(`$jsonSchema: "${keyword}" comes twice`, path);
    keywords.set(keyword, element);
  }
  return keywords;
}

function describing({ keyword, operand, path }: KeywordUse): undefined {
  if (operand.type !== BSON.STRING) throw new QueryFault(`"${keyword}" expects text`, path);
}

function schemas(use: KeywordUse): ValueTest[] {
  return listOf(use).map((schema, index) => schemaOf(schema, { ...use, path: `${use.path}.${index}` }));
}

function typeKeyword(use: KeywordUse, bsonName: (name: string) => string | undefined): ValueTest {
  const { keyword, operand, path } = use;
  const names = operand.type === BSON.STRING ? [textOf(operand)] : namesOf(listOf(use), use);
  const wanted = new Uint8Array(256);
  for (const name of names) {
    const types = typesOfName(bsonName(name) ?? '');
    if (types === undefined) throw new QueryFault(`"${keyword}": "${name}" is not a type it knows`, path);
    for (const type of types) wanted[type] = 1;
  }
  return (value) => wanted[value.type] === 1;
}

/** Objects in the list equal those with the same fields in any order. */
function enumKeyword(use: KeywordUse): ValueTest {
  const values = new ByteSet();
  const key = new CanonicalBytes('sorted');
  for (const item of listOf(use)) {
    const { bytes, length } = key.set(item);
    if (!values.add(bytes, length)) throw new QueryFault('"enum" holds a value twice', use.path);
  }
  return (value) => {
    const { bytes, length } = key.set(value);
    return values.has(bytes, length);
  };
}
