/** The stream of `--json`, held against the schemas that are published with the package. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import { jsonLines } from '../lab/plan-command.ts';

const SCHEMAS = join(import.meta.dirname, '..', '..', 'schemas');
const ajv = new Ajv({ allErrors: true, strict: true });
for (const name of ['stream', 'dry-run', 'select', 'apply', 'accept', 'status']) {
  ajv.addSchema(JSON.parse(readFileSync(join(SCHEMAS, `${name}.schema.json`), 'utf8')));
}

/** Schema of the objects of a type; events have none. */
const SCHEMA_OF: Readonly<Record<string, string>> = {
  version: 'stream.schema.json#/definitions/version',
  exit: 'stream.schema.json#/definitions/exit',
  error: 'stream.schema.json#/definitions/error',
  document: 'stream.schema.json#/definitions/document',
  'dry-run': 'dry-run.schema.json',
  select: 'select.schema.json',
  apply: 'apply.schema.json',
  accept: 'accept.schema.json',
  status: 'status.schema.json',
};

/** The lines, each of them as its schema wants it, between a version and an exit. */
export function checkedStream(stdout: string): Record<string, unknown>[] {
  const lines = jsonLines(stdout);
  assert.is(lines[0]?.['type'], 'version');
  assert.is(lines.at(-1)?.['type'], 'exit');
  for (const line of lines) {
    const schema = SCHEMA_OF[String(line['type'])];
    if (schema === undefined) continue;
    const validate = ajv.getSchema(schema);
    assert.ok(validate, schema);
    assert.ok(validate(line), `${ajv.errorsText(validate.errors)}: ${JSON.stringify(line).slice(0, 500)}`);
  }
  return lines;
}
