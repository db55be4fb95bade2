/** What `npm pack` makes: the program runs from it alone, and it stays small. Only where the program was just built. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as assert from 'uvu/assert';
import { schemaText } from '../../src/plan/schema-file.ts';
import { VERSION } from '../../src/version.ts';
import { suite } from '../harness.ts';
import { BUILT_PROGRAM } from '../lab/plan-command.ts';
import { PlanFolder } from '../plan/plan-folder.ts';

const test = suite('the package');
const ROOT = join(import.meta.dirname, '..', '..');
const MOST_BYTES = 2_000_000;
const PLAN = `version: 1
name: one
reason: a test
source: { path: dump/, database: gravity }
collections:
  - { collection: artworks, query: { _id: { $oid: 57d17993cafebabefeedface } } }
targets:
  staging: { uri: "\${STAGING_MONGODB_URI}", database: gravity-staging }
`;

let folder: PlanFolder;
test.before.each(() => {
  folder = new PlanFolder();
});
test.after.each(() => folder.remove());

const run = (command: string, ...args: string[]): string =>
  execFileSync(command, args, { cwd: folder.path, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Packs and unpacks it where no dependencies are; returns its folder. */
function unpacked(): { readonly path: string; readonly bytes: number } {
  const [packed] = JSON.parse(
    run('npm', 'pack', ROOT, '--ignore-scripts', '--json', '--pack-destination', folder.path),
  ) as [{ filename: string; size: number }];
  run('tar', '-xzf', packed.filename);
  return { path: join(folder.path, 'package'), bytes: packed.size };
}

if (process.env[BUILT_PROGRAM] === undefined) test.skip('holds a program', 'nothing was built');
else {
  test('runs without what it was built from', () => {
    const { path, bytes } = unpacked();
    assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
    const { bin } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as { bin: { plan: string } };
    const program = join(path, bin.plan);
    assert.is(run(process.execPath, program, '--version'), `${VERSION}\n`);
    assert.is(run(process.execPath, program, 'schema'), schemaText());
    folder.write('plan.yaml', PLAN);
    assert.match(run(process.execPath, program, 'validate', 'plan.yaml'), /one is valid/);
  });

  test('is written in ASCII, which is how it is read: its pages show the signs that they are made of', () => {
    const programs = join(ROOT, 'dist', 'program');
    for (const name of readdirSync(programs).filter((each) => each.endsWith('.cjs'))) {
      assert.equal(readFileSync(join(programs, name), 'utf8').match(/[^\0-\x7f]/g) ?? [], [], name);
    }
  });

  test('keeps what V8 compiled of it, and compiles again what is damaged', () => {
    const { path } = unpacked();
    const programs = join(path, 'dist', 'program');
    const schema = (): string => run(process.execPath, join(path, 'dist', 'main.js'), 'schema');
    const keptFiles = (): string[] => readdirSync(programs).filter((name) => name.endsWith('.compiled'));
    assert.equal(keptFiles(), []);
    schema();
    const [name, ...more] = keptFiles() as [string];
    assert.equal(more, []);
    const file = join(programs, name);
    const whole = readFileSync(file);
    assert.is(schema(), schemaText());
    assert.ok(readFileSync(file).equals(whole));
    const changed = Buffer.from(whole);
    changed.fill(0x55, whole.length / 2, whole.length / 2 + 100);
    for (const damaged of [changed, whole.subarray(0, 5000), Buffer.alloc(0)]) {
      writeFileSync(file, damaged);
      assert.is(schema(), schemaText());
      assert.ok(readFileSync(file).length > 5000 && !readFileSync(file).equals(damaged));
    }
    assert.equal(keptFiles(), [name]);
  });
}

test.run();
