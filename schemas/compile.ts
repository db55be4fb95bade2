/**
 * Part of `npm run build`: puts the compiled schema in the place of the module that would compile it, so that neither the
 * library nor the program loads the compiler.
 */
import { writeFileSync } from 'node:fs';
import { compiledSource } from '../src/plan/compiled-schema.ts';
import { schemaText } from '../src/plan/schema-file.ts';

const folder = new URL('../dist/plan/', import.meta.url);
writeFileSync(new URL('compiled-schema.cjs', folder), await compiledSource(JSON.parse(schemaText())));
writeFileSync(
  new URL('compiled-schema.js', folder),
  "export { default as matchesSchema } from './compiled-schema.cjs';\n",
);
