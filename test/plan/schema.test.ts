/** The schema is the reference: complete, strict, and valid itself. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Ajv } from 'ajv';
import * as assert from 'uvu/assert';
import { type CompiledSchema, compiledSource, compileSchema } from '../../src/plan/compiled-schema.ts';
import { type SchemaNode, schemaAt } from '../../src/plan/schema.ts';
import { schemaText } from '../../src/plan/schema-file.ts';
import { suite } from '../harness.ts';
import { BUILT_PROGRAM, runPlan } from '../lab/plan-command.ts';

const test = suite('the schema of a plan');

type Definition = SchemaNode;
const schema = JSON.parse(schemaText()) as Definition;

/** Every schema that stands for a value, with where it stands. */
function* valueSchemas(): Generator<readonly [where: string, node: Definition]> {
  for (const [name, definition] of Object.entries(schema.definitions ?? {})) yield* within(name, definition);
}

function* within(where: string, node: Definition): Generator<readonly [where: string, node: Definition]> {
  yield [where, node];
  for (const [key, property] of Object.entries(node.properties ?? {}))
    yield* within(`${where}.${key}`, property);
  if (node.items !== undefined) yield* within(`${where}[]`, node.items);
  if (typeof node.additionalProperties === 'object') yield* within(`${where}{}`, node.additionalProperties);
}

test('is valid draft-07, also by its meta-schema', () => {
  assert.is((schema as { $schema?: string }).$schema, 'http://json-schema.org/draft-07/schema#');
  const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true });
  assert.ok(ajv.validateSchema(schema), JSON.stringify(ajv.errors));
});

test('describes every value and allows no further key in any map but a query', () => {
  for (const [where, node] of valueSchemas()) {
    if (node.$ref !== undefined) continue;
    assert.ok(node.title !== undefined, `${where} has no title`);
    assert.ok(
      (node.description?.length ?? 0) > 10 && node.description?.endsWith('.'),
      `${where} is not described`,
    );
    // A map by names that are the author's says of what its values are.
    if (node.type === 'object' && typeof node.additionalProperties !== 'object')
      assert.is(node.additionalProperties, false, `${where} is open`);
  }
});

test('gives an example of every text and number, and each example is valid', () => {
  const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true });
  ajv.addSchema(schema);
  for (const [where, node] of valueSchemas()) {
    const isPlain = node.type === 'string' || node.type === 'number' || node.type === 'integer';
    if (isPlain && node.enum === undefined && !where.endsWith('[]')) {
      assert.ok((node.examples?.length ?? 0) > 0, `${where} has no example`);
    }
    const [name = '', ...rest] = where.split(/(?=[.[{])/);
    const steps: Readonly<Record<string, string>> = { '[]': '/items', '{}': '/additionalProperties' };
    const pointer = rest.map((part) => steps[part] ?? `/properties/${part.slice(1)}`).join('');
    const validate = ajv.getSchema(`restore-plan.schema.json#/definitions/${name}${pointer}`);
    for (const example of node.examples ?? []) {
      assert.ok(
        validate?.(example),
        `${where}: ${JSON.stringify(example)} ${JSON.stringify(validate?.errors)}`,
      );
    }
  }
});

test('an editor that follows it accepts a plan that extends a base, and a base', () => {
  const base = readFileSync(join(import.meta.dirname, '../../schemas/restore-plan-base.schema.json'), 'utf8');
  const ajv = new Ajv({ strict: true, strictRequired: false, allowUnionTypes: true });
  ajv.addSchema(schema);
  const isPlan = ajv.getSchema('restore-plan.schema.json');
  const isBase = ajv.compile(JSON.parse(base));
  const part = {
    version: 1,
    source: { database: 'gravity' },
    targets: { production: { database: 'gravity' } },
  };
  assert.ok(isBase(part));
  assert.not.ok(isPlan?.(part));
  assert.ok(isPlan?.({ ...part, extends: './a.base.yaml' }));
  assert.not.ok(isBase({ ...part, colour: 'blue' }));
});

test('finds the schema of a value through references and lists', () => {
  const path = ['collections', 0, 'dependents', 3, 'dependents', 1, 'references', 0, 'field'];
  assert.is(schemaAt(path)?.examples?.[0], 'sale_id');
  assert.is(schemaAt(['source', 'maxAge'])?.examples?.[0], '26h');
  assert.is(schemaAt(['source', 'constructor']), undefined);
});

const BUILT_SCHEMA = 'the built program carries the schema compiled as it is now';
const program = process.env[BUILT_PROGRAM];
if (program === undefined) test.skip(BUILT_SCHEMA, 'the sources are tested, not the built program');
else {
  test(BUILT_SCHEMA, async () => {
    const built = readFileSync(join(dirname(program), 'plan/compiled-schema.cjs'), 'utf8');
    assert.ok(built === (await compiledSource(schema)), 'run npm run build');
  });
}

test('compiled here and compiled by the build, it finds the same', async () => {
  const source = await compiledSource(schema);
  const module = { exports: {} as CompiledSchema };
  new Function('module', 'exports', 'require', source)(
    module,
    module.exports,
    createRequire(import.meta.url),
  );
  const compiled = compileSchema(schema);
  const values = [
    {},
    { version: 2, source: { s3: {} } },
    { version: 1, mask: ['a', 'a'], extra: 1 },
    { extends: 'x', name: 'a b' },
  ];
  for (const value of values) {
    assert.is(module.exports(value), compiled(value));
    assert.equal(module.exports.errors, compiled.errors);
  }
});

test('plan schema prints it', async () => {
  const { stdout, exitCode } = await runPlan(['schema']);
  assert.is(exitCode, 0);
  assert.is(stdout, schemaText());
});

test.run();
