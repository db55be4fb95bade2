/** What `npm pack` makes: the program runs from it alone, and it stays small. Only where the program was just built. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
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

if (process.env[BUILT_PROGRAM] === undefined)
  test.skip('runs without what it was built from', 'nothing was built');
else
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

test.run();
