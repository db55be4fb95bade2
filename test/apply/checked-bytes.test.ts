/** What is written is what was checked: the files of a selection are changed under a run, by a failing disk or another process. */

import { readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { verifyRestore } from '../../src/apply/verify-selection.ts';
import type { CheckpointName } from '../../src/run.ts';
import type { Selection } from '../../src/selection/selection.ts';
import { test } from '../harness.ts';
import { type Lab, openLab } from '../lab/lab.ts';
import { QUIET } from '../quiet-run.ts';
import { failure, numbered } from './documents.ts';
import { openWorkbench, type Workbench } from './workbench.ts';

let lab: Lab;
let bench: Workbench;

test.before(async () => {
  lab = await openLab();
});
test.before.each(async () => {
  bench = openWorkbench(lab);
});
test.after.each(() => bench.close());
test.after(() => lab.close());

const DOCUMENTS = numbered(0, 3_000, 'x'.repeat(4_000));

const fileOf = (selection: Selection): string => join(selection.directory, 'gravity', 'a.bson');

/** One letter of one document becomes another one; the file is as long as before and holds whole documents. */
function changeLetter(selection: Selection): void {
  const bytes = readFileSync(fileOf(selection));
  const at = bytes.lastIndexOf('xxxx');
  bytes[at] = 'y'.charCodeAt(0);
  writeFileSync(fileOf(selection), bytes);
}

const CHANGES: readonly [what: string, change: (selection: Selection) => void][] = [
  ['a letter of a document', changeLetter],
  ['the end of the file', (selection) => truncateSync(fileOf(selection), 5_000_000)],
  ['the whole file', (selection) => rmSync(fileOf(selection))],
];

for (const [what, change] of CHANGES) {
  test(`changed while it is written (${what}): the run ends with 16, and revert takes out what went in`, async () => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    const checkpoint = once('collection-created', () => change(selection));
    const error = await failure(bench.apply(selection, 'staging', { checkpoint }));
    assert.is(error.exitCode, 16, error.message);
    assert.match(
      error.message,
      `the selection changed while it was written to staging: ${fileOf(selection)}`,
    );
    assert.match(error.hint ?? '', "revert('staging')");
    assert.is((await bench.runs('staging'))[0]?.status, 'incomplete');
    assert.ok(!bench.events.some(({ type }) => type === 'verification-finished'));
    // The remedy: it needs nothing but the ledger; then the documents, selected anew, go in.
    await bench.revert(undefined, 'staging');
    assert.equal(await bench.documents('staging', 'a'), []);
    const anew = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    assert.ok((await bench.apply(anew, 'staging')).verified);
    await bench.expectRestored('staging', anew, { a: DOCUMENTS });
  });

  test(`changed before it is read back (${what}): the run ends with 16, and a run with the selection made anew verifies`, async () => {
    const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    const checkpoint = once('all-written', () => change(selection));
    const error = await failure(bench.apply(selection, 'staging', { checkpoint }));
    assert.is(error.exitCode, 16, error.message);
    assert.match(error.message, 'the selection changed while staging was compared with it');
    assert.match(error.hint ?? '', 'selected anew');
    assert.is((await bench.runs('staging'))[0]?.status, 'incomplete');
    const anew = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
    assert.ok((await bench.apply(anew, 'staging')).verified);
  });
}

test('a sample, too, is compared with what was selected or not at all', async () => {
  const selection = bench.selection([{ collection: 'a', documents: DOCUMENTS }]);
  await bench.apply(selection, 'staging');
  changeLetter(selection);
  const target = await bench.target('staging');
  const verification = verifyRestore(QUIET, {
    plan: bench.plan,
    selection,
    target,
    every: 1_000,
  });
  assert.is((await failure(verification)).exitCode, 16);
});

function once(name: CheckpointName, act: () => void): (at: CheckpointName) => void {
  return (at) => {
    if (at === name) act();
  };
}

test.run();
