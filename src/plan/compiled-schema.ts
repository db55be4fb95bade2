/**
 * The JSON Schema of a plan, compiled. Loading and running the compiler took a fifth of a whole `plan validate`, so the build runs
 * it once and keeps the result beside the program (schemas/compile.ts).
 *
 * Alone because: the build puts another module in the place of this one.
 */

import { Ajv } from 'ajv';
import { schemaText } from './schema-file.ts';

/** Like ajv's: true, or false with the errors in the property `errors`. */
export interface CompiledSchema {
  (value: unknown): boolean;
  errors?: readonly SchemaError[] | null;
}

/** What is used of ajv's errors. */
interface SchemaError {
  readonly keyword: string;
  readonly instancePath: string;
  readonly schemaPath: string;
  readonly params: Readonly<Record<string, unknown>>;
}

const OPTIONS = {
  allErrors: true,
  strict: true,
  // Would want every alternative of a oneOf to repeat the properties it requires.
  strictRequired: false,
  allowUnionTypes: true,
} as const;

/** For the schema's own test; the build does not keep it. */
export function compileSchema(schema: object): CompiledSchema {
  return new Ajv(OPTIONS).compile(schema) as CompiledSchema;
}

/** Source of a CommonJS module that exports the compiled schema; it needs only small helpers of ajv. */
export async function compiledSource(schema: object): Promise<string> {
  const { default: standalone } = await import('ajv/dist/standalone/index.js');
  const ajv = new Ajv({ ...OPTIONS, inlineRefs: false, code: { source: true } });
  return standalone.default(ajv, ajv.compile(schema));
}

export const matchesSchema: CompiledSchema = compileSchema(JSON.parse(schemaText()));
