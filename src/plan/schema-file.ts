/** The JSON Schema of a plan as it is kept. The file is also the reference for people and editors. */
import { readFileSync } from 'node:fs';
import { packageFile } from '../package-file.ts';

export function schemaText(): string {
  return readFileSync(packageFile('schemas/restore-plan.schema.json'), 'utf8');
}
