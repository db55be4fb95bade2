/** Compares what the program said with the file of that name in `expected/`, or writes it (see README.md). */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import * as assert from 'uvu/assert';

const EXPECTED = join(import.meta.dirname, 'expected');
const isUpdate = process.env['UPDATE_GOLDEN'] === '1';

export function golden(name: string, said: string): void {
  const file = join(EXPECTED, name);
  if (isUpdate) {
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, said);
    return;
  }
  assert.fixture(
    said,
    readFileSync(file, 'utf8'),
    `expected/${name} differs (UPDATE_GOLDEN=1 writes it anew)`,
  );
}

/** The plan files beside this one and of the examples, by what they are called in golden files. */
export function planFiles(): ReadonlyMap<string, string> {
  const root = join(import.meta.dirname, '../..');
  const all = ['plans/examples', 'test/golden/plans'].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => /\.(?:yaml|txt)$/.test(name) && !name.endsWith('.base.yaml'))
      .map((name): [string, string] => [name, join(folder, name)]),
  );
  return new Map(all);
}
