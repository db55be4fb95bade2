/** The JSON Schema of a plan, compiled. The build compiles it once and puts the result here (schemas/compile.ts). */
import { type CompiledSchema, compileSchema } from './compile-schema.ts';
import { schemaText } from './schema-file.ts';

export const matchesSchema: CompiledSchema = compileSchema(JSON.parse(schemaText()));
