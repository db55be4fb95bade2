/** Part of `npm run build`: keeps the compiled schema beside the program, which then starts without the compiler. */
import { writeFileSync } from 'node:fs';
import { compiledSource } from '../src/plan/compile-schema.ts';
import { schemaText } from '../src/plan/schema.ts';

const target = new URL('../dist/plan/compiled-schema.cjs', import.meta.url);
writeFileSync(target, await compiledSource(JSON.parse(schemaText())));
