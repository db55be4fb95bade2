/** Whether a database that the plan names is there, or may be made. */

import * as assert from 'uvu/assert';
import type { RunEvent, TargetName } from '../../src/events.ts';
import { requireDatabase } from '../../src/restore/targets.ts';
import { Secret } from '../../src/secret.ts';
import { connectTarget } from '../../src/target/connect.ts';
import { failure } from '../apply/documents.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';

let lab: Lab;
let known: string;
test.before(async () => {
  lab = await openLab();
  known = lab.databaseName('known');
  await lab.staging.client.db(known).createCollection('x');
});
test.after(() => lab.close());

/** What is said of the database; throws what the command ends with. */
async function look(name: TargetName, database: string, create = false): Promise<string[]> {
  const gate = { soakMs: 0, approvals: 0 };
  const plan = { uri: new Secret(lab.staging.uri), database, gate, ...(create ? { create } : {}) };
  const target = await connectTarget(QUIET, name, plan);
  const said: string[] = [];
  const emit = (event: RunEvent): void => void (event.type === 'warning' && said.push(event.message));
  try {
    await requireDatabase({ ...QUIET, emit }, target);
    return said;
  } finally {
    await target.close();
  }
}

test('a database that is there is used without a word', async () => {
  assert.equal(await look('production', known), []);
});

test('a typing mistake is refused with the name that was meant; both remedies lead out', async () => {
  const mistaken = `${known.slice(0, -1)}${known.endsWith('x') ? 'y' : 'x'}`;
  for (const name of ['staging', 'production'] as const) {
    const { code, message, hint = '' } = await failure(look(name, mistaken));
    assert.is(code, 'TARGET');
    assert.match(message, `Did you mean "${known}"?`);
    assert.match(hint, `Correct targets.${name}.database; or write \`create: true\` beside it`);
    assert.match(
      (await look(name, mistaken, true)).join(),
      `${name} has no database ${mistaken} yet: apply creates it`,
    );
  }
});

test('a missing database is made in staging, and said; in production it takes a word in the plan', async () => {
  const fresh = 'nothing-of-the-kind-anywhere';
  assert.match((await look('staging', fresh)).join(), 'apply creates it');
  assert.match((await failure(look('production', fresh))).message, `no database "${fresh}"`);
  assert.match((await look('production', fresh, true)).join(), 'apply creates it');
});

test('a name that differs by case only is refused as the server refuses it, create or not', async () => {
  const other = known.toUpperCase();
  await lab.staging.client
    .db(other)
    .createCollection('x')
    .then(
      () => assert.unreachable(),
      ({ code }) => assert.is(code, 13297),
    );
  assert.match((await failure(look('staging', other, true))).message, 'differs by case only');
});

test.run();
