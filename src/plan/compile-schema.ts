/**
 * Compiles the JSON Schema of a plan. The build does it once and keeps the result beside the program
 * (schemas/compile.ts): loading and running the compiler took a fifth of a whole `plan validate`.
 */
import { Ajv } from 'ajv';

/** Like ajv's: true, or false with the errors in the property `errors`. */
export interface CompiledSchema {
  (value: unknown): boolean;
  errors?: readonly SchemaError[] | null;
}

/** What is used of ajv's errors. */
export interface SchemaError {
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

export function compileSchema(schema: object): CompiledSchema {
  return new Ajv(OPTIONS).compile(schema) as CompiledSchema;
}

/** Source of a CommonJS module that exports the compiled schema; it needs only small helpers of ajv. */
export async function compiledSource(schema: object): Promise<string> {
  const { default: standalone } = await import('ajv/dist/standalone/index.js');
  const ajv = new Ajv({ ...OPTIONS, inlineRefs: false, code: { source: true } });
  return standalone.default(ajv, ajv.compile(schema));
}
